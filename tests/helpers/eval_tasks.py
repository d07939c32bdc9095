"""Tasks of lm-eval that tests write themselves: local files, no network."""

import json

QUESTIONS = [
    {
        "question": f"Options: (A) {a}, (B) {b}, (C) {c}\nAnswer:[",
        "choices": ["A", "B", "C"],
        "answer": right,
    }
    for a, b, c, right in (
        ("dog", "red", "happy", 0),
        ("blue", "cat", "tall", 1),
        ("weak", "green", "horse", 2),
        ("cow", "France", "joy", 0),
        ("Italy", "sheep", "fear", 1),
        ("pink", "love", "goat", 2),
    )
]
LONG = [
    {"question": " the door", "choices": [" crossed the hill", " light often"], "answer": 0},
    {"question": " the pale ", "choices": ["wind. the", "crossed", "storm kept that"], "answer": 1},
    {"question": "", "choices": [" the wind loved a", " often"], "answer": 0},
]
TEXTS = [{"text": " the wind loved a door."}, {"text": " that pale door" * 4 + "."}]
PROMPTS = [
    {"question": " the wind loved a", "answer": "x"},
    {"question": " the stone opened a road. this pale", "answer": "y"},
    {"question": " the quiet hill. every", "answer": "z"},
]

CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
target_delimiter: "{delimiter}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""
ROLLING = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: text
metric_list:
  - {{metric: word_perplexity}}
  - {{metric: bits_per_byte}}
"""
WRITTEN = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: generate_until
test_split: test
doc_to_text: question
doc_to_target: answer
generation_kwargs: {{until: ["."], max_gen_toks: 12, do_sample: false, temperature: 0.0}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


def write(folder):
    """The folder of tasks t_choice, t_long, t_rolling and t_written, with their files."""
    made = (
        ("t_choice", CHOICE, QUESTIONS, ""),
        ("t_long", CHOICE, LONG, ""),
        ("t_rolling", ROLLING, TEXTS, ""),
        ("t_written", WRITTEN, PROMPTS, ""),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, yaml, rows, delimiter in made:
        lines = [json.dumps(row) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        text = yaml.format(name=name, file=f"{name}.jsonl", delimiter=delimiter)
        (folder / f"{name}.yaml").write_text(text)
    return folder


class Request:
    """What lm-eval hands to a model, without a task."""

    def __init__(self, *args, task=None, doc=None, idx=0):
        self.args, self.task_name, self.doc_id, self.idx = args, task, doc, idx
