"""Points in three dimensions with two labels: examples whose rule is known, and no word says it.

Four rules of growing difficulty. Appendix A.8 of arXiv 2511.21338 asks models to classify such
points; its generators aren't published in what we hold, so the rules and their scale are ours.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.prompts.few_shot_sets import Example

LABELS = ("lamp", "clock")
"""Words that say nothing of where a point is; the first is option A of every question."""
COUNT = 1200
"""Points of a rule, half of each label: 1,000 test points and the examples before them."""
MARGIN = 0.04
"""How far points are from the border of their label at least; the cube has edges of length 1."""
NORMAL = (0.8, -0.5, 0.33)
"""What the plane of `plane` stands upright on, not of length 1."""
RADIUS: float = (3 / (8 * math.pi)) ** (1 / 3)
"""Of the ball that has half of the cube's volume."""
CENTRES = ((0.2, 0.25, 0.7), (0.75, 0.8, 0.3), (0.3, 0.8, 0.25), (0.8, 0.25, 0.75))
"""Of the four clusters: two of a label, which no plane parts from the other two."""
SPREAD = 0.08
"""Standard deviation of a cluster along each axis."""

Point = tuple[float, float, float]


def plane(point: Point) -> float:
    """How far a point is to one side of a slanted plane through the middle of the cube."""
    a, b, c = NORMAL
    x, y, z = (value - 0.5 for value in point)
    return (a * x + b * y + c * z) / math.hypot(a, b, c)


def ball(point: Point) -> float:
    """How far a point is inside a ball around the middle, negative outside."""
    return RADIUS - math.dist(point, (0.5, 0.5, 0.5))


def octants(point: Point) -> float:
    """How far a point is from the nearest of three planes; its sign is the parity of octants."""
    sides = [x - 0.5 for x in point]
    return math.copysign(min(map(abs, sides)), math.prod(sides))


def clusters(point: Point) -> float:
    """How much nearer a point is to the centres of the first label than to the second's."""
    first, second = (min(math.dist(point, c) for c in CENTRES[i : i + 2]) for i in (0, 2))
    return second - first


RULES: dict[str, Callable[[Point], float]] = {
    "plane": plane,
    "ball": ball,
    "octants": octants,
    "clusters": clusters,
}
"""What tells the label: the first one's points have values above 0."""


@cache
def questions(rule: str, low: int, high: int) -> tuple[Example, ...]:
    """Distinct points with whole coordinates, as many of one label as of the other.

    Args:
        rule: a name of `RULES`.
        low, high: the smallest and the largest coordinate, which are the cube's edges.
    """
    rng = random.Random(seed_of("points", rule, low, high))
    wanted = [COUNT // 2, COUNT // 2]
    found: dict[tuple[int, ...], Example] = {}
    while sum(wanted):
        drawn = tuple(round(low + x * (high - low)) for x in _draw(rng, rule))
        within = all(low <= x <= high for x in drawn)
        x, y, z = ((c - low) / (high - low) for c in drawn)
        value = RULES[rule]((x, y, z))
        right = int(value < 0)
        if within and drawn not in found and abs(value) >= MARGIN and wanted[right]:
            wanted[right] -= 1
            found[drawn] = Example(LABELS, right, ", ".join(map(str, drawn)))
    return tuple(found.values())


def _draw(rng: random.Random, rule: str) -> tuple[float, ...]:
    if rule == "clusters":
        return tuple(rng.gauss(x, SPREAD) for x in rng.choice(CENTRES))
    return tuple(rng.random() for _ in range(3))
