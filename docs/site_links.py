"""What the site shows of files outside docs/: the README, and pictures of the reference run."""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PICTURES = "results/reference*/**/*.png"
START = "start.md"
"""The README's name there: mkdocs takes a README for an index."""


def on_files(files: Files, config: Any) -> Files:
    """The site's files, with those that lie elsewhere in the repository."""
    for path in sorted(ROOT.glob(PICTURES)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    text = (ROOT / "README.md").read_text()
    files.append(File.generated(config, START, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """A page whose links are those of the site; what it lacks is named by its path."""
    name = page.file.src_uri
    folder = dirname(name)
    home = "" if name == START else join("docs", folder)

    def linked(found: re.Match[str]) -> str:
        mark, text, target, anchor = found.groups(default="")
        if "://" in target or not target:
            return found[0]
        path = normpath(join(home, target))
        there = START if path == "README.md" else path.removeprefix("docs/")
        if there in files.src_uris:
            return f"{mark}[{text}]({relpath(there, folder or '.')}{anchor})"
        return f"`{path}`"

    return re.sub(r"(!?)\[([^\]]+)\]\(([^)#\s]*)(#[^)]*)?\)", linked, markdown)
