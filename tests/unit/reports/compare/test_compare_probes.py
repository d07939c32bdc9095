"""Every probe's pairings, on the committed run: a comparison says what the reports say."""

import json
from functools import cache

import numpy as np
import pandas as pd
import probe_cases
import pytest
import reference
from simulations import cases, simulation

from mdlm_probe.analysis import paired_differences
from mdlm_probe.analysis import pairing as _pairing
from mdlm_probe.analysis.paired_differences import EVERY
from mdlm_probe.core import catalog
from mdlm_probe.reports.compare import compare, declarations

MODEL = "tiny-mdlm"
KEPT = {"masks": ("amount", ("0", "50")), "decay": ("task", ("prose",))}
"""Rows that are compared, by the values of a column: points that the report, too, keeps apart."""
PROBES = catalog.names("report")  # the judge has one, too
TABLES = {
    ("locality", ""): ("accuracy", "accuracy", 100),
    ("locality", "index"): ("index", "index", 100),
    ("locality", "shape"): ("shape", "value", 100),
    ("masks", ""): ("curve", "accuracy", 100),
    ("masks", "drop"): ("drop", "from_start_points", 1),
    ("needle", ""): ("grid", "exact", 100),
    ("attribution", "groups"): ("groups", "normalised", 1),
    ("attribution", "shape"): ("shape", "value", 1),
    ("attribution", "positions"): ("positions", "normalised", 1),
    ("decay", ""): ("curve", "top1_prob", 100),
    ("decay", "neighbours"): ("neighbours", "js", 1),
    ("decay", "limit"): ("limit", "js", 1),
    ("joint", "pairs"): ("pairs", "mi", 1),
    ("joint", "sets"): ("sets", "incoherent_parallel", 100),
    ("joint", "orders"): ("orders", "logp_per_token", 1),
    ("joint", "budget"): ("budget", "drop", 1),
    ("joint", "total"): ("total", "total_per_token", 1),
    ("context", ""): ("gain", "gain", 1),
    ("parallel", ""): ("accuracy", "correct", 100),
    ("remasking", "detection"): ("detection", "auroc", 100),
    ("remasking", "mended"): ("mended", "restored", 100),
    ("blocks", ""): ("quality", "repeated", 100),
    ("canvas", ""): ("overview", "in_first_sentence", 100),
    ("cache", "texts"): ("error", "edits", 100),
    ("cache", "error"): ("error", "dlogp", 1),
    ("attention", "sinks"): ("steps", "beyond_even", 1),
    ("attention", "removal"): ("removal", "kl", 1),
    ("alignment", "penalty"): ("penalties", "penalty", 1),
    ("alignment", "unmoved"): ("losses", "cross_entropy", 1),
    ("shift", "harm"): ("harm", "nats", 1),
    ("shift", "unintervened"): ("unintervened", "nll_per_token", 1),
    ("judge", ""): ("winrate", "winrate", 100),
}
"""Of each pairing: the report's table and column that the main measure's points must equal."""

COMPARED = {("blocks", ""): "repeated 4-grams (points)"}
"""The measure instead of the main one, which the report has no mean of."""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A function that gives the committed run of a probe, and the same with noise."""
    home = tmp_path_factory.mktemp("real")

    @cache
    def run(probe):
        folders = home / probe / "a", home / probe / "b"
        for folder, change in zip(folders, (pd.DataFrame.copy, noisy), strict=True):
            reference.run(folder, "shift" if probe == "judge" else probe, MODEL)
            for path in folder.glob("*__*.csv"):
                frame = pd.read_csv(path)
                if probe in KEPT:
                    column, values = KEPT[probe]
                    frame = frame[frame[column].astype(str).isin(values)]
                change(frame).to_csv(path, index=False)
        return folders

    return run


@pytest.fixture(scope="module")
def both(real):
    """A function that gives the comparison of both, at all points."""

    @cache
    def compared(probe):
        return compare.compare(*real(probe), probes=[probe], points="all")[0]

    return compared


@pytest.fixture(scope="module")
def tables_of(reported):
    """A function that gives the report's tables of a side.

    Where the side is the committed run itself, they are the model's in the report of all models.
    """

    def made(probe, side, noisy=False):
        if noisy or probe in KEPT:
            return catalog.load("report", probe).tables(side.frame.copy())
        tables = reported("shift" if probe == "judge" else probe)[0][probe]
        own = {name: table for name, table in tables.items() if "model" in table}
        return {name: table[table["model"] == MODEL] for name, table in own.items()}

    return made


NOISY = ("logp_right", "normalised", "top1_prob", "js", "mi", "incoherent_parallel", "logp", "nll")
NOISY += ("cross_entropy", "flexible", "repeated", "dlogp_mean", "received", "removed_kl")
NOISY += ("entropy_parallel",)


def noisy(frame):
    """Rows in another order, with noise on what is measured; whole numbers move by one."""
    rng = np.random.default_rng(0)
    for name in (n for n in NOISY if n in frame):
        frame[name] *= 1 - 0.1 * rng.random(len(frame))
    for name in ("correct", "in_first_sentence", "edits", "edit_distance", "win", "restored"):
        if name in frame:
            moved = rng.random(len(frame)) < 0.3
            frame[name] = (frame[name] - moved).abs()
    if "surprisals" in frame:
        lists = [np.array(json.loads(text)) for text in frame["surprisals"]]
        lists = [own * (1 - 0.5 * rng.random(len(own))) for own in lists]
        frame["surprisals"] = [json.dumps(list(own)) for own in lists]
    return frame.sample(frac=1, random_state=1)


def points_of(probe, name, tables):
    """The report's values of a pairing's measure, at the points that a comparison has."""
    title, column, scale = TABLES[probe, name]
    table = tables[title]
    kept = {"label": "any", "part": "primacy", "task": "all", "set": "all", "amount": "50"}
    kept |= {"target": "unmoved"}
    for key, value in kept.items():
        if key in table and value in set(table[key]):
            table = table[table[key] == value]
    for key, least in (("frac", 0.01), ("depth", 0), ("at_once", 2)):
        if key in table:
            table = table[table[key] >= least]
    return sorted(scale * table[column].dropna())


@simulation
@pytest.mark.parametrize("probe", cases(PROBES, every=2))
@pytest.mark.slow
def test_a_real_run_compares_as_its_report_says(both, tables_of, probe):
    """The sides' means at every point are what the report of each side alone has."""
    found = both(probe)
    assert {(probe, name) for name in found[0].tables} == {k for k in TABLES if k[0] == probe}
    tables = tables_of(probe, found[0].first), tables_of(probe, found[0].second, noisy=True)
    for name, table in found[0].tables.items():
        label = COMPARED.get((probe, name), table["measure"].iloc[0])
        lines = table[table["measure"] == label]
        sweep = list(table.columns[: table.columns.get_loc("measure")])
        if sweep:
            lines = lines[~(lines[sweep] == EVERY).all(axis=1)]
        if "filler" in sweep:  # the report's curves share the point without any
            lines = lines[lines["filler"] != "none"]
        assert len(lines)
        for side, own in zip("ab", tables, strict=True):
            expected = points_of(probe, name, own)
            assert sorted(lines[side]) == pytest.approx(expected, rel=1e-6, abs=1e-9), (name, side)


@pytest.mark.slow
def test_verdicts_on_models_compare_as_their_report_says(real):
    """Of each model that the answers were judged against."""
    _, one = judged(real, "all")
    lines = one.tables[""]
    lines = lines[lines["against"] != EVERY] if "against" in lines else lines
    assert len(lines)
    for side, own in zip("ab", (one.first, one.second), strict=True):
        table = catalog.load("report", "judge").tables(own.frame.copy())["models"]
        assert sorted(lines[side]) == pytest.approx(sorted(100 * table["winrate"]))
    assert not (lines["a"] == lines["b"]).all()


def judged(real, points="main"):
    """Both comparisons of verdicts: on shifted answers, and on models."""
    shifted, between = compare.compare(*real("judge"), probes=["judge"], points=points)[0]
    assert shifted.title == "judge by language"
    assert between.title == "judge by language between models"
    return shifted, between


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.slow
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


KINDS = probe_cases.gathered("KIND") | {"judge": "intervention"}


@pytest.mark.parametrize(("probe", "kind"), KINDS.items())
@pytest.mark.slow
def test_part_of_a_run_is_compared_as_far_as_it_goes(both, probe, kind):
    """Rows of one kind alone, such as one measure of joint, make no other kind fail."""
    found = both(probe)[0]
    frames = [dict(iter(m.frame.groupby(kind))) for m in (found.first, found.second)]
    assert len(frames[0]) > 1
    compared = set()
    for name, part in frames[0].items():
        for pairing in catalog.load("report", probe).PAIRED:
            cells = declarations.coordinates(probe)
            both = _pairing.pair(part, frames[1][name], pairing, cells)
            if len(paired_differences.lines(both, pairing)):
                compared.add(pairing.name)
    # a drop is a difference of two kinds, and needs both
    assert compared == found.tables.keys() - {"drop"}


def test_judged_ties_by_definition_are_left_out(real):
    """At a fraction of 0 the shifted answer is the unshifted one."""
    found, _ = judged(real)
    pairing = catalog.load("report", "judge").PAIRED[0]
    frames = [
        pd.concat([m.frame, m.frame.assign(frac=0.0, score=0.5, verdict="A=B")])
        for m in (found.first, found.second)
    ]
    table = paired_differences.lines(_pairing.pair(*frames, pairing, []), pairing)
    assert list(table["difference"]) == list(found.tables[""]["difference"])
    nothing = [frame[frame["frac"] == 0] for frame in frames]
    assert not len(paired_differences.lines(_pairing.pair(*nothing, pairing, []), pairing))
