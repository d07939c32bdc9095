"""Models against each other: who is paired, what has no partner, what verdicts and tables say."""

import csv
import json
import math

import numpy as np
import pandas as pd
import pytest
from commands import call
from fakes import Server, chat, rows, write
from made_answers import generated
from pictured import pictured
from progress import Silent

from mdlm_probe.analysis import stats
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import texts
from mdlm_probe.reports import probe_report
from mdlm_probe.runs.judges import (
    LanguageJudge,
    LikelihoodJudge,
    ModelChoice,
    answer_sets,
    judge_models,
    model_pairs,
)
from mdlm_probe.runs.judges import report as judge_report
from mdlm_probe.runs.judges.columns import NAMES


class Notes(Silent):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def two(tmp_path):
    """Two runs: three prompts in common, one of another text, one on either side alone."""
    ours = {"1": "aa", "2": "bb", "3": "same", "4": ("Another text", "x"), "5": "mine"}
    generated(tmp_path / "base", "m", ours)
    generated(tmp_path / "tuned", "n", {"1": "a", "2": "b", "3": "same", "4": "x", "6": "theirs"})
    return tmp_path / "base", tmp_path / "tuned"


def test_answers_to_the_same_prompt_are_paired_and_others_counted(two):
    pairs, left = model_pairs.pairs_of(answer_sets.load(two), ModelChoice())
    assert [(p.prompt, p.model, p.against, p.answer.text, p.other.text) for p in pairs] == [
        ("1", "m", "n", "aa", "a"),
        ("2", "m", "n", "bb", "b"),
        ("3", "m", "n", "same", "same"),
    ]
    assert [pair.asked for pair in pairs] == ["What is 1?", "What is 2?", "What is 3?"]
    assert left == {
        "m against n": {
            "prompts with another text under the same id": 1,
            "answers of m alone": 1,
            "answers of n alone": 1,
        }
    }
    assert len(model_pairs.pairs_of(answer_sets.load(two), ModelChoice(limit=2))[0]) == 2


def test_undisturbed_answers_of_shift_are_paired_with_generated_ones(tmp_path):
    write(tmp_path / "shift", rows(prompts=2, model="m"), model="m")
    known = texts.load("decay", "small")[:2]
    made = {t.id: (t.prompt, "an answer") for t in known}
    generated(tmp_path / "made", "m", made, prompts="decay", lexicon="small", text=[])
    sets = answer_sets.load([tmp_path / "shift", tmp_path / "made"])
    assert [one.name for one in sets] == ["m (shift)", "m (made)"]
    pairs, left = model_pairs.pairs_of(sets, ModelChoice())
    assert left == {}
    assert [pair.answer.text for pair in pairs] == [f"\n{t.id} \\n none 0.0, 0" for t in known]


def test_ways_of_decoding_and_seeds_are_models_and_pairs_of_their_own(tmp_path):
    lines = [
        line
        for steps in (4, 8)
        for line in rows(prompts=2, steps=steps, seeds=(0, 1), answer=f"{steps} steps")
    ]
    sets = answer_sets.load([write(tmp_path, lines)])
    assert [one.name for one in sets] == ["m (steps=4)", "m (steps=8)"]
    pairs, _ = model_pairs.pairs_of(sets, ModelChoice())
    assert [(pair.prompt[-1], pair.seed) for pair in pairs] == [
        ("1", "0"), ("1", "1"), ("2", "0"), ("2", "1"),
    ]  # fmt: skip
    assert len({pair.id for pair in pairs}) == 4


def test_each_with_each_or_all_against_one(tmp_path):
    for name in "abc":
        generated(tmp_path, name, {"1": name})
    sets = answer_sets.load([tmp_path])

    def matches(**choice):
        pairs, _ = model_pairs.pairs_of(sets, ModelChoice(**choice))
        return [pair.model + pair.against for pair in pairs]

    assert matches() == ["ab", "ac", "bc"]
    assert matches(against="b") == ["ab", "cb"]
    with pytest.raises(ProbeError, match="unknown model 'd'"):
        matches(against="d")
    with pytest.raises(ProbeError, match="one model's answers only: a"):
        model_pairs.pairs_of(sets[:1], ModelChoice())


def test_what_cannot_be_compared_is_refused(tmp_path, two):
    with pytest.raises(ProbeError, match="no answers to judge in"):
        answer_sets.load([tmp_path / "gone", two[0]])
    with pytest.raises(ProbeError, match="named twice"):
        answer_sets.load([two[0], two[0]])
    generated(tmp_path / "else", "o", {"9": "x"})
    sets = answer_sets.load([two[0], tmp_path / "else"])
    with pytest.raises(ProbeError, match=r"no prompt is answered by two of m, o[\s\S]*alone: 1"):
        model_pairs.pairs_of(sets, ModelChoice())
    path = two[0] / "run.json"
    path.write_text(path.read_text().replace("finished", "started"))
    with pytest.raises(ProbeError, match="unfinished"):
        answer_sets.load(two)


def test_likelihoods_of_different_scorers_are_not_compared(tmp_path):
    for name, scorer in (("a", "x"), ("b", "y")):
        told = {"name": scorer, "kind": "causal"}
        write(tmp_path / name, rows(prompts=1, model=name, answer=name), model=name)
        path = tmp_path / name / "run.json"
        entries = json.loads(path.read_text())
        entries[f"shift__{name}"]["scorer"] = told
        path.write_text(json.dumps(entries))
    folders = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ProbeError, match="scored by different models: x and y"):
        judge_models(folders, LikelihoodJudge(), ModelChoice(), tmp_path / "out", Silent())


def test_the_language_judges_models(tmp_path):
    """One that answers right against one that doesn't: 100 %, and said to be infinitely better."""
    asked = [t for t in texts.load("open", "small") if t.answer][:6]
    named = {"prompts": "open", "lexicon": "small", "text": []}
    right = {t.id: (t.prompt, t.answer) for t in asked}
    generated(tmp_path / "r", "right", right, **named)
    generated(tmp_path / "w", "wrong", {t.id: (t.prompt, "no") for t in asked}, **named)
    notes = Notes()
    folders, out = [tmp_path / "r", tmp_path / "w"], tmp_path / "out"
    done = judge_models(folders, LanguageJudge(), ModelChoice(), out, notes)
    found = read(done.path)
    assert done.path.name == "judge__models__language.csv"
    assert tuple(found[0]) == NAMES
    assert {(row["model"], row["against"], row["win"]) for row in found} == {
        ("right", "wrong", "1")
    }
    assert [int(row["characters"]) for row in found] == [len(t.answer) for t in asked]
    before = done.path.read_bytes()
    judge_models(folders, LanguageJudge(), ModelChoice(), out, notes)
    assert "finished: nothing to do" in notes.said[-1]
    judge_models(folders, LanguageJudge(), ModelChoice(), out, notes, fresh=True)
    assert done.path.read_bytes() == before
    entry = json.loads((out / "run.json").read_text())["judge__models__language"]
    assert list(entry["config"]["of"]) == ["../r/generate__right", "../w/generate__wrong"]
    frame = pd.read_csv(done.path)
    table = judge_report.tables(frame)
    assert list(table) == ["models", "strength", "length"]
    assert list(table["strength"]["strength"]) == [math.inf, -math.inf]
    assert any("right never lost" in note for note in judge_report.notes(frame))


def verdict(prompt, win, sizes, model="m", against="n", judge="jury", shown="none"):
    """A row as judging writes it."""
    told = {1.0: "A>B", 0.0: "B>A", 0.5: "A=B"}
    row = {"judge": judge, "model": model, "prompt": prompt, "task": "t", "settings": np.nan}
    row |= {"seed": 0, "intervention": "none", "frac": 0.0, "shown": shown, "identical": 0}
    row |= {"verdict": told[win], "win": win, "strength": 2 * win - 1, "against": against}
    return row | dict(zip(("characters", "against_characters"), sizes, strict=True))


def judged(likes_longer, prefers, prompts=600, seed=0):
    """Verdicts of one who likes longer texts, and the first model: n's answers are longer."""
    rng = np.random.default_rng(seed)
    found = []
    for prompt in range(prompts):
        sizes = rng.integers(100, 900), rng.integers(300, 1100)
        far = prefers + likes_longer * (sizes[0] - sizes[1]) / 400
        won = float(rng.random() < 1 / (1 + math.exp(-far)))
        found.append(verdict(f"p{prompt}", won, sizes))
    return pd.DataFrame(found)


def only(frame, name):
    (row,) = judge_report.tables(frame)[name].to_dict("records")
    return row


def test_a_judge_who_only_likes_length_is_found_out():
    frame = judged(likes_longer=2.0, prefers=0.0)
    row, length = only(frame, "models"), only(frame, "length")
    assert row["winrate_high"] < 0.45, "n seems better, being longer"
    assert row["equal_length_low"] < 0.5 < row["equal_length_high"]
    assert length["longer_wins_low"] > 0.6
    assert length["length_effect_low"] > 0
    assert length["length_p"] < 1e-6
    assert any("the longer answer wins" in note for note in judge_report.notes(frame))
    assert set(pictured(judge_report, judge_report.tables(frame), frame)) == {"models", "strength"}


def test_a_preference_survives_equal_lengths():
    frame = judged(likes_longer=0.0, prefers=1.0)
    row, length = only(frame, "models"), only(frame, "length")
    assert row["equal_length"] == pytest.approx(1 / (1 + math.exp(-1)), abs=0.06)
    assert row["equal_length_low"] > 0.6
    assert length["length_effect_low"] < 0 < length["length_effect_high"]
    assert judge_report.notes(frame) == []
    both = judged(likes_longer=2.0, prefers=1.0)
    row = only(both, "models")
    assert row["winrate"] < row["equal_length_low"], "length hid it"
    assert row["equal_length_low"] > 0.5


def test_one_who_sees_nothing_but_length_leaves_nothing_to_say():
    frame = pd.DataFrame(
        verdict(f"p{i}", float(i % 3 == 0), (100 + (i % 3 == 0) * 100, 150)) for i in range(12)
    )
    row, length = only(frame, "models"), only(frame, "length")
    assert math.isnan(row["equal_length"])
    assert length["longer_wins"] == 1
    assert length["length_effect"] == math.inf
    assert any("every win to the longer answer" in note for note in judge_report.notes(frame))


def test_win_rates_of_pairs_and_their_correction():
    frame = pd.DataFrame(
        verdict(f"p{i}", float(i < won) if i < 10 else 0.5, (5, 5), *names)
        for won, *names in ((10, "a", "b"), (9, "a", "c"), (5, "b", "c"))
        for i in range(12)
    )
    table = judge_report.tables(frame)["models"]
    assert list(table["winrate"]) == pytest.approx([11 / 12, 10 / 12, 0.5])
    assert list(table["ties"]) == [2, 2, 2]
    p = [2 * 0.5**10, 2 * 11 * 0.5**10, 1.0]
    assert list(table["p"]) == pytest.approx(p)
    assert list(table["p_holm"]) == pytest.approx(list(stats.holm(p)))
    order = list(judge_report.tables(frame)["strength"]["model"])
    assert order == ["a", "c", "b"], "b and c are level, and c lost less to a"
    assert judge_report.tables(frame)["length"]["decided"].tolist() == [0]


def test_shifted_answers_keep_their_tables_beside_models():
    """Both kinds of verdicts in one folder: each has its own tables."""
    shifted = [verdict("p", 1.0, (5, 4)) | {"intervention": "shift", "frac": 0.1}]
    alone = pd.DataFrame(shifted).drop(columns=["against", "characters", "against_characters"])
    both = pd.concat([alone, pd.DataFrame([verdict("p", 1.0, (5, 4))])], ignore_index=True)
    found = judge_report.tables(both)
    assert list(found) == ["winrate", "models", "strength", "length"]
    pd.testing.assert_frame_equal(found["winrate"], judge_report.tables(alone)["winrate"])


@pytest.mark.slow
def test_two_runs_as_a_person_judges_them(tmp_path, two):
    out = tmp_path / "out"
    with Server(lambda text, n: (200, chat("[[A>B]]"))) as server:
        typed = ["--endpoint", server.url, "--judge", "jury", "-o", out]
        result = call("judge", *two, *typed)
        assert len(server.asked) == 4, "two pairs in both orders; equal texts are a tie"
        again = call("judge", *two, *typed)
        assert len(server.asked) == 4
    assert "m against n, not compared: answers of m alone: 1, answers of n" in result.stderr
    assert "nothing to do" in again.stderr
    for words in ("judge: models", "judge: strength", "unclear"):
        assert words in result.stdout
    assert (out / "judge-models.png").exists()
    entry = json.loads((out / "run.json").read_text())["judge__models__jury"]
    assert entry["unpaired"]["m against n"]["answers of m alone"] == 1
    assert entry["compared"] == ["m", "n"]
    assert probe_report.models_of(out) == ("m", "n"), "their colours, and what a page offers"
    report = call("report", out)
    assert "judge: models" in report.stdout
    assert (out / "report.html").exists()
    found = read(out / "judge__models__jury.csv")
    assert [row["win"] for row in found] == ["1", "0", "1", "0", "0.5"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--intervention", "shift"], "--intervention has no meaning between models"),
        (["--between", "interventions"], "2 runs, but --between is interventions"),
        (["--against", "z"], "unknown model 'z'"),
    ],
)
def test_options_between_models(two, typed, words):
    assert words in call("judge", *two, *typed, "--judge-by", "language", code=1).stderr


@pytest.mark.slow
def test_models_within_one_run_of_shift(tmp_path):
    for name in "ab":
        write(tmp_path, rows(model=name, answer=name), model=name)
    result = call("judge", tmp_path, "--between", "models", "--judge-by", "language")
    assert "judge: models" in result.stdout
    assert "judge: winrate" not in result.stdout
    assert "--against has no meaning" in call("judge", tmp_path, "--against", "a", code=1).stderr
