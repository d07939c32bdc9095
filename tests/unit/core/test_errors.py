"""The user's errors: what they say, and that those which name an option carry its name."""

import ast
import re

import pytest

from mdlm_probe.core.errors import ProbeError, Refusal, options_of
from mdlm_probe.core.files import PACKAGE

FLAG = re.compile(r"--([a-z][\w-]*|\0)")


def text_of(node):
    """A text's constant parts, with a zero character for each part that is computed."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    return "\0"


def unnamed(tree):
    """Errors whose first part names options that aren't carried, and such reasons to refuse."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args):
        made = ast.unparse(call.func)
        if made not in ("ProbeError", "Lacking"):
            continue
        flags = [flag.replace("-", "_") for flag in FLAG.findall(text_of(call.args[0]))]
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("option", "")
        if flags and not given:
            found.append(f"line {call.lineno}: no option beside {flags}")
        literal = [flag for flag in flags if flag != "\0" and not flag.startswith("\0")]
        found += [
            f"line {call.lineno}: {flag} isn't in {given}"
            for flag in literal
            if "'" in given and repr(flag) not in given
        ]
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        if function.name == "refuse" and "Refusal" not in ast.unparse(function):
            body = [node for node in ast.walk(function) if isinstance(node, ast.Constant)]
            found += [f"refuse: {c.value}" for c in body if FLAG.search(str(c.value))]
    return found


def test_errors_that_name_an_option_carry_it():
    files = sorted(PACKAGE.rglob("*.py"))
    found = {path: unnamed(ast.parse(path.read_text())) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}
    assert len(found) > 100


@pytest.mark.parametrize(
    "code",
    [
        "raise ProbeError('--limit has 0', expected='1')",
        "raise ProbeError(f'--{name} has {value}')",
        "raise ProbeError('--limit has 0', option='limits')",
        "raise ProbeError(f'--block {b} and --length {n}', option=('block', 'steps'))",
        "def refuse(cell, entry):\n    return f'see --context {1}'",
    ],
)
def test_the_check_sees_what_is_missing(code):
    assert unnamed(ast.parse(code))


def test_an_error_says_its_parts_and_keeps_its_options():
    error = ProbeError("--a-b has 1", expected="2", hint="take 2", option="a_b")
    assert str(error) == "--a-b has 1\nexpected: 2\nhint: take 2"
    assert (error.option, error.options) == ("a_b", ("a_b",))
    assert ProbeError("x", option=("a", "b")).option == "a"
    assert (ProbeError("x").option, ProbeError("x").options) == ("", ())


def test_reasons_are_texts_with_options():
    reasons = {Refusal.of("too long: --length", "length", "steps"): 2, "no": 1, "": 0}
    assert list(reasons) == ["too long: --length", "no", ""]
    assert options_of([*reasons, Refusal.of("x", "steps", "eos")]) == ("length", "steps", "eos")
