"""Shapes that signatures declare, checked at every call: for tests alone.

jaxtyping's own import hook wraps every function of a package, and calls to the many that declare no
shape are a quarter of the suite's time. Here those that declare one are wrapped, in all rooms.
"""

import ast
import dataclasses
import functools
import inspect
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader
from typing import Any, get_type_hints

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, jaxtyped

CHECKED = "__import__('shape_checks').checked"
_TYPED = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeCheckError))
"""An integer is a number, too, as for all who check types."""


def checked(made):
    """A function, or a dataclass, that checks what it is given and what it returns.

    jaxtyping's own decorator, given a type checker, checks all arguments a second time together
    with what is returned, and matches them to the signature, too: twice as much in every call. It
    is left generators, whose arguments it checks when they are called.
    """
    if inspect.isclass(made):
        if dataclasses.is_dataclass(made):
            made.__init__ = checked(made.__init__)
        return made
    if inspect.isgeneratorfunction(made):
        return jaxtyped(made, typechecker=_TYPED)
    told = made.__annotations__
    made.__annotations__ = {name: _known(hint, made.__globals__) for name, hint in told.items()}
    typed = _TYPED(made)
    made.__annotations__ = told

    @functools.wraps(made)
    def within(*args, **options):
        __tracebackhide__ = True
        with jaxtyped("context"):
            return typed(*args, **options)

    return within


def _known(hint, names):
    """What an annotation says; anything, where its names are there for type checkers alone."""

    def told(value: hint): ...

    try:
        return get_type_hints(told, names, include_extras=True)["value"]
    except NameError:
        return Any


class _Decorator(ast.NodeVisitor):
    """Decorates functions and dataclasses whose annotations name a shape.

    Args:
        module: its parts `from jaxtyping import ...`, and names given to such shapes, are shapes.
    """

    def __init__(self, module):
        imports = [node for node in module.body if isinstance(node, ast.ImportFrom)]
        named = [alias for node in imports if node.module == "jaxtyping" for alias in node.names]
        self.shapes = {alias.name for alias in named}
        for node in module.body:
            if isinstance(node, ast.Assign) and self._names(node.value):
                self.shapes |= {target.id for target in node.targets}

    def _names(self, *nodes):
        parts = [part for node in nodes if node for part in ast.walk(node)]
        return any(isinstance(part, ast.Name) and part.id in self.shapes for part in parts)

    def _decorated(self, node, place):
        checked = ast.copy_location(ast.parse(CHECKED, mode="eval").body, node)
        node.decorator_list.insert(place, ast.fix_missing_locations(checked))

    def visit_FunctionDef(self, node):
        asked = node.args
        every = [*asked.posonlyargs, *asked.args, *asked.kwonlyargs, asked.vararg, asked.kwarg]
        if self._names(*(one.annotation for one in every if one), node.returns):
            self._decorated(node, len(node.decorator_list))  # others may hide what it declares
        self.generic_visit(node)

    def visit_ClassDef(self, node):
        fields = [each.annotation for each in node.body if isinstance(each, ast.AnnAssign)]
        if self._names(*fields):
            self._decorated(node, 0)  # once it is a dataclass
        self.generic_visit(node)


class _Loader(SourceFileLoader):
    def get_code(self, fullname):
        """Never the bytecode that is kept on disk: it checks nothing."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        if b"jaxtyping" not in source:  # nine of ten: only imports from there name shapes
            return super().get_code(fullname)
        module = ast.parse(source, path)
        decorator = _Decorator(module)
        if decorator.shapes:
            decorator.visit(module)
            return compile(module, path, "exec", dont_inherit=True)
        return super().get_code(fullname)


class _Finder(MetaPathFinder):
    def __init__(self, package):
        self.package = package

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] != self.package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def check(package):
    """From now on, modules of a package are imported so that their functions check shapes."""
    sys.meta_path.insert(0, _Finder(package))
