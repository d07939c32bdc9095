"""The remasking probe: the oracle by brute force, causal models, errors, tables, options."""

import json

import numpy as np
import pandas as pd
import planted
import pytest
from scipy.special import logsumexp, ndtr

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.remasking import planted_errors, report
from mdlm_probe.probes.remasking import probe as remasking
from mdlm_probe.prompts import toy_language
from mdlm_probe.prompts.toy_grammar import is_prose

SENTENCES = (
    (" the wind crossed the road.", " the king met often near a child."),
    (" a pale child kept the lamp.", " the copper kettle passed the road."),
)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    path = tmp_path_factory.mktemp("remasking") / "own.jsonl"
    rows = [{"prompt": a, "continuation": b} for a, b in SENTENCES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def measured(name, prompts, **options):
    engine = Engine(models.load(models.resolve(name)))
    reading = ("left",) if engine.entry.kind == "causal" else ("masked",)
    cells = remasking.plan(prompts=prompts, length=8, errors=1, **{"reading": reading} | options)
    return engine, planted.measured(remasking, engine, cells, name)


def text_of(engine, row, own=False):
    """The whole of a row's text, its prompt's length, and the error's place in it."""
    prompt, follows = SENTENCES[int(row["prompt"]) - 1]
    first = len(engine.border.encode(prompt))
    ids = [*engine.border.encode(prompt), *engine.border.cut(prompt, follows)[1][:8]]
    at = -1
    if row["error"] != "none":
        at = first + int(row["error_at"])
        if not own:
            ids[at] = engine.border.token(row["wrong_token"])
    return ids, first, at


def test_the_oracles_surprisal_is_the_exact_leave_one_out_posterior(prompts):
    engine, rows = measured("oracle", prompts, error=("unigram",))
    oracle = models.load(models.resolve("oracle"))
    known = [engine.border.token(word) for word in toy_language.prose().tokens]
    row = next(row for row in rows["texts"].to_dict("records") if row["error"] != "none")
    ids, first, at = text_of(engine, row)
    for place in {first, min(at + 1, len(ids) - 1), at}:
        every = [
            oracle.log_likelihood([*ids[:place], token, *ids[place + 1 :]])
            for token in {*known, ids[place]}
        ]
        wanted = logsumexp(every) - oracle.log_likelihood(ids)
        assert row["surprisals"][place - first] == pytest.approx(wanted, rel=2e-3, abs=2e-4)


def test_a_causal_models_surprisals_are_its_chain_rule_and_rise_on_the_right_only(prompts):
    engine, rows = measured("oracle-causal", prompts)
    oracle = models.load(models.resolve("oracle-causal"))
    assert not len(rows["mended"])
    for row in rows["texts"].to_dict("records"):
        ids, first, _ = text_of(engine, row)
        wanted = oracle.log_likelihood(ids[:first]) - oracle.log_likelihood(ids)
        assert sum(row["surprisals"]) == pytest.approx(wanted, rel=2e-3)
    near = report.tables(rows)["distance"]
    assert (near.loc[near["offset"] < 0, "rise"] == 0).all()
    assert (near.loc[near["offset"] == 1, "rise"] > 0.1).any()


def test_the_small_language_says_whether_a_text_is_one_of_it(prompts):
    engine, rows = measured("oracle", prompts)
    whole = rows["texts"][rows["texts"]["error"] == "none"]
    assert whole["in_language"].all()
    row = next(row for row in rows["texts"].to_dict("records") if row["error"] == "unigram")
    told = is_prose(engine.border.decode(text_of(engine, row)[0]))
    assert told == row["in_language"]
    assert not rows["texts"]["in_language"].all()


# ---------------------------------------------------------------------- errors


def test_errors_of_both_kinds_stand_at_the_same_places_and_are_never_right():
    border = models.load_border(models.resolve("oracle"))
    counts = planted_errors.counted(border, "decay", "small")
    tokens = border.pieces(" the king met a child often.")
    before = border.token(".")
    drawn = {"unigram": set(), "bigram": set()}
    for seed in range(60):
        found = {
            kind: planted_errors.planted(counts, before, tokens, kind, 1, (str(seed), "a"))
            for kind in drawn
        }
        assert found["unigram"].place == found["bigram"].place
        for kind, error in found.items():
            assert error.token != tokens[error.place]
            drawn[kind].add(error)
        after = (before, *tokens)[found["bigram"].place]
        assert found["bigram"].token in counts.after[after]
    assert len({error.place for error in drawn["unigram"]}) > 3
    assert len({error.token for error in drawn["unigram"]}) > 15
    many = [
        planted_errors.planted(counts, before, tokens, "bigram", n, ("0", "a")) for n in range(1, 9)
    ]
    places = [error.place for error in many if error]
    assert len(set(places)) == len(places)  # another number, another place
    assert many[-1] is None  # of which a text has only so many


def test_tokens_are_drawn_as_often_as_they_stand_in_the_texts():
    counts = planted_errors.Counts(
        planted_errors.Counter({1: 60, 2: 30, 3: 10}), {9: planted_errors.Counter({1: 1, 3: 1})}
    )
    found = [
        planted_errors.planted(counts, 9, (1,), "unigram", 1, (str(seed),)) for seed in range(800)
    ]
    assert np.mean([error.token == 2 for error in found]) == pytest.approx(0.75, abs=0.05)
    pairs = [planted_errors.planted(counts, 9, (1,), "bigram", 1, (str(n),)) for n in range(20)]
    assert {error.token for error in pairs} == {3}


# ---------------------------------------------------------------------- tables


def frame(texts, tokens, surprisal, mended=()):
    """Rows of texts of so many tokens, with an error in the middle and without."""
    shared = {"prompts": "p", "lexicon": "small", "task": "t", "text_length": tokens, "seed": 0}
    rows = []
    for text in range(texts):
        for error in ("none", "unigram"):
            values = surprisal(text, error)
            rows.append(
                {"model": "m", **shared, "prompt": f"t-{text}", "error": error}
                | {"plant": int(error != "none"), "reading": "masked", "text_tokens": tokens}
                | {"error_at": tokens // 2, "surprisals": json.dumps(list(map(float, values)))}
            )
    heads = [*rows[0], "remasked", "found", "restored", "spoilt"]
    return {"texts": pd.DataFrame(rows), "mended": pd.DataFrame(list(mended), columns=heads)}


def test_of_two_normals_the_area_is_known_and_a_rise_is_what_was_added():
    rng, apart = np.random.default_rng(0), 1.2
    drawn = rng.normal(size=(400, 21))

    def surprisal(text, error):
        values = drawn[text].copy()
        if error != "none":
            values[10] = rng.normal() + apart
            values[11] += 0.5  # the next one suffers
            values[6:9] -= 0.25
        return values

    tables = report.tables(frame(400, 21, surprisal))
    (line,) = tables["detection"].to_dict("records")
    near = tables["distance"].set_index("offset")
    assert sorted(near.index) == [-8, -4, -2, -1, 1, 2, 4, 8]
    assert near.loc[8, "auroc"] == pytest.approx(ndtr(apart / np.sqrt(2)), abs=0.03)
    assert near.loc[1, "auroc"] == pytest.approx(ndtr((apart - 0.5) / np.sqrt(2)), abs=0.05)
    assert near["rise"].to_dict() == pytest.approx(
        {-8: 0, -4: -0.0625, -2: -0.25, -1: 0, 1: 0.5, 2: 0, 4: 0, 8: 0}, abs=1e-9
    )
    assert line["auroc_low"] < line["auroc"] < line["auroc_high"]
    assert line["n"] == 400
    assert line["rank"] == pytest.approx(1 + 20 * (1 - line["auroc"]))


def test_a_reader_that_knows_nothing_finds_errors_by_chance_and_equal_ones_count_half():
    rng = np.random.default_rng(1)
    tables = report.tables(frame(200, 9, lambda *_: rng.normal(size=9)))
    (line,) = tables["detection"].to_dict("records")
    assert line["auroc_low"] < 0.5 < line["auroc_high"]
    assert line["first_low"] < line["first_by_chance"] < line["first_high"]
    assert line["first_by_chance"] == pytest.approx(1 / 9)
    (flat,) = report.tables(frame(3, 5, lambda *_: np.ones(5)))["detection"].to_dict("records")
    assert flat["auroc"] == 0.5
    impossible = {"none": [0] * 5, "unigram": [0, 0, np.inf, 0, 0]}
    sure = report.tables(frame(3, 5, lambda text, error: impossible[error]))["detection"]
    assert (sure["auroc"] == 1).all()
    assert (sure["first"] == 1).all()


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"remask": (0,)}, "--remask"),
        ({"remask": (33,)}, "--remask"),
        ({"length": 1}, "--length"),
        ({"errors": 0}, "--errors"),
        ({"error": ("bigram", "bigram")}, "--error names a value twice"),
        ({"prompts": "open"}, "have no continuation"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ProbeError, match=said):
        remasking.plan(**options)


def test_readings_that_a_model_has_not_are_refused():
    cells = {c.reading: c for c in remasking.plan(limit=1, lexicon="small")}
    for name, wanted in (
        ("tiny-mdlm", {"masked", "visible"}),
        ("tiny-arlm", {"left"}),
        ("oracle", {"masked"}),
        ("oracle-block", set()),
    ):
        entry = models.resolve(name)
        assert {r for r, c in cells.items() if not remasking.refuse(c, entry)} == wanted
