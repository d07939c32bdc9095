"""Shapes in signatures are checked wherever they are declared, and nothing else is."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import shape_checks
import torch
from jaxtyping import TypeCheckError

import mdlm_probe
from mdlm_probe.engine import readouts
from mdlm_probe.tuning.corruption import Corrupted

PACKAGE = Path(mdlm_probe.__file__).parent
SHAPED = [p for p in sorted(PACKAGE.rglob("*.py")) if "\nfrom jaxtyping import" in p.read_text()]


def declared(path):
    """The functions of a file whose signature has a shape, by a look at their text."""
    heads = re.findall(r"^( *)def (\w+)\((.*?)\) -> (.*?):\n", path.read_text(), re.M | re.S)
    return {
        name
        for _, name, *told in heads
        if re.search(r"\b(Float|Int|Bool|Shaped|UInt8)\[", " ".join(told))
    }


@pytest.mark.parametrize("path", SHAPED, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_function_with_a_shape_is_checked(path):
    name = ".".join(["mdlm_probe", *path.relative_to(PACKAGE).with_suffix("").parts])
    module = importlib.import_module(name.removesuffix(".__init__"))
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == name]
    methods = [m for each in own if inspect.isclass(each) for m in vars(each).values()]
    found = [getattr(each, "__func__", each) for each in (*own, *methods)]
    functions = {each.__name__: each for each in found if inspect.isfunction(each)}
    missing = [n for n in declared(path) & functions.keys() if not checked(functions[n])]
    assert missing == []


def checked(function):
    """Whether our check, jaxtyping's, or somebody around them wraps a function."""
    while function:
        file = function.__code__.co_filename
        if file == shape_checks.__file__ or "jaxtyping" in file:
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def test_a_wrong_shape_is_an_error_in_functions_and_dataclasses():
    with pytest.raises(TypeCheckError):
        readouts.entropy(torch.zeros(3))
    with pytest.raises(TypeCheckError):
        Corrupted(np.zeros((2, 3), int), np.zeros(2, int), np.zeros(1, int), 1.0)


def test_another_package_is_left_alone(monkeypatch, tmp_path):
    (tmp_path / "elsewhere_shapes.py").write_text(
        "from jaxtyping import Float\nfrom numpy import ndarray\n"
        "def f(x: Float[ndarray, 'a']):\n    return x\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = importlib.import_module("elsewhere_shapes")
    assert found.f("no array") == "no array"
    assert not checked(found.f)
    finder = shape_checks._Finder("elsewhere_shapes")
    spec = finder.find_spec("elsewhere_shapes", [str(tmp_path)])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(TypeCheckError):
        module.f("no array")


SIZES = """
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from jaxtyping import Float
from numpy import ndarray

if TYPE_CHECKING:
    from nowhere import Unknown

def both(a: Float[ndarray, 'n'], b: Float[ndarray, 'n'], other: 'Unknown' = None) -> None: ...

def cut(a: Float[ndarray, 'n'], length: int) -> Float[ndarray, 'n']:
    return a[:length]

def sums(a: Float[ndarray, 'n']) -> Iterator[float]:
    yield both(a[:1], a[:1])

@dataclass
class Pair:
    a: Float[ndarray, 'n']
    b: Float[ndarray, 'n']
"""


@pytest.mark.parametrize("quoted", ["", "from __future__ import annotations"])
def test_a_name_is_one_size_in_all_arguments_and_what_is_returned(quoted, tmp_path):
    """Of every call by itself, also where one is made within another."""
    (tmp_path / "sizes.py").write_text(quoted + SIZES)
    spec = shape_checks._Finder("sizes").find_spec("sizes", [str(tmp_path)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["sizes"] = module  # where dataclasses look for what annotations name
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["sizes"]
    two, three = np.zeros(2), np.zeros(3)
    module.both(two, two), module.cut(two, 2), module.Pair(three, three)
    assert list(module.sums(three)) == [None]
    for call in (
        lambda: module.both(two, three),
        lambda: module.cut(three, 2),
        lambda: module.Pair(two, three),
        lambda: module.sums(np.zeros((2, 2))),
        lambda: module.cut(two, "two"),
    ):
        with pytest.raises(TypeCheckError):
            call()
