"""Examples of verdicts: both answers, what the judge said, from the folder that it judged."""

import json

import made_runs
import pytest
import reference

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.examples.parts import DifferencePart, TextPart
from mdlm_probe.core.cells import key
from mdlm_probe.core.csv_text import lines_of
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.reports.html import examples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shifted answers to one prompt, judged without a model: of the committed study."""
    folder = tmp_path_factory.mktemp("judged")

    def kept(row):
        kinds = ("none", "shift", "replace")
        mine = (row["prompt"], row["seed"]) == ("prose-04", "0") and row["frac"] in ("0", "0.1")
        return [row] if mine and row["intervention"] in kinds else []

    reference.run(folder, "shift", "tiny-mdlm")
    for name in ("shift__tiny-mdlm", "judge__language"):
        made_runs.changed(folder, name, kept)
    made_runs.changed(folder, "judge__models__language", lambda row: [])
    return folder


def of(folder, limit=8):
    frame = frames.frames(folder)[0]["judge"]
    return examples.of(folder, "judge", frame, read_run(folder), limit)


def texts(example):
    return {part.label: part.text for part in example.parts if isinstance(part, TextPart)}


def test_a_verdict_stands_beside_both_answers(folder):
    shifts = frames.frames(folder)[0]["shift"].set_index(["intervention", "frac"])["answer"]
    found = of(folder)
    assert len(found) == 4
    assert len(of(folder, limit=2)) == 2
    for example in found:
        _, moved, _ = example.title.split(", ")
        kind, frac = moved.split()
        (differs,) = (part for part in example.parts if isinstance(part, DifferencePart))
        read = "".join(text for mark, text in differs.pieces if mark != "gone")
        assert read == shifts[kind, float(frac)]
        assert texts(example)["unshifted answer"] == shifts["none", 0.0]
        assert texts(example)["prompt"].startswith(" the")
        said = texts(example)["verdict, the shifted answer being A"].partition(":")[0]
        ends = {"A>B": "the shifted answer won", "A=B": "a tie", "B>A": "the shifted answer lost"}
        assert example.title.endswith(ends[said])
        assert said == "A=B" or frac != "0"


def test_without_the_answers_the_verdicts_are_left(folder, tmp_path):
    frame = frames.frames(folder)[0]["judge"]
    found = examples.of(tmp_path, "judge", frame, read_run(folder))
    assert len(found) == 4
    assert all("no answers" in texts(example) for example in found)


def test_what_a_judge_wrote_stands_with_its_pair(folder, tmp_path):
    """Two orders, of which one has a reply; another pair's reply stands with that one."""
    for path in folder.glob("shift__*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    about = {"judge": "jury", "model": "tiny-mdlm", "prompt": "prose-04", "task": "prose"}
    about |= {"settings": "length=32 steps=32", "seed": 0, "frac": 0.1}
    orders = (("first", "A>B", 1.0), ("second", "A=B", 0.5))
    rows = [
        about | {"intervention": kind, "shown": order, "verdict": said, "win": score, "reason": ""}
        for kind in ("shift", "replace")
        for order, said, score in orders
    ]
    columns = tuple(rows[0])
    header = dict(zip(columns, columns, strict=True))
    (tmp_path / "judge__jury.csv").write_bytes(lines_of([header, *rows], columns))
    told = {"judge__jury": {"status": "finished", "config": {"probe": "judge", "judge": "jury"}}}
    (tmp_path / "run.json").write_text(json.dumps(read_run(folder) | told))
    named = {"model": "tiny-mdlm", "prompt": "prose-04", "length": "32", "steps": "32", "seed": "0"}
    lines = []
    for call, kind, text in (
        ("a", "shift", "old"),
        ("a", "shift", "<b>why"),
        ("b", "replace", "no"),
    ):
        reply = {"choices": [{"message": {"content": text}}]}
        pair = key(named | {"intervention": kind, "frac": "0.1"}) + "#2" * (kind == "replace")
        lines.append({"call": call, "pair": pair, "order": "first", "response": reply})
    lines.append({"call": "c", "pair": key(named), "order": "first", "failed": "no reply"})
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"half'
    (tmp_path / "judge__jury.replies.jsonl").write_text(text)
    found = {example.title.split()[1]: texts(example) for example in of(tmp_path)}
    wrote = "what the judge wrote, the shifted answer first"
    assert found["shift"][wrote] == "<b>why"
    assert found["replace"][wrote] == "no"
    assert found["shift"]["verdict, the shifted answer first (A)"] == "A>B"
    assert found["shift"]["verdict, the unshifted answer first (A)"] == "A=B"
    (score,) = {e.title.rpartition(": ")[2] for e in of(tmp_path)}
    assert score == "the shifted answer won"
    assert all("unshifted answer" in parts for parts in found.values())
