"""Shards: every group of cells is in exactly one of them, in its order."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdlm_probe.cli.options import shard_of
from mdlm_probe.core.cell_ranges import cells_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.shards import Shard, ShardCells


@dataclass(frozen=True)
class Numbered:
    number: int


SIZES = {"number": st.integers(0, 40), "size": st.integers(1, 9), "count": st.integers(1, 7)}


@given(**SIZES)
def test_groups_are_dealt_out_in_turn(number, size, count):
    cells = cells_of(Numbered, ("number", range(number)))
    groups = [cells[start : start + size] for start in range(0, number, size)]
    for index in range(1, count + 1):
        own = ShardCells(cells, Shard(index, count), size)
        expected = [cell for group in groups[index - 1 :: count] for cell in group]
        assert list(own) == expected
        assert [own[at] for at in range(len(own))] == expected
        assert Shard(index, count).cells(number, size) == len(expected)
        # what is measured together is a group of the whole
        parts = [own[start : start + size] for start in range(0, len(own), size)]
        assert parts == groups[index - 1 :: count]


def test_an_index_beyond_the_end_is_an_error():
    with pytest.raises(IndexError):
        ShardCells(cells_of(Numbered, ("number", range(3))), Shard(2, 2), 2)[1]


@pytest.mark.parametrize("text", ["3", "0/2", "3/2", "a/b", "1/2/3", "/2", "1/", "-1/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ProbeError) as error:
        shard_of(text)
    assert error.value.option == "shard"


def test_a_shard_as_typed():
    assert shard_of(" 2/8") == Shard(2, 8)
    assert shard_of("") is None
