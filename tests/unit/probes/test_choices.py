"""Which options are answered: shares by hand, and a warning where one of them is all there is."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from mdlm_probe import models
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes._few_shot import choices, questions
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.probes.locality import report as locality_report
from mdlm_probe.probes.masks import card
from mdlm_probe.probes.masks import probe as masks
from mdlm_probe.probes.masks import report as masks_report


def chosen(rows):
    return choices.chosen(choices.with_letters(rows))


def answered(*pairs, answer="letter", suite="few-shot", options=3):
    """Rows with (predicted, right) letters; words are those letters in lower case."""
    rows = []
    for said, right in pairs:
        logps = {f"logp_{x}": -0.5 if x == said else -3.0 for x in "ABC"[:options]}
        logps |= {f"logp_{right}": logps[f"logp_{right}"] - 0.01}
        known = said in "ABC"
        word = str.lower if answer == "word" and not suite.startswith("lm-eval") else str
        top = np.exp(max(logps.values())) if known else 0.9
        rows.append(
            {"suite": suite, "options": options, "answer_form": answer, "top1_prob": top}
            | {"predicted": word(said), "right": word(right), **logps}
            | {"logp_right": logps[f"logp_{right}"]}
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("answer", "suite"), [("letter", "few-shot"), ("word", "few-shot"), ("word", "lm-eval:x")]
)
def test_shares_by_hand(answer, suite):
    rows = answered(
        *(("A", "A"), ("A", "B"), ("B", "B"), ("C", "A"), ("?", "C")), answer=answer, suite=suite
    )
    found = chosen(rows)
    shares = [found[f"chose_{name}"] for name in ("A", "B", "C", "other")]
    assert shares == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert found["top_choice"] == pytest.approx(0.4)
    assert found["warning"] == ""
    assert "reused" not in found, "an older run's rows don't say"
    assert choices.in_words(found) == "A 40%, B 20%, C 20%, other 20%"


@pytest.mark.parametrize("answer", ["letter", "word"])
def test_one_letter_for_everything_is_warned_of(answer):
    mixed = [("B", right) for right in "ABCABC"]
    found = chosen(answered(*mixed, answer=answer))
    assert found["warning"] == "100% of the answers are B"
    assert choices.in_words(found).endswith("(warning: 100% of the answers are B)")
    none = chosen(answered(*[("?", right) for right in "ABCABC"], answer=answer))
    assert none["warning"] == "100% of the answers are none of the options"
    right = chosen(answered(*[("B", "B")] * 6, answer=answer))
    assert right["warning"] == "", "all of them are right"
    most = chosen(answered(*mixed, ("A", "A"), answer=answer))
    assert most["warning"] == "", "six of seven"


def test_rows_without_predictions_have_no_shares():
    bare = answered(("A", "B")).drop(columns="predicted")
    assert chosen(bare) == {}
    assert choices.in_words({"accuracy": 0.5}) == "-"


SMALL = {"lexicon": "small", "answer": "word", "shots": 2, "distractors": 2, "limit": 6}


class FirstOption:
    """An oracle with a planted fault: its answer is the first option, whatever the question."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.__dict__ |= {k: getattr(oracle, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}
        (self.letter,) = oracle.border.pieces("Options: (A) ")

    def states(self, ids, lengths, rows, positions, origins=None):
        found = []
        for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
            before = ids[row, :position].tolist()
            found.append(before[len(before) - before[::-1].index(self.letter)])
        return torch.tensor(found, dtype=torch.float)[:, None]

    def logprobs(self, states):
        logits = torch.zeros(len(states), self.vocab)
        logits[torch.arange(len(states)), states[:, 0].long()] = 20.0
        return logits.log_softmax(-1)


@pytest.mark.parametrize("probe", [locality, masks])
def test_a_planted_reader_of_the_first_option_is_warned_of_in_every_table_of_accuracy(probe):
    engine = Engine(FirstOption(models.load(models.resolve("oracle"))), batch_tokens=4096)
    more = {"positions": (0, 2)} if probe is locality else {"masks": ("0", "4")}
    if probe is masks:
        more |= {"filler": ("mask",), "shots": (2,), "distractors": (2,)}
    cells = probe.plan(**{**SMALL, "tasks": ("animal", "colour"), **more})
    frame = pd.DataFrame(
        {"model": "m"} | asdict(cell) | row for cell, (row,) in probe.measure(engine, cells)
    )
    assert 0 < frame["correct"].mean() < 0.6
    report = locality_report if probe is locality else masks_report
    tables = report.tables(frame)
    main = tables["accuracy" if probe is locality else "curve"]
    assert main["chose_A"].tolist() == [1.0] * len(main)
    assert main["chose_other"].tolist() == [0.0] * len(main)
    assert set(main["warning"]) == {"100% of the answers are A"}
    if probe is masks:
        look = tables["overview"]
        assert set(look["warning"]) == {"mask: 100% of the answers are A"}
        assert look["top_choice mask"].tolist() == [1.0, 1.0]
        lines = card._accuracy(main.assign(model="m"))
        assert lines[2].endswith("A 100%, B 0%, C 0% (warning: 100% of the answers are A) |")


def test_reused_counts_the_options_that_an_example_has():
    entry = models.resolve("oracle")
    asker = DryRun(entry, models.load_border(entry))
    suite = "lm-eval:suite_animal_words"
    cells = locality.plan(**SMALL, positions=(0,), tasks=("animal",))
    cells += locality.plan(
        **{**SMALL, "shots": 12}, positions=(0,), lm_eval_task=suite.removeprefix("lm-eval:")
    )
    found = {"few-shot": [], suite: []}
    for cell, (row,) in locality.measure(asker, cells):
        (example,) = questions.test_points([cell])
        shots = questions.load(cell.suite, "small")[cell.set].shots("relevant", cell.shots, 0)
        known = {option.lower() for shot in shots for option in shot.options}
        assert row["reused"] == len([o for o in example.options if o.lower() in known])
        found[cell.suite].append(row["reused"])
    assert set(found["few-shot"]) == {0}
    frame = answered(*[("A", "A")] * 4).assign(reused=[0, 2, 1, 0])
    assert chosen(frame)["reused"] == 0.5
