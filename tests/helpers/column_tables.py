"""The tables of columns in docs/, from what probes and verdicts declare.

`python -m tests.helpers.column_tables` writes them anew.
"""

from pathlib import Path

from mdlm_probe.core import catalog

DOCS = Path(__file__).parent.parent.parent / "docs"
HEAD = "## Columns\n"
PAGES = {name: DOCS / "probes" / f"{name}.md" for name in catalog.names("probe")}
PAGES |= {catalog.JUDGE: DOCS / "judges.md"}


def section(name):
    """The last section of a page: what each column of the CSV holds."""
    asked = {column.name for column in catalog.coordinates(name)}
    lines = [
        f"Of `{name}__NAME.csv`: columns in bold tell what was asked. An empty field says that a"
        " column means nothing in\na row.\n",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
    ]
    for column in catalog.columns(name):
        head = f"**`{column.name}`**" if column.name in asked else f"`{column.name}`"
        meaning = column.meaning.replace("|", "\\|")
        lines.append(f"| {head} | {column.type.__name__} | {column.unit} | {meaning} |")
    return HEAD + "\n" + "\n".join(lines) + "\n"


def written(page, name):
    """A page with its table as it should be."""
    return page.read_text().partition(HEAD)[0] + section(name)


if __name__ == "__main__":
    for name, page in PAGES.items():
        page.write_text(written(page, name))
