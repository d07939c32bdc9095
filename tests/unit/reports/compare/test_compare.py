"""Runs compared: which are paired, which are refused, and that figures agree with the reports'."""

import json

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.paired_differences import EVERY
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.locality import report as locality
from mdlm_probe.reports.compare import compare

COORDINATES = {"suite": "few-shot", "lexicon": "full", "answer_form": "letter", "options": 3}
COORDINATES |= {"shots": 10, "distractors": 40, "seed": 0}


# ---------------------------------------------------------------------- runs by hand


def rows(model, seed=0, *, sets=("a", "b", "c"), items=4, masks=(0,), gain=0.0, **coordinates):
    """Rows of a locality run; an item has the same difficulty in all."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(5)
    hard = {(s, i): own.normal() for s in "abcdef" for i in range(20)}
    found = []
    for s in sets:
        for k in masks:
            for position in (0, 40):
                for item in range(items):
                    logp = min(-0.01, hard[s, item] + gain - 1 + 0.1 * rng.normal())
                    at = {"model": model, "set": s, "item": item, "question": "right"}
                    at |= {"question_masks": k, "position": position, "correct": int(logp > -0.7)}
                    found.append(at | {"logp_right": logp} | COORDINATES | coordinates)
    return pd.DataFrame(found)


def entry(model, probe="locality", *, options=(), load=(), facts=(), **more):
    """What run.json says of a measurement."""
    plan = {"seed": 0, "limit": 4, "masks": [0], "positions": [], "shots": None, "tasks": ["all"]}
    plan |= {"suite": "few-shot"} | dict(options)
    how = {"dtype": "auto", "device": "auto", "quantize": "", "style": "", "adapter": ""}
    how |= {"revision": "main"} | dict(load)
    known = {"weight_hash": model, "dtype": "float32", "device": "cpu", "chat": False}
    config = {"probe": probe, "model": model, "source": f"hub/{model}", "options": plan}
    config |= {"sources": {"suite": "1234"}, "load": how}
    found = {"status": "finished", "config": config, "model": known | dict(facts)}
    return found | more


def write(folder, *measured):
    """A run folder of (entry, rows)."""
    folder.mkdir(parents=True)
    entries = {}
    for said, frame in measured:
        config = said["config"]
        name = f"{config['probe']}__{config.get('model') or config['judge']}"
        entries[name] = said
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "run.json").write_text(json.dumps(entries))
    return folder


def two(tmp_path, first=None, second=None, frames=None):
    """A run of a base model and one of a tuned one, whose entries are changed as said."""
    one, other = frames or (rows("base", 1), rows("tuned", 2, gain=0.4))
    return (
        write(tmp_path / "a", (entry("base", **(first or {})), one)),
        write(tmp_path / "b", (entry("tuned", **(second or {})), other)),
    )


def table_of(found, name=""):
    return found[0].tables[name]


def refused(places, **given):
    with pytest.raises(ProbeError) as error:
        compare.compare(*places, **given)
    return str(error.value)


# ---------------------------------------------------------------------- who is paired


def test_a_probes_only_models_are_a_pair(tmp_path):
    found, notes = compare.compare(*two(tmp_path))
    assert [(one.title, one.first.model, one.second.model) for one in found] == [
        ("locality", "base", "tuned")
    ]
    assert notes == []
    line = table_of(found).set_index("measure").loc["accuracy (points)"].iloc[0]
    gap = rows("tuned", 2, gain=0.4)["correct"].mean() - rows("base", 1)["correct"].mean()
    assert line["difference"] == pytest.approx(100 * gap)
    assert gap > 0
    assert (line["n"], line["clusters"]) == (12, 3)


def test_models_of_equal_names_are_pairs_and_others_are_named(tmp_path):
    both = [(entry(name), rows(name, 1)) for name in ("base", "tuned")]
    places = write(tmp_path / "a", *both), write(tmp_path / "b", *both[:1])
    found, notes = compare.compare(*places)
    assert [(one.first.model, one.second.model) for one in found] == [("base", "base")]
    assert notes == ["only in A: locality of tuned"]


def test_models_are_paired_by_hand(tmp_path):
    both = [(entry(name), rows(name, n)) for n, name in enumerate(("base", "tuned"))]
    place = write(tmp_path / "a", *both)
    found, _ = compare.compare(place, place, models=[("base", "tuned")])
    assert [(one.first.model, one.second.model) for one in found] == [("base", "tuned")]
    message = refused((place, place), models=[("base", "nobody")])
    assert "nothing to pair: A has locality of base, locality of tuned" in message


def test_two_models_of_one_folder(tmp_path):
    both = [(entry(name), rows(name, n)) for n, name in enumerate(("base", "tuned"))]
    place = write(tmp_path / "a", *both)
    ends = [place / f"locality__{name}.csv" for name in ("base", "tuned")]
    found, notes = compare.compare(*ends)
    assert [(one.first.model, one.second.model) for one in found] == [("base", "tuned")]
    assert notes == []
    assert "no measurement of a run" in refused((ends[0], place / "locality-index.csv"))


def test_runs_of_studies_are_paired_by_name(tmp_path):
    for side, model in (("a", "base"), ("b", "tuned")):
        for run, seed in (("near", 1), ("far", 2)):
            same = {"options": {"seed": seed}}
            frame = rows(model, 3).assign(seed=seed)
            write(tmp_path / side / run, (entry(model, **same), frame))
    write(tmp_path / "a" / "alone", (entry("base"), rows("base")))
    found, notes = compare.compare(tmp_path / "a", tmp_path / "b")
    assert sorted(one.title for one in found) == ["far", "near"]
    assert notes == ["only in A: alone of base"]
    message = refused((tmp_path / "a", tmp_path / "b" / "near"))
    assert "several runs of 'locality' on one side" in message


def test_a_run_of_a_study_without_rows_is_said(tmp_path):
    for side, model in (("a", "base"), ("b", "tuned")):
        write(tmp_path / side / "near", (entry(model), rows(model)))
    write(tmp_path / "b" / "far", (entry("tuned"), rows("tuned")))
    next((tmp_path / "b" / "far").glob("*.csv")).unlink()
    found, notes = compare.compare(tmp_path / "a", tmp_path / "b")
    assert [one.title for one in found] == ["near"]
    assert notes == [f"B: {tmp_path / 'b' / 'far'} holds no rows yet"]


def test_only_the_probes_asked_for(tmp_path):
    places = two(tmp_path)
    assert "A has nothing" in refused(places, probes=["masks"])
    assert refused(places, probes=["mask"]).startswith("unknown probe 'mask'\nexpected: one of ")
    assert "did you mean 'masks'" in refused(places, probes=["mask"])
    assert len(compare.compare(*places, probes=["locality"])[0]) == 1


@pytest.mark.parametrize("place", ["nowhere", "nowhere.csv"])
def test_no_run(tmp_path, place):
    assert "no run in" in refused((tmp_path / place, tmp_path))


# ---------------------------------------------------------------------- what must be equal

SAME = [
    ({"load": {"adapter": "some/folder"}}, "an adapter is what is compared"),
    ({"load": {"revision": "v2"}}, "another revision, too"),
    ({"load": {"dtype": "float32", "device": "cpu"}}, "what auto came to"),
    ({"load": {"rope_scale": 1.0}}, "runs that began before there was a choice"),
    ({"options": {"limit": 9}}, "how much"),
    ({"options": {"positions": [0, 40]}}, "a list: cells tell"),
    ({"options": {"shots": 10}}, "the same number, given or by default"),
    ({"options": {"suite": "/moved/suite.yaml"}}, "the hash is the same"),
    ({"options": {"metric": None, "data": ""}}, "defaults of options that are newer"),
    ({"facts": {"device": "cpu:0"}}, "one device or another of a kind"),
]
APART = [
    ({"load": {"quantize": "4bit"}}, 'load.quantize: "" -> "4bit"'),
    ({"load": {"style": "chat"}}, 'load.style: "" -> "chat"'),
    ({"load": {"rope_scale": 2.0}}, "load.rope_scale: 1.0 -> 2.0"),
    ({"facts": {"dtype": "bfloat16"}}, 'load.dtype: "float32" -> "bfloat16"'),
    ({"facts": {"device": "cuda:0"}}, 'load.device: "cpu" -> "cuda"'),
    ({"options": {"seed": 1}}, "options.seed: 0 -> 1"),
    ({"options": {"metric": "acc"}}, 'options.metric: null -> "acc"'),
]


@pytest.mark.parametrize(("change", "why"), SAME, ids=[why for _, why in SAME])
@pytest.mark.slow
def test_what_may_differ(tmp_path, change, why):
    found, _ = compare.compare(*two(tmp_path, second=change))
    assert len(table_of(found)), why


@pytest.mark.parametrize(("change", "line"), APART, ids=[line for _, line in APART])
@pytest.mark.slow
def test_what_must_be_equal_is_named_and_may_be_let_differ(tmp_path, change, line):
    places = two(tmp_path, second=change)
    message = refused(places)
    assert "not measured the same way (A -> B):\n  locality, base and tuned:" in message
    assert line in message
    name = line.partition(":")[0]
    assert f"--across {name}" in message
    found, _ = compare.compare(*places, across=[name])
    assert len(table_of(found))


def test_other_files_are_refused(tmp_path):
    places = two(tmp_path)
    path = places[1] / "run.json"
    path.write_text(path.read_text().replace("1234", "5678"))
    assert 'sources.suite: "1234" -> "5678"' in refused(places)


def test_all_differences_are_named_at_once(tmp_path):
    second = {"load": {"quantize": "8bit"}, "options": {"seed": 1}}
    frames = rows("base"), rows("tuned").assign(seed=1)
    places = two(tmp_path, second=second, frames=frames)
    message = refused(places)
    assert "load.quantize" in message
    assert message.partition("hint: ")[0].count("seed") == 1
    assert "hint: measure A, locality of base, anew with --quantize 8bit --seed 1" in message
    assert "load.quantize" not in refused(places, across=["load.quantize"])
    found, _ = compare.compare(*places, across=["quantize", "seed"])
    assert len(table_of(found))


def test_coordinates_without_a_common_value_are_differences(tmp_path):
    frames = rows("base", masks=(0,)), rows("tuned", masks=(50, 100))
    places = two(tmp_path, frames=frames)
    assert "    question_masks: 0 -> 50, 100\n" in refused(places)
    for name in ("question_masks", "masks", "options.masks"):  # the column, and its option
        found, _ = compare.compare(*places, across=[name])
        line = table_of(found).iloc[0]
        assert line["b"] == pytest.approx(100 * frames[1]["correct"].mean())
        assert line["n"] == 12


@pytest.mark.parametrize("second", [None, "word"])
def test_a_column_of_another_name_than_its_option_is_one_difference(tmp_path, second):
    """Left to the suite, an answer may have the form that the other side asked for, or not."""
    asked = {"options": {"answer": "letter"}}, {"options": {"answer": second}}
    same = rows("base", 1), rows("tuned", 2)
    if second is None:
        assert len(table_of(compare.compare(*two(tmp_path / "same", *asked, frames=same))[0]))
    frames = same[0], same[1].assign(answer_form="word")
    places = two(tmp_path / "other", *asked, frames=frames)
    told = 'options.answer: "letter" -> "word"' if second else "answer_form: letter -> word"
    message = refused(places)
    assert message.partition("hint: ")[0].splitlines()[2:] == [f"    {told}"]
    assert "hint: measure B, locality of tuned, anew with --answer letter (" in message
    assert len(table_of(compare.compare(*places, across=["answer"])[0]))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nonsense", "unknown setting 'nonsense'\nexpected: one of "),
        ("load.quantise", "did you mean 'load.quantize'?"),
        ("set", "--across set: items are told apart by it"),
    ],
)
def test_only_settings_that_there_are_may_be_let_differ(tmp_path, name, said):
    message = refused(two(tmp_path), across=[name])
    assert said in message
    expected = message.partition("expected: ")[2].partition("\n")[0]
    assert {"load.quantize", "options.seed", "position"} <= set(expected[7:].split(", "))
    assert "limit" not in expected


@pytest.mark.slow
def test_a_setting_may_be_named_where_it_does_not_differ(tmp_path):
    places = two(tmp_path)
    for name in ("seed", "options.seed", "position", "load.quantize", "suite"):
        assert len(table_of(compare.compare(*places, across=[name])[0]))


def test_what_no_option_mends_has_no_option_in_the_hint(tmp_path):
    places = two(tmp_path)
    path = places[1] / "run.json"
    path.write_text(path.read_text().replace("1234", "5678"))
    assert "hint: measure one side anew with the other's options" in refused(places)


@pytest.mark.parametrize(
    ("scorers", "said"),
    [
        (("x", "y"), "scorer.name"),
        (("x", "x"), ""),
        (("x", None), "only one side has a scorer"),
        ((None, None), ""),
    ],
)
def test_scorers_must_be_the_same_if_there_are_two(tmp_path, scorers, said):
    first, second = (
        {"scorer": {"name": name, "weight_hash": name}} if name else {} for name in scorers
    )
    places = two(tmp_path, first, second)
    if said == "scorer.name":
        assert said in refused(places)
    else:
        notes = compare.compare(*places)[0][0].notes
        assert [note for note in notes if said and said in note] == list(notes)


def test_a_model_without_weights_has_no_format_to_differ_in(tmp_path):
    facts = {"weight_hash": "none", "dtype": "float64"}
    found, _ = compare.compare(*two(tmp_path, second={"facts": facts}))
    assert len(table_of(found))


# ---------------------------------------------------------------------- what is said


def test_items_of_one_side_alone_are_counted(tmp_path):
    places = two(tmp_path, frames=(rows("base", items=6), rows("tuned", sets=("a", "b"))))
    found, _ = compare.compare(*places)
    assert found[0].notes == ("10 items only in A", "10 items only in A (index)")
    assert table_of(found)["n"].iloc[0] == 8


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        ({}, {"weight_hash": "base"}, "both sides have the same weights"),
        (
            {"files": {"tokenizer.json": "1"}},
            {"files": {"tokenizer.json": "2"}},
            "the tokenizers differ: what is per token is per other tokens",
        ),
        ({}, {"chat": True}, "B is asked in chat messages, A in plain text: see --style"),
    ],
)
def test_what_a_reader_should_know(tmp_path, first, second, note):
    found, _ = compare.compare(*two(tmp_path, {"facts": first}, {"facts": second}))
    assert found[0].notes == (note,)


def test_an_unfinished_side_is_said(tmp_path):
    _, notes = compare.compare(*two(tmp_path, second={"status": "started", "cells": 99}))
    assert len(notes) == 1
    assert notes[0].startswith("B: locality__tuned is unfinished")


def test_rows_that_cannot_be_read(tmp_path):
    frames = rows("base"), rows("tuned").drop(columns="correct")
    message = refused(two(tmp_path, frames=frames))
    assert "can't be compared: they are damaged, or of another version (no column" in message


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda frame: frame.drop(columns="item"), "is damaged: it has no column 'item'"),
        (lambda frame: frame.drop(columns="model"), "is damaged: it has no column 'model'"),
        (lambda frame: frame.drop(columns="correct"), "are damaged, or of another version"),
        (None, "cannot read"),
    ],
)
def test_a_damaged_run_is_said_and_stops_no_other(tmp_path, harm, said):
    for side, model in (("a", "base"), ("b", "tuned")):
        for run in ("near", "far"):
            frame = rows(model)
            write(tmp_path / side / run, (entry(model), frame))
    path = tmp_path / "b" / "far" / "locality__tuned.csv"
    path.write_text(harm(rows("tuned")).to_csv(index=False) if harm else "")
    found, notes = compare.compare(tmp_path / "a", tmp_path / "b")
    assert [one.title for one in found] == ["near"]
    assert len([note for note in notes if said in note]) == 1
    alone = refused((tmp_path / "a" / "far", tmp_path / "b" / "far"))
    assert said in alone


def test_an_empty_csv_leaves_the_others_of_its_folder(tmp_path):
    both = [(entry(name), rows(name, n)) for n, name in enumerate(("base", "tuned"))]
    places = write(tmp_path / "a", *both), write(tmp_path / "b", *both)
    (places[1] / "locality__tuned.csv").write_text("")
    found, notes = compare.compare(*places)
    assert [one.first.model for one in found] == ["base"]
    assert len([note for note in notes if "locality__tuned" in note]) == 1


def test_a_changed_file_of_a_finished_run_is_said(tmp_path):
    _, notes = compare.compare(*two(tmp_path, second={"size": 1}))
    assert len(notes) == 1
    assert notes[0].startswith("B: locality__tuned has rows that were changed or are missing")


def test_what_vanishes_is_said(tmp_path):
    """Farthest and nearest are others where a position is missing, so that the index is."""
    first, second = rows("base"), rows("tuned")
    middle = first[first["position"] == 40].assign(position=20)
    first = pd.concat([first, middle])
    second = pd.concat([second[second["position"] == 0], middle.assign(model="tuned")])
    found, _ = compare.compare(*two(tmp_path, frames=(first, second)))
    assert list(found[0].tables) == [""]
    assert found[0].notes[0] == "1 point only in A: position 40"
    assert len(found[0].notes) == 3
    assert found[0].notes[1].startswith("index isn't compared, nothing being in common: 12 items ")
    assert "1 point only in A: nearest 0" in found[0].notes[1]
    assert "1 point only in B: nearest 20" in found[0].notes[1]
    assert found[0].notes[2].startswith("shape isn't compared, nothing being in common: 12 items ")


def test_what_neither_side_measured_is_not_said(tmp_path):
    frames = [rows(m)[lambda f: f["position"] == 0] for m in ("base", "tuned")]
    found, _ = compare.compare(*two(tmp_path, frames=frames))
    assert list(found[0].tables) == [""]
    assert found[0].notes == ()


def test_holms_families_are_of_all_that_is_compared_together(tmp_path):
    for side, model in (("a", "base"), ("b", "tuned")):
        for run in ("near", "far"):
            write(tmp_path / side / run, (entry(model), rows(model, len(side + run + model))))
    found, _ = compare.compare(tmp_path / "a", tmp_path / "b")
    tables = [table for one in found for table in one.tables.values()]
    whole = [
        t["position"] == EVERY if "position" in t else pd.Series(True, t.index) for t in tables
    ]
    p = np.concatenate([t["p"][over] for t, over in zip(tables, whole, strict=True)])
    p_holm = np.concatenate([t["p_holm"][over] for t, over in zip(tables, whole, strict=True)])
    assert len(p) == 2 * 3
    assert p_holm == pytest.approx(stats.holm(p), nan_ok=True)
    points = tables[0][~whole[0]]
    assert points["p_holm"].to_numpy() == pytest.approx(stats.holm(list(points["p"])), nan_ok=True)


def test_a_report_without_pairings_compares_every_number(tmp_path, monkeypatch):
    monkeypatch.delattr(locality, "PAIRED")
    found, _ = compare.compare(*two(tmp_path))
    table = table_of(found)
    assert set(table["measure"]) == {"correct", "logp_right"}
    assert (table["n"] == len(rows("base"))).all()


@pytest.mark.slow
def test_files_hold_every_line(tmp_path):
    found, _ = compare.compare(*two(tmp_path))
    paths = compare.save(tmp_path / "out", found)
    assert [path.name for path in paths] == [
        "compare.csv",
        "locality.png",
        "locality.svg",
        "locality.pdf",
    ]
    written = pd.read_csv(paths[0])
    tables = list(found[0].tables.values())
    assert len(written) == sum(map(len, tables))
    assert written["difference"].to_numpy() == pytest.approx(
        np.concatenate([table["difference"] for table in tables]), rel=1e-5
    )
    assert list(written["point"][:3]) == ["all", "position 0", "position 40"]
    before = [path.read_bytes() for path in paths]
    again = compare.save(tmp_path / "out", compare.compare(tmp_path / "a", tmp_path / "b")[0])
    assert [path.read_bytes() for path in again] == before


@pytest.mark.slow
def test_pictures_of_several_pairs_are_png_alone(tmp_path):
    both = [(entry(name), rows(name, n)) for n, name in enumerate(("base", "tuned"))]
    place = write(tmp_path / "a", *both)
    paths = compare.save(tmp_path / "out", compare.compare(place, place)[0])
    names = [path.name for path in paths]
    assert names == ["compare.csv", "locality__base.png", "locality__tuned.png"]
    assert all(path.stat().st_size > 5_000 for path in paths[1:])


def test_a_folder_that_cannot_be_written(tmp_path):
    found, _ = compare.compare(*two(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ProbeError, match="cannot use"):
        compare.save(tmp_path / "file", found)
