"""The ends of pages in docs/: options and columns as probes and verdicts declare them.

`python -m tests.helpers.reference_tables` writes them anew.
"""

from pathlib import Path

from mdlm_probe.cli.options import plan_options
from mdlm_probe.core import catalog

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = {name: DOCS / "probes" / f"{name}.md" for name in catalog.names("probe")}
PAGES |= {catalog.JUDGE: DOCS / "judges.md"}
OPTIONS, COLUMNS = "## All options\n", "## Columns\n"
SHARED = "Models, devices and folders: the [options of checkpoints](../checkpoints.md)."


def table(*rows):
    """A table in Markdown, its head first."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def options(name):
    """What a probe's own options mean."""
    given = plan_options(catalog.load("probe", name).plan)
    rows = [(f"`{option.opts[0]}`", option.help) for option in given]
    return f"{OPTIONS}\n{SHARED} Of this probe:\n\n{table(('option', 'meaning'), *rows)}"


def columns(name):
    """What each column of a CSV holds."""
    asked = {column.name for column in catalog.coordinates(name)}
    main, *others = catalog.observations(name)
    files = catalog.csv_names(name, f"{name}__NAME")
    told = (
        f"Of `{files[main.name]}`: columns in bold tell what was asked. An empty field says that a"
        " column means nothing in\na row; an optional column is missing where a run could hold"
        " nothing in it."
    )
    if others:
        told += (
            f" A row is {main.meaning}.\nThe other files begin with `model` and the columns in"
            " bold, too: by these they join."
        )
    parts = [_columns(main.columns, asked)]
    for kind in others:
        parts.append(f"Of `{files[kind.name]}`, where a row is {kind.meaning}:\n")
        parts.append(_columns(kind.columns[len(asked) + 1 :], asked))
    return "\n".join([f"{COLUMNS}\n{told}\n", *parts])


def _columns(columns, asked):
    rows = [
        (
            f"**`{column.name}`**" if column.name in asked else f"`{column.name}`",
            *(column.kind, column.unit, column.meaning),
        )
        for column in columns
    ]
    return table(("column", "type", "unit", "meaning"), *rows)


def written(page, name):
    """A page with its end as it should be."""
    own = page.read_text().partition(OPTIONS)[0].partition(COLUMNS)[0]
    return own + (options(name) + "\n" if name != catalog.JUDGE else "") + columns(name)


if __name__ == "__main__":
    for name, page in PAGES.items():
        page.write_text(written(page, name))
