"""Runs compared: which are paired, which are refused, and that figures agree with the reports'."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from progress import Silent
from safetensors.torch import load_file, save_file

from mdlm_probe import cli
from mdlm_probe.analysis import pairing as _pairing
from mdlm_probe.analysis import stats
from mdlm_probe.analysis.pairing import EVERY
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import PACKAGE
from mdlm_probe.probes.locality import report as locality
from mdlm_probe.reports.compare import compare
from mdlm_probe.runs import runner
from mdlm_probe.runs.plan import Job, prepare

TINY = PACKAGE / "models" / "tiny" / "tiny-mdlm"
COORDINATES = {"suite": "few-shot", "lexicon": "full", "answer": "letter", "options": 3}
COORDINATES |= {"shots": 10, "distractors": 40, "seed": 0}


def call(*arguments):
    result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


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
                    at |= {"masks": k, "position": position, "correct": int(logp > -0.7)}
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
def test_what_may_differ(tmp_path, change, why):
    found, _ = compare.compare(*two(tmp_path, second=change))
    assert len(table_of(found)), why


@pytest.mark.parametrize(("change", "line"), APART, ids=[line for _, line in APART])
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
    assert "    masks: 0 -> 50, 100\n" in refused(places)
    found, _ = compare.compare(*places, across=["masks"])
    line = table_of(found).iloc[0]
    assert line["b"] == pytest.approx(100 * frames[1]["correct"].mean())
    assert line["n"] == 12


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
            "the tokenizers differ: what is by token is by other tokens",
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
    assert len(found[0].notes) == 2
    assert found[0].notes[1].startswith("index isn't compared, nothing being in common: 12 items ")
    assert "1 point only in A: nearest 0" in found[0].notes[1]
    assert "1 point only in B: nearest 20" in found[0].notes[1]


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
    assert points["p_holm"].to_numpy() == pytest.approx(stats.holm(points["p"]), nan_ok=True)


def test_a_report_without_pairings_compares_every_number(tmp_path, monkeypatch):
    monkeypatch.delattr(locality, "PAIRED")
    found, _ = compare.compare(*two(tmp_path))
    table = table_of(found)
    assert set(table["measure"]) == {"correct", "logp_right"}
    assert (table["n"] == len(rows("base"))).all()


def test_files_hold_every_line(tmp_path):
    found, _ = compare.compare(*two(tmp_path))
    paths = compare.save(tmp_path / "out", found)
    assert [path.name for path in paths] == ["compare.csv", "locality.png", "locality.svg"]
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


# ---------------------------------------------------------------------- every probe

SMALL = {"lexicon": "small"}
SUITE = SMALL | {"answer": "word", "shots": 2, "distractors": 4}
SETS = ("verb-smallest", "animal-largest")
OPTIONS = {
    "locality": SUITE | {"limit": 2, "tasks": SETS, "positions": (0, 4)},
    "masks": SUITE
    | {"limit": 2, "tasks": SETS, "masks": ("0", "5"), "filler": ("mask", "dot")}
    | {"shots": (2,), "distractors": (4,)},
    "needle": SMALL | {"limit": 2, "lengths": (96,), "depths": (0, 100)},
    "attribution": SUITE | {"limit": 2, "orders": 2, "masks": (3,), "tasks": SETS, "shots": 6},
    "decay": SMALL | {"limit": 4, "masks": 8, "tasks": ("prose",)},
    "joint": SMALL | {"limit": 1, "length": 8},
    "blocks": SMALL | {"limit": 1, "length": (8,), "block": (8,), "scorer": "tiny-arlm"},
    "shift": SMALL | {"limit": 2, "frac": (0.2,), "length": 8, "block": 8, "scorer": "tiny-arlm"},
    "cache": SMALL | {"limit": 1, "length": 8, "block": (8,)},
}
TABLES = {
    ("locality", ""): ("accuracy", "accuracy", 100),
    ("locality", "index"): ("index", "index", 100),
    ("masks", ""): ("curve", "accuracy", 100),
    ("masks", "drop"): ("drop", "from_start", 1),
    ("needle", ""): ("grid", "exact", 100),
    ("attribution", "groups"): ("groups", "normalised", 1),
    ("attribution", "shape"): ("shape", "value", 1),
    ("attribution", "positions"): ("positions", "normalised", 1),
    ("decay", ""): ("curve", "top1_prob", 100),
    ("decay", "neighbours"): ("neighbours", "js", 1),
    ("decay", "limit"): ("limit", "js", 1),
    ("joint", "pairs"): ("pairs", "mi", 1),
    ("joint", "sets"): ("sets", "incoherent_parallel", 100),
    ("joint", "orders"): ("orders", "logp", 1),
    ("joint", "budget"): ("budget", "drop", 1),
    ("blocks", ""): ("quality", "repeated", 100),
    ("cache", "texts"): ("error", "edits", 100),
    ("cache", "error"): ("error", "dlogp", 1),
    ("shift", "harm"): ("harm", "nats", 1),
    ("shift", "unintervened"): ("unintervened", "nats", 1),
    ("judge", ""): ("winrate", "winrate", 100),
}
"""Of each pairing: the report's table and column that the main measure's points must equal."""

COMPARED = {("blocks", ""): "repeated 4-grams (points)"}
"""The measure instead of the main one, which the report has no mean of."""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A function that gives a real run of a probe, measured once, and the same with noise."""
    home = tmp_path_factory.mktemp("real")

    def run(probe):
        asked = "shift" if probe == "judge" else probe
        folders = home / probe / "a", home / probe / "b"
        if not folders[0].exists():
            job = Job(asked, "tiny-mdlm", OPTIONS[asked], output=folders[0])
            runner.run(prepare(job), Silent())
            if probe == "judge":
                assert call("judge", folders[0], "-q").exit_code == 0
            shutil.copytree(*folders)
            for path in folders[1].glob("*__*.csv"):
                noisy(pd.read_csv(path)).to_csv(path, index=False)
        return folders

    return run


NOISY = ("logp_right", "normalised", "top1_prob", "js", "mi", "incoherent_parallel", "logp", "nll")
NOISY += ("repeated", "dlogp_mean")


def noisy(frame):
    """Rows in another order, with noise on what is measured; whole numbers move by one."""
    rng = np.random.default_rng(0)
    for name in (n for n in NOISY if n in frame):
        frame[name] *= 1 + 0.1 * rng.random(len(frame))
    for name in ("correct", "edits", "edit_distance", "score"):
        if name in frame:
            moved = rng.random(len(frame)) < 0.3
            frame[name] = (frame[name] - moved).abs()
    return frame.sample(frac=1, random_state=1)


def reported(probe, name, frame):
    """The report's values of a pairing's measure, at the points that a comparison has."""
    title, column, scale = TABLES[probe, name]
    table = catalog.load("report", probe).tables(frame)[title]
    kept = {"label": "any", "part": "primacy", "task": "all", "set": "all", "masks": "5"}
    for key, value in kept.items():
        if key in table and value in set(table[key]):
            table = table[table[key] == value]
    for key, least in (("frac", 0.01), ("depth", 0), ("at_once", 2)):
        if key in table:
            table = table[table[key] >= least]
    return sorted(scale * table[column].dropna())


@pytest.mark.parametrize("probe", [*OPTIONS, "judge"])
def test_a_real_run_compares_as_its_report_says(real, probe):
    """The sides' means at every point are what the report of each side alone has."""
    found, _ = compare.compare(*real(probe), probes=[probe], points="all")
    assert {(probe, name) for name in found[0].tables} == {k for k in TABLES if k[0] == probe}
    for name, table in found[0].tables.items():
        label = COMPARED.get((probe, name), table["measure"].iloc[0])
        lines = table[table["measure"] == label]
        sweep = list(table.columns[: table.columns.get_loc("measure")])
        if sweep:
            lines = lines[~(lines[sweep] == EVERY).all(axis=1)]
        if "filler" in sweep:  # the report's curves share the point without any
            lines = lines[lines["filler"] != "none"]
        assert len(lines)
        for side, one in zip("ab", (found[0].first, found[0].second), strict=True):
            expected = reported(probe, name, one.frame.copy())
            assert sorted(lines[side]) == pytest.approx(expected, rel=1e-6, abs=1e-9), (name, side)


@pytest.mark.parametrize("probe", [*OPTIONS, "judge"])
def test_every_measure_of_a_real_run_has_values(real, probe):
    """And a run compared with itself differs nowhere."""
    first = real(probe)[0]
    found, _ = compare.compare(first, first, probes=[probe])
    for pairing in catalog.load("report", probe).PAIRED:
        labels = {measure.label for measure in pairing.measures.values()}
        table = found[0].tables[pairing.name]
        assert set(table["measure"]) == labels
        assert (table["difference"] == 0).all()
        assert ((table["p"] == 1) | (table["n"] == 1)).all()


KINDS = {"attribution": "unit", "cache": "unit", "decay": "unit", "joint": "measure"}
KINDS |= {"judge": "intervention", "masks": "filler", "needle": "depth", "shift": "intervention"}


@pytest.mark.parametrize(("probe", "kind"), KINDS.items())
def test_part_of_a_run_is_compared_as_far_as_it_goes(real, probe, kind):
    """Rows of one kind alone, such as one measure of joint, make no other kind fail."""
    [found], _ = compare.compare(*real(probe), probes=[probe])
    frames = [dict(iter(m.frame.groupby(kind))) for m in (found.first, found.second)]
    assert len(frames[0]) > 1
    compared = set()
    for name, part in frames[0].items():
        for pairing in catalog.load("report", probe).PAIRED:
            cells = compare.coordinates(probe)
            both = _pairing.pair(part, frames[1][name], pairing, cells)
            if len(_pairing.lines(both, pairing)):
                compared.add(pairing.name)
    # a drop is a difference of two kinds, and needs both
    assert compared == found.tables.keys() - {"drop"}


def test_judged_ties_by_definition_are_left_out(real):
    """At a fraction of 0 the shifted answer is the unshifted one."""
    [found], _ = compare.compare(*real("judge"), probes=["judge"])
    pairing = catalog.load("report", "judge").PAIRED[0]
    frames = [
        pd.concat([m.frame, m.frame.assign(frac=0.0, score=0.5, verdict="A=B")])
        for m in (found.first, found.second)
    ]
    table = _pairing.lines(_pairing.pair(*frames, pairing, []), pairing)
    assert list(table["difference"]) == list(found.tables[""]["difference"])
    nothing = [frame[frame["frac"] == 0] for frame in frames]
    assert not len(_pairing.lines(_pairing.pair(*nothing, pairing, []), pairing))


# ---------------------------------------------------------------------- the command

ASKED = ["--limit", 3, "--tasks", ",".join(SETS), "--shots", 2, "--distractors", 4, "-q"]
RIGHT = "probability of the right answer (points)"
ASKED += ["--positions", "0,4", "--lexicon", "small", "--answer", "word"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Runs of the bundled model, of the same with an adapter, and of a changed copy of it."""
    home = tmp_path_factory.mktemp("tuned")
    weights, generator = load_file(TINY / "model.safetensors"), torch.Generator().manual_seed(0)
    shutil.copytree(TINY, home / "copy")
    changed = {
        name: w + 0.5 * w.std() * torch.randn(w.shape, generator=generator) if w.ndim > 1 else w
        for name, w in weights.items()
    }
    save_file(changed, home / "copy" / "model.safetensors", metadata={"format": "pt"})
    adapter = {}
    for name in (n.removesuffix(".weight") for n in weights if n.endswith("q_proj.weight")):
        at, (height, width) = f"base_model.model.{name}.", weights[f"{name}.weight"].shape
        adapter[f"{at}lora_A.weight"] = torch.randn(2, width, generator=generator) * 0.3
        adapter[f"{at}lora_B.weight"] = torch.randn(height, 2, generator=generator) * 0.3
    (home / "adapter").mkdir()
    save_file(adapter, home / "adapter" / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}
    told |= {"bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": "x"}
    (home / "adapter" / "adapter_config.json").write_text(json.dumps(told))
    asked = {
        "base": ["--model", "tiny-mdlm"],
        "adapted": ["--model", "tiny-mdlm", "--adapter", home / "adapter"],
        "changed": ["--model", home / "copy"],
    }
    for name, model in asked.items():
        result = call("locality", *model, *ASKED, "--output", home / name)
        assert result.exit_code == 0, result.output
    return home


@pytest.mark.parametrize("name", ["adapted", "changed"])
def test_base_against_fine_tuned(tuned, name):
    result = call("compare", tuned / "base", tuned / name, "--points", "all")
    assert result.exit_code == 0, result.output
    written = pd.read_csv(tuned / name / "compare" / "compare.csv")
    sides = [
        pd.read_csv(next((tuned / side).glob("locality__*.csv"))).set_index(
            ["set", "item", "position"]
        )
        for side in ("base", name)
    ]
    by_measure = {"accuracy (points)": [side["correct"] for side in sides]}
    right = [np.exp(side["logp_right"]) for side in sides]
    for measure, (one, other) in (by_measure | {RIGHT: right}).items():
        gap = 100 * (other - one)
        lines = written[written["measure"] == measure].set_index("point")["difference"]
        assert lines["all"] == pytest.approx(gap.mean(), rel=1e-4, abs=1e-9)
        for position, own in gap.groupby(level="position"):
            assert lines[f"position {position}"] == pytest.approx(own.mean(), rel=1e-4, abs=1e-9)
    assert gap.abs().mean() > 0.1
    tests = written["p"][written["point"] == "all"].notna().sum()
    assert f"p_holm: corrected for the {tests} tests over whole sweeps; at points" in result.output
    assert "before Holm's correction" in result.output
    assert "difference: B minus A" in result.output
    assert (tuned / name / "compare" / "locality.png").stat().st_size > 10_000
    assert ("adapter " in result.output) == (name == "adapted")
    assert "95 % of difference" in result.output


def test_a_run_with_itself_has_no_difference(tuned, tmp_path):
    result = call("compare", tuned / "base", tuned / "base", "--output", tmp_path)
    assert result.exit_code == 0
    assert "both sides have the same weights" in result.output
    written = pd.read_csv(tmp_path / "compare.csv")
    assert (written["difference"] == 0).all()
    assert (written["p_holm"] == 1).all()
    assert not (tuned / "base" / "compare").exists()


def test_the_command_refuses_without_a_traceback(tuned, tmp_path):
    other = [word if word != 4 else 5 for word in ASKED]
    assert call("locality", "--model", "tiny-mdlm", *other, "-o", tmp_path / "b").exit_code == 0
    result = call("compare", tuned / "base", tmp_path / "b")
    assert result.exit_code == 1
    assert "options.distractors: 4 -> 5" in result.output
    anew = "hint: measure B, locality of tiny-mdlm, anew with --distractors 4 (checkpoints"
    assert anew in result.output
    assert not (tmp_path / "b" / "compare").exists()


def test_a_folder_of_weights_against_its_base_is_told_the_options_to_give(tuned, tmp_path):
    """A folder has no defaults in the registry; with the options that are named it is compared."""
    tasks = ["--tasks", "verb-smallest", "--positions", "0,4", "--shots", 2, "--distractors", 4]
    asked = {"base": ["-m", "tiny-mdlm", "--limit", 2], "own": ["-m", tuned / "copy"]}
    asked["own"] += ["--limit", 1]
    for name, model in asked.items():
        assert call("locality", *model, *tasks, "-q", "-o", tmp_path / name).exit_code == 0
    result = call("compare", tmp_path / "base", tmp_path / "own")
    assert result.exit_code == 1
    flags = "--lexicon small --answer word --limit 2"
    assert f"hint: measure B, locality of copy, anew with {flags} (" in result.output
    asked["own"] = ["-m", tuned / "copy", *flags.split()]
    again = call("locality", *asked["own"], *tasks, "-q", "-o", tmp_path / "own", "--fresh")
    assert again.exit_code == 0
    assert call("compare", tmp_path / "base", tmp_path / "own").exit_code == 0


def test_a_file_is_no_folder_for_output(tuned, tmp_path):
    (tmp_path / "file").write_text("kept")
    result = call("compare", tuned / "base", tuned / "base", "-o", tmp_path / "file")
    assert result.exit_code == 1
    assert f"--output {tmp_path / 'file'} is a file\nexpected: a folder" in result.output
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("text", ["=", "a=", "=b"])
def test_a_pair_of_models_is_typed_in_full(tuned, text):
    result = call("compare", tuned / "base", tuned / "base", "--model", text)
    assert result.exit_code == 1
    assert "expected: A=B" in result.output


def test_the_help_has_an_example():
    result = call("compare", "--help")
    assert result.exit_code == 0
    assert "Example: mdlm-probe compare results/base results/tuned" in result.output
