"""Where the texts of an SVG stand, how large they are, and which marks can be seen."""

import math
import re
from dataclasses import dataclass
from xml.etree import ElementTree

from mdlm_probe.analysis import text_width

SPACE = "{http://www.w3.org/2000/svg}"
STEP = re.compile(r"(translate|rotate|scale)\(([^)]*)\)")


@dataclass(frozen=True)
class TextBox:
    """A line of text, and the box around it, in units of the picture."""

    text: str
    size: float
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other, room=1.0):
        return (
            self.left + room < other.right
            and other.left + room < self.right
            and self.top + room < other.bottom
            and other.top + room < self.bottom
        )


def size(svg):
    """Width and height as they are written, such as ("3.3in", "2in")."""
    root = ElementTree.fromstring(svg)
    return root.get("width"), root.get("height")


def view(svg):
    """Both ends of the view box."""
    return tuple(map(float, ElementTree.fromstring(svg).get("viewBox").split()))[2:]


def texts(svg):
    """The lines of text that can be seen."""
    return [box for box, _ in _found(ElementTree.fromstring(svg), (1, 0, 0, 1, 0, 0), True)]


def points(svg):
    """How many points have ink."""
    root = ElementTree.fromstring(svg)
    groups = [g for g in root.iter(f"{SPACE}g") if "mark-symbol role-mark" in g.get("class", "")]
    return sum(_inked(path) for group in groups for path in group.iter(f"{SPACE}path"))


def _inked(path):
    strokes = path.get("stroke") not in (None, "none", "transparent")
    strokes = strokes and path.get("stroke-opacity") != "0" and path.get("stroke-width") != "0"
    filled = path.get("fill") not in (None, "none", "transparent")
    return path.get("opacity") != "0" and (strokes or (filled and path.get("fill-opacity") != "0"))


def _found(element, matrix, visible):
    matrix = _moved(matrix, element.get("transform", ""))
    visible = visible and element.get("opacity") != "0" and element.get("display") != "none"
    if element.tag == f"{SPACE}text":
        if visible:
            yield from ((box, element) for box in _lines(element, matrix))
        return
    for child in element:
        yield from _found(child, matrix, visible)


def _lines(element, matrix):
    points = float(element.get("font-size").removesuffix("px"))
    anchor = element.get("text-anchor", "start")
    spans = element.findall(f"{SPACE}tspan")
    down = 0.0
    for text, step in [(s.text, s.get("dy")) for s in spans] or [(element.text, None)]:
        down += float(step or 0)
        wide = text_width.width(text or "", points)
        start = {"start": 0.0, "middle": -wide / 2, "end": -wide}[anchor]
        corners = [
            _at(matrix, x, y)
            for x in (start, start + wide)
            for y in (down - 0.74 * points, down + 0.21 * points)
        ]
        xs, ys = zip(*corners, strict=True)
        if (text or "").strip():
            yield TextBox(text, points, min(xs), min(ys), max(xs), max(ys))


def _moved(matrix, steps):
    for kind, given in STEP.findall(steps):
        numbers = [float(n) for n in re.split(r"[ ,]+", given.strip())]
        if kind == "translate":
            other = (1, 0, 0, 1, numbers[0], numbers[1] if len(numbers) > 1 else 0.0)
        elif kind == "rotate":
            cos, sin = math.cos(math.radians(numbers[0])), math.sin(math.radians(numbers[0]))
            other = (cos, sin, -sin, cos, 0, 0)
        else:
            other = (numbers[0], 0, 0, numbers[-1], 0, 0)
        matrix = _product(matrix, other)
    return matrix


def _product(first, second):
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return (
        *(a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s),
        *(a * t + c * u + e, b * t + d * u + f),
    )


def _at(matrix, x, y):
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f
