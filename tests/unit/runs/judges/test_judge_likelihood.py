"""The embedded judge: fewer nats per token win."""

import csv

import pytest
from fakes import rows, write
from progress import Silent

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs.judges import Choice, LikelihoodJudge, judge
from mdlm_probe.runs.judges.columns import OWN_NAMES


def verdicts(folder, **choice):
    done = judge(folder, LikelihoodJudge(), Choice(**choice), Silent())
    assert done.failed == 0
    with done.path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fewer_nats_by_token_win(tmp_path):
    lines = rows(prompts=4, fracs=(0.1,))
    for line, (nll, tokens) in zip(lines[1::2], [(9, 5), (11, 5), (20, 10), (11, 6)], strict=True):
        line["nll"], line["scorer_tokens"] = float(nll), tokens
    found = verdicts(write(tmp_path, lines))
    assert tuple(found[0]) == OWN_NAMES
    assert [row["verdict"] for row in found] == ["A>B", "B>A", "A=B", "A>B"]
    assert [row["win"] for row in found] == ["1", "0", "0.5", "1"]
    assert [row["strength"] for row in found] == ["1", "-1", "0", "1"]
    assert {(row["judge"], row["model"], row["shown"], row["identical"]) for row in found} == {
        ("nll", "m", "none", "0")
    }
    assert [row["prompt"] for row in found] == [f"prose-0{n}" for n in (1, 2, 3, 4)]
    entry = read_run(tmp_path)["judge__nll"]
    assert entry["status"] == "finished"
    assert entry["config"]["probe"] == "judge"
    assert list(entry["config"]["of"]) == ["shift__m"]
    assert not (tmp_path / "judge__nll.replies.jsonl").exists()


def test_equal_texts_are_ties_whatever_their_likelihood(tmp_path):
    found = verdicts(write(tmp_path, rows(prompts=1, answer="same", nll=None)))
    assert [(row["verdict"], row["identical"], row["win"]) for row in found] == [
        ("A=B", "1", "0.5")
    ] * 2


@pytest.mark.parametrize(
    "answer",
    [
        {"nll": None, "scorer_tokens": 5000},
        {"nll": float("nan"), "scorer_tokens": 5},
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_an_answer_that_the_scorer_could_not_read_has_no_verdict(tmp_path, answer, which):
    lines = rows(prompts=2, fracs=(0.1,))
    lines[which] |= answer
    found = verdicts(write(tmp_path, lines))
    assert [(row["verdict"], row["win"]) for row in found] == [("refused", ""), ("B>A", "0")]
    assert "too long for the scorer" in found[0]["reason"]


@pytest.mark.parametrize("changed", [{"nll": None, "scorer_tokens": None}])
def test_unscored_answers_are_refused_with_the_option_that_helps(tmp_path, changed):
    folder = write(tmp_path, rows(**changed))
    with pytest.raises(ProbeError, match=r"answers without a likelihood(.|\n)*--scorer"):
        verdicts(folder)
    assert not (tmp_path / "judge__nll.csv").exists()


def test_another_choice_in_the_same_folder_is_refused(tmp_path):
    folder = write(tmp_path)
    first = verdicts(folder, limit=1)
    assert verdicts(folder, limit=1) == first
    with pytest.raises(ProbeError, match=r"another configuration:\n  options.limit: 1 -> null"):
        verdicts(folder)
    done = judge(folder, LikelihoodJudge(), Choice(), Silent(), fresh=True)
    assert done.verdicts == 3 * len(first)


def test_other_answers_are_another_run(tmp_path):
    folder = write(tmp_path)
    verdicts(folder)
    path = folder / "shift__m.csv"
    path.write_text(path.read_text().replace("none 0.0", "none 0.00"))
    with pytest.raises(ProbeError, match=r"of\.shift__m"):
        verdicts(folder)


@pytest.mark.parametrize(("which", "score"), [(0, "1"), (1, "0")])
def test_no_text_at_all_loses_against_any(tmp_path, which, score):
    lines = rows(prompts=1, fracs=(0.1,))
    lines[which] |= {"answer": "", "nll": 0.0, "scorer_tokens": 0}
    (found,) = verdicts(write(tmp_path, lines))
    assert found["win"] == score
