"""The page's text: sections into the template, with the script and the style beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mdlm_probe.analysis.chart_style import CATEGORIES, DARK, MODELS
from mdlm_probe.core.version import __version__
from mdlm_probe.reports.html.probe_sections import Section
from mdlm_probe.reports.html.summary import SummaryPart
from mdlm_probe.reports.html.vega_bundle import bundle

HERE = Path(__file__).parent
SCRIPTS = ("charts.js", "examples.js", "page.js")
LONG = 60
"""Rows beyond which a figure's table isn't printed; its CSV has them."""


def render(
    title: str,
    colours: Mapping[str, str],
    summary: Sequence[SummaryPart],
    sections: Sequence[Section],
    states: Sequence[tuple[str, str, str]],
    source: str,
) -> str:
    """The whole page.

    Args:
        title: the study's or the folder's name.
        colours: of the models, in the order of the page.
        summary: headlines in words.
        sections: of the probes.
        states: runs that aren't finished: name, state, and why.
        source: the study's YAML; "" where there is none.
    """
    data = {"models": list(colours), "sections": {one.id: one.data() for one in sections}}
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            colours=colours,
            summary=summary,
            sections=sections,
            states=states,
            source=source,
            data=data,
            long=LONG,
            **look(),
            # ours: none of these can hold what a model wrote
            scripts=[Markup(script) for script in (bundle(), *map(text, SCRIPTS))],
        )
    )


def look() -> dict[str, Any]:
    """What every page's template takes: the style, colours in light and dark, the version."""
    sets = {"model": MODELS, "category": CATEGORIES}
    dark = {name: [DARK.get(colour, colour) for colour in own] for name, own in sets.items()}
    style = Markup(text("page.css"))  # ours, as the scripts
    return {"light": sets, "dark": dark, "style": style, "version": __version__}


def environment() -> Environment:
    """The templates of this folder; what is put into them is escaped."""
    found = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    compact = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    found.policies["json.dumps_kwargs"] = compact
    return found


def text(name: str) -> str:
    """A file of this folder."""
    return (HERE / name).read_text(encoding="utf-8")
