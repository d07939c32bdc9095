"""Where axes end, and their ticks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdlm_probe.analysis.axis_limits import TICKS, axis_limits, bent, bent_ticks, unbent
from mdlm_probe.analysis.charts import Axis

LINEAR, LOG = Axis("x", "x"), Axis("x", "x", scale="log")
SYMLOG = Axis("x", "x", scale="symlog", knee=0.1)
AXES = pytest.mark.parametrize("axis", [LINEAR, LOG, SYMLOG], ids=lambda a: a.scale)


def test_a_little_room_at_both_ends():
    assert axis_limits(np.array([0.0, np.nan, 100.0, np.inf]), LINEAR, 0.04) == (-4, 104)
    low, high = axis_limits(np.array([0.0, 1.0, 100.0]), LOG, 0.5)
    assert (low, high) == pytest.approx((0.1, 1000), rel=1e-4), "zero has no place there"
    low, high = axis_limits(np.array([-0.1, 0.1]), SYMLOG, 0.0)
    assert (low, high) == pytest.approx((-0.1, 0.1), rel=1e-4)


def test_one_value_and_none():
    assert axis_limits(np.array([3.0]), LINEAR, 0.04) == (2.5, 3.5)
    assert axis_limits(np.array([8.0]), LOG, 0.04) == pytest.approx((4, 16), rel=1e-4)
    assert axis_limits(np.array([np.nan]), LINEAR, 0.04) == (0, 1)
    assert axis_limits(np.array([0.0, -1.0]), LOG, 0.04) == (1, 10)


@AXES
@given(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9))
def test_every_value_is_inside(axis, values):
    """Rounding to six digits moves ends outwards only."""
    low, high = axis_limits(np.array(values), axis, 0.0)
    shown = [v for v in values if v > 0 or axis.scale != "log"]
    assert low < high or not shown or low <= min(shown)
    if shown:
        assert low <= min(shown) * (1 + 1e-12 * np.sign(min(shown)))
        assert high >= max(shown) * (1 - 1e-12 * np.sign(max(shown)))


@pytest.mark.parametrize("value", [-3.0, -0.01, 0.0, 0.1, 7.0])
def test_bending_is_undone(value):
    assert unbent(bent(value, SYMLOG), SYMLOG) == pytest.approx(value)
    assert unbent(bent(value + 4, LOG), LOG) == pytest.approx(value + 4)
    assert bent(-value, SYMLOG) == -bent(value, SYMLOG)


@pytest.mark.parametrize(
    ("axis", "limits", "ticks"),
    [
        (LOG, (0.9, 110), [1, 2, 5, 10, 20, 50, 100]),
        (LOG, (0.24, 1.05), [0.3, 0.4, 0.5, 0.7, 1]),
        (LOG, (1e-7, 1.2), [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]),
        (SYMLOG, (-0.4, 4), [-0.2, -0.1, 0, 0.1, 0.2, 0.5, 1, 2]),
    ],
)
def test_ticks_are_round_and_as_close_as_there_is_room(axis, limits, ticks):
    assert bent_ticks(axis, limits) == pytest.approx(ticks)


def test_ticks_are_few_however_long_the_axis():
    assert 4 < len(bent_ticks(LOG, (1e-11, 1e11))) <= TICKS
