"""Calibration in reports: from rows to tables, and of the oracle on its own language."""

import json

import numpy as np
import pandas as pd
import planted
import pytest
import reference

from mdlm_probe import models
from mdlm_probe.analysis import calibration_report, frames, stats
from mdlm_probe.analysis.calibration_report import CONFIDENCE, HIT, graded
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.probes._few_shot import graded_answers
from mdlm_probe.probes.joint import calibration as of_joint
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.probes.joint import report as joint_report
from mdlm_probe.probes.locality import report as locality
from mdlm_probe.probes.masks import report as masks
from mdlm_probe.probes.needle import report as needle
from mdlm_probe.prompts import texts, toy_language

TEXTS, TOKENS, HIDDEN = 150, 20, (4, 5, 6, 11, 14)


@pytest.fixture(scope="module")
def oracle():
    return Engine(models.load(models.resolve("oracle")))


@pytest.fixture(scope="module")
def guesses(oracle):
    """The oracle's guesses at some masks of texts of its language, and the texts' own tokens."""
    chain, border, mask = toy_language.prose(), oracle.border, oracle.entry.mask_id
    rng = np.random.default_rng(0)
    drawn = [
        border.pieces(toy_language.texts(chain, chain.sample(TOKENS, rng))) for _ in range(TEXTS)
    ]
    top = Readout("top_logprob"), Readout("top_id")
    asked = [
        Query(tuple(mask if i in HIDDEN else t for i, t in enumerate(ids)), HIDDEN, top)
        for ids in drawn
    ]
    found = oracle.ask(asked)
    return pd.DataFrame(
        {
            "model": "oracle",
            "text": np.repeat(np.arange(TEXTS), len(HIDDEN)),
            "confidence": np.exp(np.concatenate([one["top_logprob"] for one in found])),
            "hit": np.concatenate(
                [
                    one["top_id"] == [ids[i] for i in HIDDEN]
                    for one, ids in zip(found, drawn, strict=True)
                ]
            ),
        }
    )


def table(rows, confidence):
    answers = graded(rows, confidence, rows["hit"], ["text"], ["text"])
    (line,) = calibration_report.calibration(answers, ["model"]).to_dict("records")
    return line, calibration_report.reliability(answers, ["model"])


def test_the_oracle_is_calibrated_on_its_own_language(guesses):
    line, curve = table(guesses, guesses["confidence"])
    assert line["n"] == line["units"] == TEXTS
    assert line["over_confidence_low"] < 0 < line["over_confidence_high"]
    assert abs(line["over_confidence"]) < 0.05
    assert line["ece_low"] == 0
    assert line["ece"] < line["ece_plain"]
    c = guesses["confidence"].to_numpy()
    ordered = np.sign(c[:, None] - c) / 2 + 0.5
    wanted = (c[:, None] * (1 - c) * ordered).sum() / (c.sum() * (1 - c).sum())
    assert line["auroc_low"] < wanted < line["auroc_high"]
    assert line["auroc_low"] > 0.6
    assert len(curve) in (9, 10)  # many are as sure as can be, which is one bin
    assert (curve["accuracy_low"] <= curve["mean_confidence"]).all()
    assert (curve["mean_confidence"] <= curve["accuracy_high"]).all()
    assert curve["answers"].sum() == len(guesses)


@pytest.mark.parametrize(("power", "sign"), [(0.3, 1), (2.5, -1)])
def test_a_reader_that_is_surer_or_less_sure_than_the_oracle_is_found(guesses, power, sign):
    line, curve = table(guesses, guesses["confidence"] ** power)
    assert line["over_confidence"] * sign > 0.1
    assert line["over_confidence_low"] * line["over_confidence_high"] > 0
    assert line["ece_low"] > 0
    assert line["ece"] == pytest.approx(abs(line["over_confidence"]), abs=0.02)
    assert line["auroc"] == pytest.approx(
        table(guesses, guesses["confidence"])[0]["auroc"], rel=1e-3
    )
    gaps = (curve["mean_confidence"] - curve["accuracy"]) * sign
    assert gaps.median() > 0.05


# ---------------------------------------------------------------------- few-shot


@pytest.fixture(scope="module")
def few_shot():
    rows = frames.frames(reference.FOLDER / "locality")[0]["locality"]
    return rows[rows["model"].isin(["tiny-mdlm", "oracle-biased"])].reset_index(drop=True)


def test_few_shot_answers_are_graded_among_tokens_and_among_options(few_shot):
    answers = graded_answers.answers(few_shot)
    tokens, options = (answers[answers["among"] == name] for name in ("tokens", "options"))
    assert len(tokens) == len(options) == len(few_shot)
    assert (tokens[CONFIDENCE].to_numpy() == few_shot["top1_prob"].to_numpy()).all()
    assert (tokens[HIT].to_numpy() == few_shot["correct"].to_numpy()).all()
    shares = np.exp(few_shot[["logp_A", "logp_B", "logp_C"]].to_numpy())
    wanted = shares.max(axis=1) / shares.sum(axis=1)
    assert options[CONFIDENCE].to_numpy() == pytest.approx(wanted)
    right = np.exp(few_shot["logp_right"].to_numpy()) >= shares.max(axis=1) * (1 - 1e-9)
    assert (options[HIT].to_numpy() >= few_shot["correct"].to_numpy()).all()
    assert (options[HIT].to_numpy() == right).mean() > 0.99  # equal ones count once


def test_localitys_calibration_is_by_position_over_relevant_tasks(few_shot):
    tables = locality.tables(few_shot)
    found = tables["calibration"]
    where = {"model": "tiny-mdlm", "question": "left", "position": 20, "among": "tokens"}
    (line,) = found[(found[[*where]] == pd.Series(where)).all(axis=1)].to_dict("records")
    own = few_shot[
        (few_shot[["model", "question", "position"]] == list(where.values())[:3]).all(axis=1)
    ]
    gaps = own["top1_prob"] - own["correct"]
    assert (line["n"], line["units"]) == (80, 8)
    assert line["over_confidence"] == pytest.approx(gaps.mean())
    area = stats.auroc(
        own["top1_prob"].to_numpy(), own["correct"].to_numpy() == 1, own["task"].to_numpy()
    )
    assert (line["auroc"], line["auroc_low"]) == pytest.approx((area.mean, area.low))
    assert set(tables["reliability"]["among"]) == {"tokens"}
    biased = found[(found["model"] == "oracle-biased") & (found["question"] == "right")]
    assert (biased.loc[biased["position"] == 0, "ece_low"] > 0.2).all()


def test_rows_of_before_without_options_have_no_calibration(few_shot):
    old = few_shot.drop(columns=["logp_A", "logp_B", "logp_C"])
    assert not {"calibration", "reliability"} & set(locality.tables(old))
    assert not len(graded_answers.answers(old))


@pytest.mark.slow
def test_masks_and_needle_have_it_by_what_is_appended_and_by_depth():
    rows = frames.frames(reference.FOLDER / "masks")[0]["masks"]
    found = masks.tables(rows[rows["model"] == "oracle-biased"])["calibration"]
    own = found[(found["filler"] == "mask") & (found["among"] == "options")]
    assert own["appended"].tolist() == [0, 50, 200, 400, 800]
    assert own["over_confidence"].iloc[0] == pytest.approx(0, abs=0.01)
    assert (own["over_confidence"].iloc[2:] < -0.25).all()  # right, and unsure of it
    rows = frames.frames(reference.FOLDER / "needle")[0]["needle"]
    found = needle.tables(rows)["calibration"]
    assert found["n"].max() <= rows["item"].nunique()
    absent = found[(found["depth"] == -1) & (found["model"] == "tiny-mdlm")]
    assert (absent["accuracy"] < 0.3).all()
    several = rows[rows["model"] == "tiny-mdlm"].assign(right_tokens=2)
    assert "calibration" not in needle.tables(several)


# ---------------------------------------------------------------------- joint


def test_joint_reads_what_was_most_probable_at_each_step_of_an_order(oracle):
    cells = joint.plan(
        lexicon="small", measure=("orders",), length=6, random=1, limit=1, tasks=("prose",)
    )
    rows = planted.measured(joint, oracle, cells, "oracle")["orders"]
    text = texts.chosen(texts.load("decay", "small"), ("prose",), 1, "left")[0]
    prompt = oracle.border.encode(text.prompt)
    tokens = oracle.border.cut(text.prompt, text.continuation)[1][:6]
    mask = oracle.entry.mask_id
    for order, path in (("left_to_right", range(6)), ("right_to_left", range(5, -1, -1))):
        (row,) = rows[rows["reveal_order"] == order].to_dict("records")
        window, tops, hits = [mask] * 6, [], []
        for place in path:
            ids = (*prompt, *window)
            (answer,) = oracle.ask([Query(ids, (len(prompt) + place,), (Readout("whole"),))])
            tops.append(float(np.exp(answer["whole"][0].max())))
            hits.append(int(answer["whole"][0].argmax() == tokens[place]))
            window[place] = tokens[place]
        assert row["confidences"] == pytest.approx(tops, rel=1e-3)
        assert row["matches"] == hits
    written = rows.assign(
        **{name: rows[name].map(json.dumps) for name in ("confidences", "matches")}
    )
    answers = of_joint.guesses(written)
    first = answers[(answers["reveal_order"] == "left_to_right")].sort_values("masks_left")
    assert first["masks_left"].tolist() == [1, 2, 2, 4, 4, 4]
    assert set(answers["reveal_order"]) == {
        *("left_to_right", "right_to_left", "low_confidence", "random")
    }


@pytest.mark.slow
def test_joint_runs_of_before_have_no_calibration():
    rows = frames.frames(reference.FOLDER / "joint")[0]["joint"]
    rows = {kind: own[own["model"] == "tiny-mdlm"] for kind, own in rows.items()}
    assert "calibration" in joint_report.tables(rows)
    old = rows | {"orders": rows["orders"].assign(confidences=np.nan, matches=np.nan)}
    assert "calibration" not in joint_report.tables(old)
