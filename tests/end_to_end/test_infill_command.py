"""`generate --infill`: files and typed prompts, what is drawn, resumed and refused."""

import json

import pytest
from commands import call

from mdlm_probe.core.options import recorded
from mdlm_probe.prompts import infill
from mdlm_probe.runs import generate

TYPED = (" the wind <mask:4> hill, and<mask:3>.", " a <mask> lake.")


def typed(*arguments, fails=False):
    result = call("generate", *arguments, code=None)
    assert (result.exit_code != 0) is fails, result.output
    return result


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("infill")
    said = typed(*TYPED, "-m", "tiny-mdlm", "--infill", "--show", "-o", folder).output
    return folder / "generate__tiny-mdlm.jsonl", said


def test_the_lines_hold_the_whole_text_and_its_parts(run):
    path, said = run
    for row, prompt in zip(rows(path), TYPED, strict=True):
        told = infill.parse(prompt, "p")
        assert row["prompt_text"] == prompt
        assert row["filled_text"] == told.whole(row["parts"])
        assert row["answer"] == "".join(row["parts"])
        assert row["answer_tokens"] == sum(told.masks) == row["passes"]
        assert row["filled_text"] in said  # drawn within the text around them


def test_a_file_is_read_as_typed_prompts_are_and_resumed(run, tmp_path):
    """A run that was stopped after its first answer ends as one that never was."""
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps({"prompt": p, "continuation": "."}) + "\n" for p in TYPED))
    given = ("--prompts", file, "-m", "tiny-mdlm", "--infill", "-q", "--batch-tokens", "16")
    typed(*given, "-o", tmp_path / "out")
    path = tmp_path / "out" / "generate__tiny-mdlm.jsonl"
    whole = path.read_bytes()
    texts = ("parts", "filled_text", "token_steps", "logprobs")
    assert [[row[n] for n in texts] for row in rows(path)] == [
        [row[n] for n in texts] for row in rows(run[0])
    ]
    path.write_bytes(whole[: whole.index(b"\n") + 9])
    record = tmp_path / "out" / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"started"'))
    typed(*given, "-o", tmp_path / "out")
    assert path.read_bytes() == whole


def test_markers_are_text_where_nobody_asks(tmp_path):
    """They are read as before, by a model of which they are no token, and a masked one says so."""
    plain = typed(TYPED[1], "-m", "tiny-arlm", "--length", "4", "-o", tmp_path / "a")
    (row,) = rows(tmp_path / "a" / "generate__tiny-arlm.jsonl")
    assert row["prompt_text"] == TYPED[1]
    assert "filled_text" not in row
    assert "--infill" not in plain.output
    refused = typed(TYPED[1], "-m", "tiny-mdlm", "-o", tmp_path / "b", fails=True)
    assert "only --infill fills it in" in refused.output
    assert "infill" not in recorded(generate.plan, {"infill": False, "length": 4})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-m", "tiny-arlm"), "causal"),
        (("-m", "tiny-mdlm", "--length", "8"), "--length"),
        (("-m", "tiny-mdlm", "--arena-hard"), "--arena-hard"),
        (("-m", "tiny-mdlm", "--style", "chat"), "--style base"),
        (("-m", "tiny-mdlm", "--block", "2", "--steps", "2"), "4 blocks"),
        (("-m", "tiny-mdlm", "--block", "-2"), "--block"),
    ],
)
def test_what_does_not_go_with_infilling_is_refused(more, said, tmp_path):
    output = typed(TYPED[0], "--infill", *more, "-o", tmp_path, fails=True).output
    assert said in output
    assert "Traceback" not in output


def test_a_presets_length_and_steps_are_for_answers(tmp_path):
    given = (TYPED[1], "-m", "tiny-mdlm", "--infill", "--preset", "dream", "-q")
    typed(*given, "-o", tmp_path)
    (row,) = rows(tmp_path / "generate__tiny-mdlm.jsonl")
    assert row["passes"] == 1
