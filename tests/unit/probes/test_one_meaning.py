"""One meaning, one type and one unit for a column's name: over rows of all kinds, and tables."""

import dataclasses
from collections import defaultdict

import pandas as pd
import pytest
import reference

from mdlm_probe.core import catalog, columns
from mdlm_probe.core.columns import Column
from mdlm_probe.core.run_folder import run_folders
from mdlm_probe.harness import result_files
from mdlm_probe.models import registry
from mdlm_probe.probes.decay import columns as decay
from mdlm_probe.reports.exports.column_units import unit_of
from mdlm_probe.runs import answer_writer, plan
from mdlm_probe.tuning import training_log

pytestmark = pytest.mark.slow

WRITERS = {name: catalog.columns(name) for name in (*catalog.names("probe"), catalog.JUDGE)}
WRITERS |= {"generate": answer_writer.COLUMNS, "eval": result_files.COLUMNS}
WRITERS |= {"tune": training_log.COLUMNS}

LINES_OF_ALL = {"pair_distance"}
"""Columns of tables that hold a number, or "all" for the line of all together."""


def clashes(writers):
    """Names that mean two things, each with its writers by what they say of it."""
    said = defaultdict(lambda: defaultdict(list))
    for writer, own in writers.items():
        for column in own:
            what = column.type.__name__, column.unit, column.meaning
            said[column.name][what].append(writer)
    return {name: dict(told) for name, told in said.items() if len(told) > 1}


def test_every_name_means_one_thing():
    assert sum(map(len, WRITERS.values())) > 200
    assert clashes(WRITERS) == {}


@pytest.mark.parametrize("change", [{"type": str}, {"unit": "masks"}, {"meaning": "another"}])
def test_a_name_that_means_two_things_is_found(change):
    one = Column("tokens", int, "tokens", "tokens of the prompt")
    two = dataclasses.replace(one, **change)
    assert list(clashes({"a": (one,), "b": (two,)})) == ["tokens"]
    assert clashes({"a": (one,), "b": (one,)}) == {}


def test_no_writer_names_a_column_twice():
    for writer, own in WRITERS.items():
        names = columns.names(own)
        assert len(names) == len(set(names)), writer


@pytest.fixture(scope="module")
def made(reported):
    """Every table of the committed runs, with the probe and the table's name."""
    return [
        (probe, name, table)
        for run in run_folders(reference.FOLDER)
        for probe, tables in reported(run)[0].items()
        for name, table in tables.items()
    ]


def test_every_column_of_a_table_has_one_unit_and_is_text_or_numbers(made):
    units, kinds = defaultdict(set), defaultdict(set)
    for probe, name, table in made:
        for column in map(str, table.columns):
            units[column].add(unit_of(probe, name, column))
            kinds[column].add(pd.api.types.is_numeric_dtype(table[column]))
    assert len(units) > 150
    assert {name: found for name, found in units.items() if len(found) > 1} == {}
    assert {name for name, found in kinds.items() if len(found) > 1} <= LINES_OF_ALL


def test_tables_have_shares_of_1_and_points_by_name(made):
    """What is called a share, or an accuracy, is no percentage; points say that they are some."""
    for probe, name, table in made:
        for column in map(str, table.columns):
            unit = unit_of(probe, name, column)
            assert unit != "%" or column == "depth", (probe, name, column)
            assert (unit == "points") == (column.split("_")[-1] == "points"), (probe, name, column)
            if column in ("accuracy", "realised", "correct") or column.endswith("_share"):
                assert table[column].dropna().between(0, 1).all(), (probe, name, column)


def test_text_of_a_row_is_no_number_in_a_table(made):
    for probe, name, table in made:
        texts = catalog.columns_of_type(probe, str) & set(map(str, table.columns))
        wrong = [c for c in texts if pd.api.types.is_numeric_dtype(table[c]) and len(table)]
        assert not wrong, (probe, name, wrong)


# ---------------------------------------------------------------------- columns that aren't written


def written(probe, model="tiny-mdlm", **options):
    """The columns of a plan that can be missing."""
    made = plan.prepare(plan.Job(probe, model, {"limit": 1, **options}))
    known = {c.name for c in catalog.columns(probe) if c.optional}
    return known & {name for own in made.files.values() for name in own}


def test_letters_are_those_of_the_options():
    few = {"tasks": ("verb",), "distractors": 2, "shots": 2}
    assert written("locality", **few) == {"logp_C"}
    assert written("locality", options=2, **few) == set()
    assert "logp_D" in written("locality", options=5, lexicon="full", **few)


def test_a_scorers_columns_need_one_and_the_languages_its_prompts():
    with_both = written("shift", frac=(0.1,))
    assert {"nll", "scorer_tokens", "truth", "words", "right", "correct"} <= with_both
    without = written("shift", frac=(0.1,), scorer="none")
    assert with_both - without == {"nll", "scorer_tokens"}
    other = written("blocks", prompts="open", lexicon="full", length=(8,))
    assert not {"words", "truth"} & other


def test_decay_has_the_columns_of_one_kind_of_model():
    own = written("decay", masks=8)
    assert not set(decay.SAMPLED) & own
    assert set(decay.THEORY) <= own
    assert not set(decay.THEORY) & written("decay", masks=8, context="both")
    assert set(decay.SAMPLED) <= written("decay", "tiny-arlm", masks=8, ar_sample=4)


def test_integrated_gradients_have_a_gap_and_tokens_a_position():
    small = {"tasks": ("verb",), "orders": 1}
    assert "gap" not in written("attribution", **small)
    assert "gap" in written("attribution", method="integrated-gradients", **small)


def test_what_a_probe_leaves_out_is_optional():
    entry = registry().get("tiny-mdlm")
    for name in catalog.names("probe"):
        probe = catalog.load("probe", name)
        if not hasattr(probe, "unwritten"):
            continue
        made = plan.prepare(plan.Job(name, "tiny-mdlm", {"limit": 1}))
        left = set(probe.unwritten(made.options, entry))
        assert left <= {c.name for c in catalog.columns(name) if c.optional}, name
