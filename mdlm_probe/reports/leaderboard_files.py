"""The leaderboard as CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from mdlm_probe.analysis.chart_data import ChartData
from mdlm_probe.analysis.chart_style import PAGE
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, ends_in_words, rounded
from mdlm_probe.analysis.markdown_text import escape
from mdlm_probe.analysis.tables import MISSING, TextTable
from mdlm_probe.analysis.text_width import FONT
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import write_whole
from mdlm_probe.reports import over_training, pictures
from mdlm_probe.reports.exports.captioned_tables import CaptionedTable
from mdlm_probe.reports.exports.formats import latex, markdown
from mdlm_probe.reports.exports.latex_text import escape as latex_escape
from mdlm_probe.reports.html import page_template
from mdlm_probe.reports.html.page_tables import PageTable
from mdlm_probe.reports.leaderboard import Leaderboard, Row
from mdlm_probe.reports.over_training import READ
from mdlm_probe.reports.probe_report import STEP

TITLE = "Leaderboard"
NAME = "leaderboard"
SAID = (
    "Values with 95 % intervals; n is the number of independent units; a dash: not measured, not to"
    " be told, or no interval."
)
DRAWN_ON_PAGE = replace(PAGE, font=FONT)
"""The page's colours, with the letters whose widths a drawing knows."""
BETTER = {"more": "more is better", "less": "less is better", "": "neither is better"}


def numbers(made: Leaderboard) -> pd.DataFrame:
    """Values as numbers: a row for each model, for each headline its value, interval and n."""
    lines = []
    for row in made.rows:
        folders = dict.fromkeys(source.place for source in row.sources.values())
        line: dict[str, object] = {"name": row.name, "model": row.model}
        if made.has_steps:
            line |= {"training": row.training and row.training[0], STEP: step_of(row)}
        line["folders"] = "; ".join(folders)
        for _, headline in made.columns:
            one, slug = row.values.get(headline.name) or HeadlineValue(row.model), _slug(headline)
            line |= {slug: one.value, f"{slug}_low": one.low, f"{slug}_high": one.high}
            line |= {f"{slug}_n": one.n if one.known else None, f"{slug}_units": one.units}
            line |= {f"{slug}_setting": one.setting}
        lines.append(line)
    counts = [f"{_slug(headline)}_n" for _, headline in made.columns]
    counts += [STEP] * made.has_steps
    return pd.DataFrame(lines).astype(dict.fromkeys(counts, "Int64"))


def step_of(row: Row) -> int | None:
    """The training step that a row's checkpoint was saved at; None of others."""
    return row.training[1] if row.training else None


def names(made: Leaderboard, row: Row) -> tuple[str, ...]:
    """The first cells of a row: its name, and its training step where any row has one."""
    step = step_of(row)
    return (row.name, *([MISSING if step is None else str(step)] * made.has_steps))


def heads(made: Leaderboard) -> tuple[str, ...]:
    """What stands above `names`."""
    return ("model", *([STEP] * made.has_steps))


def _slug(headline: Headline) -> str:
    return headline.name.replace(" ", "_").replace("-", "_")


def text(made: Leaderboard) -> TextTable:
    """Values as text: a row for each model, a column for each headline."""
    titles = (*heads(made), *(head(headline) for _, headline in made.columns))
    rows = [
        (*names(made, row), *(cell(row.values.get(headline.name)) for _, headline in made.columns))
        for row in made.rows
    ]
    return TextTable(titles, tuple(rows), tuple(title == STEP for title in titles))


def head(headline: Headline) -> str:
    """A headline's name and unit."""
    return f"{headline.name} ({headline.unit})" if headline.unit else headline.name


def cell(found: HeadlineValue | None) -> str:
    """A value with its interval and n; a dash for each that there is none of."""
    if found is None or not found.known:
        return MISSING
    return f"{rounded(found.value)} ({ends_in_words(found)}), n {found.n}"


def meanings(made: Leaderboard) -> list[tuple[str, str]]:
    """What each column is, and where the values are from."""
    found = []
    for probe, headline in made.columns:
        said = f"{headline.meaning}; {BETTER[headline.better]} ({probe})"
        found.append(
            (headline.name, said + "".join(f"; {own}" for own in settings(made, headline)))
        )
    return found


def settings(made: Leaderboard, headline: Headline) -> list[str]:
    """Of which rows a headline's values are: once where all are alike, else with the models."""
    by: dict[tuple[str, str], list[str]] = {}
    for row in made.rows:
        one = row.values.get(headline.name)
        if one and one.known:
            by.setdefault((one.setting, one.units), []).append(row.name)
    told = [(f"{setting}; n: {units}", names) for (setting, units), names in by.items()]
    if len(told) == 1:
        return [told[0][0]]
    return [f"{', '.join(names)}: {said}" for said, names in told]


# ---------------------------------------------------------------------- formats


def _csv(made: Leaderboard) -> str:
    return str(numbers(made).to_csv(index=False, float_format="%.6g"))


def markdown_text(made: Leaderboard) -> str:
    """The leaderboard as Markdown, with what its columns are."""
    lines = [f"## {TITLE}", "", SAID, "", *markdown.table(CaptionedTable(TITLE, {}, text(made)))]
    lines += ["", *(f"- **{escape(name)}**: {escape(said)}" for name, said in meanings(made))]
    if made.notes:
        lines += ["", "Notes:", "", *(f"- {escape(note)}" for note in made.notes)]
    return "\n".join([*lines, ""])


def _latex(made: Leaderboard) -> str:
    table = latex.table(CaptionedTable(f"{TITLE}. {SAID}", {}, text(made)), f"tab:{NAME}")
    said = [f"{name}: {meaning}" for name, meaning in meanings(made)] + made.notes
    below = "".join(f"\n\\noindent {latex_escape(line)}.\\par\n" for line in said)
    return table.decode() + below


def _html(made: Leaderboard) -> str:
    found = text(made)
    shown = PageTable(TITLE, found.heads, tuple(("", row) for row in found.rows), found.numeric)
    template = page_template.environment().get_template("leaderboard.html.j2")
    charts = made.over_training().data()
    return template.render(
        title=TITLE,
        said=SAID,
        table=shown,
        read=READ,
        charts=[(data.chart.title, Markup(_drawing(name, data))) for name, data in charts.items()],
        meanings=meanings(made),
        notes=made.notes,
        **page_template.look(),
    )


def _drawing(name: str, data: ChartData) -> str:
    """A chart for the page, whose colours are the page's own in light and dark.

    Ids are made its own: the page holds several drawings.
    """
    svg = pictures.draw(data, (), theme=DRAWN_ON_PAGE).svg
    return re.sub(r"\b(clip|gradient_)(\d+)\b", rf"{name}-\1\2", svg)


FORMATS: dict[str, tuple[str, Callable[[Leaderboard], str]]] = {
    "csv": ("csv", _csv),
    "markdown": ("md", markdown_text),
    "latex": ("tex", _latex),
    "html": ("html", _html),
}
"""The end of a file's name, and what makes the file, by the format's name."""


def save(folder: Path, made: Leaderboard, formats: Iterable[str]) -> list[Path]:
    """Writes the leaderboard in some formats, and its charts over training, if it has any.

    Returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProbeError(f"cannot write {folder}: {error}", option="output") from None
    for name in dict.fromkeys(formats):
        end, make = FORMATS[name]
        paths.append(folder / f"{NAME}.{end}")
        write_whole(paths[-1], make(made))
    if steps := made.over_training() if paths else None:
        paths += over_training.save(folder, steps, stem=f"{NAME}-{over_training.NAME}")
    return paths
