"""What a probe's modules declare is what somebody reads: types, parameters, no misspelt name."""

import ast
import dataclasses
import functools
import inspect
import re
import types
from typing import Any, Literal

import pytest
from beartype.door import is_bearable

from mdlm_probe.analysis.charts import Chart
from mdlm_probe.analysis.headlines import Headline
from mdlm_probe.analysis.pairing import Pairing
from mdlm_probe.analysis.published import PublishedValue
from mdlm_probe.core import catalog, contract
from mdlm_probe.core.columns import Column, Observation
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import PACKAGE

TYPES = {
    "Chart": Chart,
    "Column": Column,
    "Headline": Headline,
    "Literal": Literal,
    "Observation": Observation,
    "Pairing": Pairing,
    "PublishedValue": PublishedValue,
}
MODULES = [(part, name) for part in contract.CONTRACTS for name in catalog.names(part)]
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path.read_text()
    for path in sorted(PACKAGE.rglob("*.py"))
}


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Every file parsed, when a test first asks: only one of the workers has these."""
    return {name: ast.parse(source) for name, source in SOURCES.items()}


@dataclasses.dataclass
class Reads:
    """What a file imports and calls, and attributes of what it names: found in one walk."""

    imported: set[tuple[str | None, str, str]] = dataclasses.field(default_factory=set)
    """By `from A import b as c`: A, b and c."""
    attributes: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    calls: list[ast.Call] = dataclasses.field(default_factory=list)


@functools.cache
def reads() -> dict[str, Reads]:
    """The same of every file: each is asked for every module and every planted name."""
    found = {}
    for name, tree in trees().items():
        found[name] = own = Reads()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                own.imported |= {(node.module, a.name, a.asname or a.name) for a in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                own.attributes.add((node.value.id, node.attr))
            elif isinstance(node, ast.Call):
                own.calls.append(node)
    return found


def dotted(part: str, name: str) -> str:
    return catalog.load(part, name).__name__


# ---------------------------------------------------------------------- types


@pytest.mark.parametrize(("part", "name"), MODULES)
def test_a_module_has_what_its_kind_must_have_and_of_its_types(part, name):
    module = catalog.load(part, name)
    for attribute, declared in contract.CONTRACTS[part].items():
        if not hasattr(module, attribute):
            assert not declared.required or hasattr(module, declared.instead), attribute
            continue
        found = getattr(module, attribute)
        if declared.type != "function":
            assert is_bearable(found, eval(declared.type, TYPES)), (attribute, found)
            continue
        assert callable(found)
        if declared.parameters is not None:
            given = inspect.signature(found).parameters
            assert tuple(given)[: len(declared.parameters)] == declared.parameters, attribute
            more = list(given.values())[len(declared.parameters) :]
            assert all(one.default is not one.empty for one in more), attribute


def test_every_default_has_its_attributes_type():
    for part, attributes in contract.CONTRACTS.items():
        for name, declared in attributes.items():
            if declared.type != "function" and declared.default is not None:
                assert is_bearable(declared.default, eval(declared.type, TYPES)), (part, name)


def called(call: ast.Call) -> str | None:
    """The last name of what is called."""
    return getattr(call.func, "id", getattr(call.func, "attr", None))


@pytest.mark.slow
def test_nobody_reads_an_attribute_that_is_not_in_the_contract():
    """Readers go through `value`, with names that there are; none of them by `getattr`."""
    read = 0
    for name, own in reads().items():
        for call in own.calls:
            if called(call) not in ("value", "getattr", "hasattr"):
                continue
            said = ast.unparse(call)
            if re.match(r"(contract\.)?value\('", said) and len(call.args) == 3:
                part, _, attribute = call.args
                assert attribute.value in contract.CONTRACTS[part.value], (name, said)
                read += 1
            theirs = name.startswith("mdlm_probe.harness.")  # lm-eval's tasks have such names, too
            if not theirs and re.match(r"(getattr|hasattr)\(.*, '[A-Z]\w*'", said):
                raise AssertionError(f"{name}: {said}")
    assert read > 10


# ---------------------------------------------------------------------- names that nobody reads


def public(tree: ast.Module) -> set[str]:
    """Constants, functions and classes of a module that have public names."""
    found = set()
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        found |= {t.id for t in targets if isinstance(t, ast.Name) and t.id.isupper()}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return {name for name in found if not name.startswith("_")}


def loaded(tree: ast.Module) -> set[str]:
    """Names that a module reads, its own among them; what a function calls itself doesn't count."""
    found = set()
    for node in tree.body:
        own = getattr(node, "name", None)
        names = {
            inner.id
            for inner in ast.walk(node)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
        }
        found |= names - {own}
    return found


def taken(name: str, module: str) -> set[str]:
    """Names that a file takes from a module: by import, or as attributes of the module."""
    package, _, stem = module.rpartition(".")
    read = reads()[name]
    found = {one for origin, one, _ in read.imported if origin == module}
    called = {own for origin, one, own in read.imported if (origin, one) == (package, stem)}
    return found | {attribute for own, attribute in read.attributes if own in called}


def unread(part: str, module: str, tree: ast.Module) -> set[str]:
    """Public names of a module that are in no contract and that no file reads."""
    left = public(tree) - contract.CONTRACTS[part].keys() - loaded(tree)
    for name in trees():
        if left and name != module:
            left -= taken(name, module)
    return left


@pytest.mark.parametrize(("part", "name"), [m for m in MODULES if m[0] != "columns"])
def test_every_public_name_is_read_by_somebody(part, name):
    module = dotted(part, name)
    assert unread(part, module, trees()[module]) == set()


@pytest.mark.parametrize("name", catalog.names("report"))
def test_a_report_without_charts_of_its_own_leaves_them_to_the_other_file(name):
    """Of two places to declare charts in, only one is read."""
    if name in catalog.names("charts"):
        assert not public(trees()[dotted("report", name)]) & contract.CHARTS.keys()


@pytest.mark.parametrize("name", catalog.names("report"))
def test_printed_tables_are_tables_that_the_report_makes(name):
    report = catalog.load("report", name)
    made = {
        node.value
        for node in ast.walk(trees()[report.__name__])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    source = SOURCES[report.__name__].replace(inspect.getdoc(report) or "", "")
    for table in contract.value("report", report, "PRINTED") or ():
        assert table in made
        assert len(re.findall(rf'"{table}"', source)) > 1, f"{table} stands in PRINTED alone"


# ---------------------------------------------------------------------- the checks see defects

SOUND = {
    "report": "PRINTED = ('a',)\n\ndef tables(frame):\n    return {'a': frame}\n",
    "charts": "READ = 'so'\n\ndef ours(tables):\n    return ()\n",
    "examples": "def of(rows, limit):\n    return []\n",
    "card": "COMMAND = 'x'\n\ndef section(tables, model):\n    return None\n",
}


def made(source: str, **more: Any) -> types.ModuleType:
    module = types.ModuleType("mdlm_probe.probes.tail.report")
    module.__file__ = "tail/report.py"
    exec(source, module.__dict__)
    vars(module).update(more)
    return module


@pytest.mark.parametrize("part", SOUND)
def test_sound_modules_pass(part):
    contract.check(part, "tail", made(SOUND[part]))
    assert unread(part, "x", ast.parse(SOUND[part])) == set()


@pytest.mark.parametrize(
    ("part", "wrong", "meant"),
    [
        ("report", "CHART = ()", "CHARTS"),
        ("report", "PRINT = ()", "PRINTED"),
        ("report", "Paired = ()", "PAIRED"),
        ("report", "UNIT = {}", "UNITS"),
        ("charts", "READS = ''", "READ"),
        ("charts", "def task_table(frame):\n    return {}", "task_tables"),
        ("charts", "charts = ()", "CHARTS"),
    ],
)
@pytest.mark.slow
def test_a_misspelt_name_is_an_error_that_says_what_was_meant(part, wrong, meant):
    source = SOUND[part].replace("PRINTED = ('a',)\n", "").replace("READ = 'so'\n", "") + wrong
    with pytest.raises(ProbeError, match=rf"tail/report\.py has '\w+', .*\nexpected: '{meant}'"):
        contract.check(part, "tail", made(source))
    if wrong[0].isupper() and wrong.split(" ")[0].isupper():
        assert unread(part, "x", ast.parse(source)) == {wrong.split(" ")[0]}


@pytest.mark.parametrize("part", SOUND)
@pytest.mark.slow
def test_a_name_that_nobody_reads_is_found(part):
    source = SOUND[part] + "\nLEFT_OVER = 1\n\ndef forgotten():\n    return forgotten()\n"
    assert unread(part, "x", ast.parse(source)) == {"LEFT_OVER", "forgotten"}


@pytest.mark.parametrize("part", ["report", "examples", "card"])
def test_a_module_that_lacks_something_is_an_error(part):
    lacking = next(n for n, a in contract.CONTRACTS[part].items() if a.required)
    with pytest.raises(ProbeError, match=f"the {part} of 'tail' has no '{lacking}'"):
        contract.check(part, "tail", made("X = 1\n"))


def test_what_is_imported_is_not_the_modules_own():
    contract.check("charts", "tail", made("READ = ''\n", task_tabled=ast, charts=inspect.getdoc))


def test_a_reader_of_an_unknown_name_fails():
    with pytest.raises(KeyError):
        contract.value("report", made(SOUND["report"]), "CHRATS")
    assert contract.value("report", made(SOUND["report"]), "PAIRED") == ()
