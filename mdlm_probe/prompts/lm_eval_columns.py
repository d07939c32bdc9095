"""Columns of documents that an lm-eval task's templates name, and what it does with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from jinja2 import nodes

PARTS = ("doc_to_text", "doc_to_choice", "doc_to_target")


def named(config: Mapping[str, Any]) -> set[str]:
    """Columns that a task's templates name.

    Raises:
        ProbeError: a template that is none.
    """
    import jinja2.meta

    choices, found = config.get("doc_to_choice"), set()
    for text in _templates(config):
        bare = text.isidentifier() and not (isinstance(choices, list) and text in choices)
        found |= {text} if bare else jinja2.meta.find_undeclared_variables(_parsed(text))
    return found


def numeric(config: Mapping[str, Any]) -> set[str]:
    """Names with which a task's templates index, count or compare as with numbers.

    `choices[label]`, `label + 1`, `label == 0`, `loop.index0 == label`, `range(label)`.

    Raises:
        ProbeError: a template that is none.
    """
    from jinja2 import nodes

    found: set[str] = set()
    for text in _templates(config):
        for node in _parsed(text).find_all(nodes.Expr):
            found |= {inner.name for inner in _as_numbers(node) if isinstance(inner, nodes.Name)}
    return found - {"loop", "range"}


def _templates(config: Mapping[str, Any]) -> list[str]:
    return [text for part in PARTS if isinstance(text := config.get(part), str)]


def _parsed(template: str) -> nodes.Template:
    import jinja2
    from lm_eval.utils import env

    try:
        tree: nodes.Template = env.parse(template)
    except jinja2.TemplateError as error:
        raise ProbeError(
            f"a template of the task can't be read: {error}",
            expected="Jinja, such as {{column}}",
        ) from None
    return tree


def _as_numbers(node: nodes.Expr) -> Iterator[nodes.Node]:
    """The parts of an expression that have to be numbers."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getitem):
        keyed = isinstance(node.node, nodes.Dict) and not all(
            _is_number(pair.key) for pair in node.node.items
        )
        yield from () if keyed else (node.arg,)
    elif isinstance(node, nodes.Sub | nodes.Mul | nodes.Div | nodes.FloorDiv | nodes.Pow):
        yield from (node.left, node.right)
    elif isinstance(node, nodes.Add | nodes.Mod):  # texts are added, and % fills them in
        yield from (node.left, node.right) if _is_number(node.left, node.right) else ()
    elif isinstance(node, nodes.Neg | nodes.Pos):
        yield node.node
    elif isinstance(node, nodes.Compare):
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        yield from sides if _is_number(*sides) else ()
    elif isinstance(node, nodes.Call) and getattr(node.node, "name", "") == "range":
        yield from node.args
    elif isinstance(node, nodes.Slice):
        yield from (part for part in (node.start, node.stop, node.step) if part)


def _is_number(*sides: nodes.Node) -> bool:
    """Whether one of some expressions is a number, or a loop's count."""
    from jinja2 import nodes

    return any(
        (isinstance(side, nodes.Const) and type(side.value) in (int, float))
        or (isinstance(side, nodes.Getattr) and getattr(side.node, "name", "") == "loop")
        for side in sides
    )
