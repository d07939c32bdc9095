"""Choices of several tokens, on a reader whose every answer is known: each token of them counts.

What a token gets depends on the question, on what was said before it, and on all masks that stand
there: a choice read by its first token alone, or among another choice's masks, is another one.
"""

import json
import math
import re

import planted
import pytest

from mdlm_probe.probes.masks import probe as masks

PHRASES = """
task: phrases
dataset_path: json
dataset_kwargs: {data_files: {train: phrases.jsonl, test: phrases.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "Options: (A) {{a}}, (B) {{b}}, (C) {{c}}\\nAnswer:["
doc_to_choice: "{{[a, b, c]}}"
doc_to_target: right
target_delimiter: ""
fewshot_delimiter: "].\\n\\n"
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
WORDS = ("goat", "sheep", "grape", "boxing", "basketball", "lion", "plum", "tennis")
OPTIONS = re.compile(r"\(A\) (.+?), \(B\) (.+?), \(C\) (.+?)\nAnswer:\[")
CELLS = {"masks": ("0", "4"), "filler": ("mask",), "side": ("right", "left"), "limit": 3}
CELLS |= {"shots": (2,), "distractors": (0,), "lexicon": "small", "answer": "word"}


class Reader:
    """The rule: the next token of each choice that begins with what was said."""

    def __init__(self, model):
        self.border = planted.PlantedReader(None, model).border
        self.mask = self.border.entry.mask_id
        self.begins, self.opens = (
            self.border.pieces(t)[0] for t in ("Options: (A) ", "\nAnswer:[")
        )
        self.options = {}

    def __call__(self, ids, at):
        asked = len(ids[:at]) - ids[:at][::-1].index(self.opens)
        first = asked - ids[:asked][::-1].index(self.begins) - 1
        options = OPTIONS.search(self.border.decode(ids[first:asked])).groups()
        left = 0 if self.mask is None else ids.index(self.begins)
        return self.told(options, ids[asked:at], left, ids[at:].count(self.mask))

    def told(self, options, said, left, right):
        found = {}
        for option in options:
            tokens = self.border.pieces(option)
            if tokens[: len(said)] == said and len(tokens) > len(said):
                token = tokens[len(said)]
                found[token] = 0.02 + planted.drawn(options, said, left, right, token)
        return {
            token: 0.9 * weight / (sum(found.values()) + 0.5) for token, weight in found.items()
        }

    def logps(self, options, left, right):
        """Of each choice, by the chain rule; its own masks are as many as its tokens."""
        found = []
        for option in options:
            tokens = self.border.pieces(option)
            steps = range(len(tokens))
            own = [0 if self.mask is None else len(tokens) - n + right for n in steps]
            ps = [self.told(options, tokens[:n], left, own[n])[tokens[n]] for n in steps]
            found.append(sum(map(math.log, ps)))
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A task whose choices have one to four tokens; answers are balanced."""
    path = tmp_path_factory.mktemp("task")
    rows = []
    for n, word in enumerate(WORDS):
        following = WORDS[(n + 1) % len(WORDS)], WORDS[(n + 3) % len(WORDS)]
        choices = [f"{word} and.", following[0], f"{word} near."]
        choices = choices[n % 3 :] + choices[: n % 3]
        rows.append(dict(zip("abc", choices, strict=True)) | {"right": (n * 5) % 3})
    (path / "phrases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "phrases.yaml").write_text(PHRASES)
    return path


@pytest.mark.parametrize("model", ["oracle", "oracle-causal"])
@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_every_choice_is_the_readers(folder, model, metric):
    options = {"lm_eval_task": "phrases", "include_path": str(folder), "metric": metric}
    if model == "oracle-causal":
        options |= {"masks": ("0",)}
    cells = masks.plan(**CELLS | options)
    reader = Reader(model)
    rows = planted.measured(masks, planted.engine(reader, model), cells)
    documents = [json.loads(line) for line in (folder / "phrases.jsonl").read_text().splitlines()]
    asked = {}
    assert len(rows) == len(cells)
    for line in rows.to_dict("records"):
        count = int(line["amount"])
        left, right = (count, 0) if line["side"] == "left" else (0, count)
        known = [tuple(d[x] for x in "abc") for d in documents]
        logps = {o: reader.logps(o, left, right) for o in known}
        found = [
            o
            for o in known
            if [line[f"logp_{x}"] for x in "ABC"] == pytest.approx(logps[o], rel=1e-5)
        ]
        (own,) = found
        asked.setdefault((line["set"], line["item"]), set()).add(own)
        target = documents[known.index(own)]["right"]
        values = logps[own]
        if metric == "acc_norm":
            values = [v / len(o) for v, o in zip(values, own, strict=True)]
        best = "ABC"[values.index(max(values))]
        want = {"right": "ABC"[target], "predicted": best, "correct": best == "ABC"[target]}
        want |= {"appended": count, "mask_tokens": 3 + count if model == "oracle" else 0}
        assert {name: line[name] for name in want} == want
        assert line["logp_right"] == pytest.approx(logps[own][target], rel=1e-5)
    assert all(len(found) == 1 for found in asked.values())
    assert len(set().union(*asked.values())) >= 3
    assert rows["predicted"].nunique() > 1
