"""Imports go down the floors of the package, never sideways or up, and never in a circle."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent / "mdlm_probe"
FLOORS = {
    **dict.fromkeys(["core"], 0),
    **dict.fromkeys(["prompts"], 1),
    **dict.fromkeys(["analysis", "models"], 2),
    **dict.fromkeys(["engine"], 3),
    **dict.fromkeys(["decoding"], 4),
    **dict.fromkeys(["likelihood"], 5),
    **dict.fromkeys(["probes", "tuning"], 6),
    **dict.fromkeys(["runs"], 7),
    **dict.fromkeys(["harness", "reports"], 8),
    **dict.fromkeys(["cli", "lm_eval"], 9),
    **dict.fromkeys(["api"], 10),
}
FILES = sorted(ROOT.rglob("*.py"))
SCREEN = {"click", "rich"}
TORCH = {"torch", "transformers"}


def name_of(path: Path, root: Path = ROOT) -> str:
    """A file's dotted name."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def imported(tree: ast.AST, known: set[str]) -> set[str]:
    """What a file imports, wherever in it, for typing too: the project's own modules whole."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@cache
def imports() -> dict[str, set[str]]:
    """What each file imports, read when a test first asks: only one of the workers has these."""
    return {name_of(path): imported(ast.parse(path.read_text()), NAMES) for path in FILES}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """A line for each import that leads back to the file it stands in."""

    def reached(start: str) -> set[str]:
        found, waiting = set(), [start]
        while waiting:
            for name in graph.get(waiting.pop(), set()) & graph.keys() - found:
                found.add(name)
                waiting.append(name)
        return found

    return [f"{a} -> {b}" for a in graph for b in graph[a] & graph.keys() if a in reached(b)]


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_there_are_fifteen_packages_on_eleven_floors_and_nothing_else():
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith("_")}
    assert found - {"py.typed"} == set(FLOORS)
    assert len(FLOORS) == 15
    assert sorted(set(FLOORS.values())) == list(range(11))
    modules = {p.name for p in ROOT.glob("*.py")}
    assert modules == {"__init__.py", "__main__.py"}


def test_imports_go_down():
    wrong = [
        f"{file} imports {name}"
        for file, names in imports().items()
        for name in names & NAMES
        if room(file) in FLOORS and room(name) not in ("", room(file))
        if FLOORS[room(name)] >= FLOORS[room(file)]
    ]
    assert wrong == []


def test_no_file_imports_itself_by_way_of_others():
    assert circles(imports()) == []


def test_a_probe_imports_no_other_probe():
    wrong = []
    for path in ROOT.glob("probes/*/**/*.py"):
        own = {path.relative_to(ROOT).parts[1], "_few_shot"}
        named = [name for name in imports()[name_of(path)] if room(name) == "probes"]
        wrong += [f"{path} imports {name}" for name in named if name.split(".")[2] not in own]
    assert wrong == []


def test_the_checks_see_wrong_imports():
    wrong = ast.parse("def f():\n    from mdlm_probe.cli import commands\n")
    assert imported(wrong, NAMES) == {"mdlm_probe.cli.commands"}
    typed = ast.parse("if TYPE_CHECKING:\n    from mdlm_probe.cli.commands import main\n")
    assert imported(typed, NAMES) == {"mdlm_probe.cli.commands"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [
        *("a -> b", "b -> c", "c -> a")
    ]


def roots(path: Path) -> set[str]:
    """The libraries that a file imports."""
    return {name.split(".")[0] for name in imports()[name_of(path)]}


def test_click_and_rich_live_in_cli_only():
    elsewhere = [path for path in FILES if room(name_of(path)) != "cli"]
    assert [path for path in elsewhere if roots(path) & SCREEN] == []


def test_walls():
    """What reads rows never needs torch; what measures never needs pandas."""
    rooms, names = ("analysis", "reports"), ("report.py", "examples.py")
    reading = [path for path in FILES if path.name in names or room(name_of(path)) in rooms]
    assert [path for path in reading if roots(path) & TORCH] == []
    measuring = [path for path in FILES if path.name == "probe.py"]
    assert [path for path in measuring if "pandas" in roots(path)] == []
    assert len(reading) > 50
    assert len(measuring) > 10
