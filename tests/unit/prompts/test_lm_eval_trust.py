"""Task files of others: their code runs only where the user says so."""

import json

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.harness import lm_eval_tasks
from mdlm_probe.prompts import lm_eval_documents, lm_eval_trust, shipped

TASK = """
task: stranger
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
"""
ROW = {"question": "Is it?", "choices": ["yes", "no"], "answer": 0}
CODE = (
    "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef f(x=None):\n  return x\n"
)
RUNS = [
    "process_docs: !function code.f\n",
    "process_docs: !function os.getcwd\n",
    "doc_to_text: !function code.f\n",
    "custom_dataset: !function code.f\n",
    "class: !function code.f\n",
    "metric_list: [{metric: !function code.f}]\n",
    "metric_list: [{metric: acc, aggregation: !function code.f}]\n",
    "fewshot_config: {sampler: !function code.f}\n",
    "include: inner.yaml\n",
]
METRICS = [
    "metric_list: [{metric: exact_match, hf_evaluate: true}]\n",
    "metric_list: [{metric: a/metric-of-mine}]\n",
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "inner.yaml").write_text("process_docs: !function code.f\n")
    return tmp_path


def written(folder, more):
    # what a line says again goes before the template's
    names = {line.partition(":")[0] for line in more.splitlines()}
    kept = [line for line in TASK.splitlines() if line.partition(":")[0] not in names]
    path = folder / "stranger.yaml"
    path.write_text("\n".join(kept) + "\n" + more)
    return path


def harness(path):
    with lm_eval_documents.quiet():
        return lm_eval_tasks.load([str(path)])


def in_a_folder(path):
    with lm_eval_documents.quiet():
        return lm_eval_tasks.load(["stranger"], str(path.parent))


def in_a_group(path):
    text = "group: many\ntask: [stranger]\naggregate_metric_list: [{metric: acc}]\n"
    path.with_name("many.yaml").write_text(text)
    with lm_eval_documents.quiet():
        return lm_eval_tasks.load(["many"], str(path.parent))


def few_shot(path):
    with lm_eval_documents.quiet():
        return lm_eval_documents.read(str(path), "", "")


@pytest.mark.parametrize("load", [harness, in_a_folder, few_shot])
@pytest.mark.parametrize("more", RUNS + METRICS)
def test_no_code_of_a_strangers_file_runs(folder, load, more, monkeypatch):
    import evaluate

    monkeypatch.setattr(evaluate, "load", lambda *_: pytest.fail("a metric was downloaded"))
    with pytest.raises(ProbeError, match=r"--trust-tasks|multiple_choice"):
        load(written(folder, more))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("more", [RUNS[0], *METRICS])
def test_nor_does_it_as_one_of_a_group(folder, more):
    with pytest.raises(ProbeError, match=r"--trust-tasks"):
        in_a_group(written(folder, more))
    assert not (folder / "ran").exists()


def test_it_runs_where_it_is_trusted(folder):
    path = written(folder, RUNS[0])
    with lm_eval_trust.trusting():
        assert harness(path).tasks
    assert (folder / "ran").exists()


def test_plain_tasks_and_installed_ones_need_no_trust(folder):
    assert harness(written(folder, "metric_list: [{metric: acc}]\n")).tasks
    assert harness(shipped.folder() / "lm_eval" / "suite_animal.yaml").tasks


def test_a_template_that_reaches_for_python_is_stopped(folder):
    path = written(folder, "doc_to_text: \"{{ ''.__class__.__mro__ }}\"\n")
    with pytest.raises(ProbeError, match="unsafe"):
        lm_eval_documents.Documents(few_shot(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TASK + "task: other\n", "'task': stands twice"),
        (TASK + "num_fewshot: !!python/object/apply:os.getcwd []\n", "the tag .*python"),
        (TASK + "num_fewshot: " + "[" * 100_000 + "\n", "too many levels"),
        (TASK + "num_fewshot: " + "9" * 5000 + "\n", "is no int"),
        (TASK + "include: stranger.yaml\n", "includes itself"),
        (TASK + "include: none.yaml\n", "cannot read .*none.yaml"),
        ("[1]\n", "found list"),
        (TASK.replace("task: stranger", "task: ~"), "'task': found None"),
        (TASK + "num_fewshot: many\n", "'num_fewshot': found 'many'"),
        (TASK + "fewshot_delimiter: [x]\n", r"'fewshot_delimiter': found \['x'\]"),
    ],
)
@pytest.mark.parametrize("load", [harness, few_shot])
def test_damaged_files_are_named(folder, load, text, message):
    (folder / "stranger.yaml").write_text(text)
    with pytest.raises(ProbeError, match=message):
        load(folder / "stranger.yaml")


def test_a_folder_whose_file_would_crash_the_reader_is_refused(folder):
    """libyaml's own recursion has no limit: the process would die."""
    (folder / "deep.yaml").write_text("[" * 100_000)
    with pytest.raises(ProbeError, match=r"deep.yaml, line 1: too many levels"):
        in_a_folder(written(folder, ""))
