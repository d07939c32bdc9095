"""YAML files whose errors name file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any, TypeVar, overload

import yaml

from mdlm_probe.core.errors import ProbeError

V = TypeVar("V")


class Document:
    """A YAML file whose errors name file, line and field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError) as error:
            raise ProbeError(
                f"cannot read {path}: {error}",
                hint="without .yaml it would be the name of a shipped one",
            ) from None
        except yaml.YAMLError as error:
            raise ProbeError(f"{path} is not valid YAML: {error}") from None
        self.lines: dict[tuple[Any, ...], int] = {}
        try:
            self.data = self._build(root, ())
        except RecursionError:
            raise ProbeError(f"{path} holds an anchor inside itself") from None
        if not isinstance(self.data, dict):
            raise self.error((), f"found {type(self.data).__name__}", "a mapping of fields")

    def _build(self, node: yaml.Node | None, at: tuple[Any, ...]) -> Any:
        if node is None:
            return None
        self.lines[at] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            out = {}
            for key_node, value_node in node.value:
                name = key_node.value
                out[name] = self._build(value_node, (*at, name))
                self.lines[(*at, name)] = key_node.start_mark.line + 1
            return out
        if isinstance(node, yaml.SequenceNode):
            return [self._build(child, (*at, i)) for i, child in enumerate(node.value)]
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node)
        finally:
            loader.dispose()

    def error(self, at: tuple[Any, ...], found: str, expected: str, hint: str = "") -> ProbeError:
        """The error for a field, with the line it stands in."""
        line = next((self.lines[at[:n]] for n in range(len(at), -1, -1) if at[:n] in self.lines), 1)
        name = ".".join(map(str, at)) or "the file"
        return ProbeError(
            f"{self.path}, line {line}, field '{name}': {found}", expected=expected, hint=hint
        )

    @overload
    def get(self, at: tuple[Any, ...], kind: type[V], default: V | EllipsisType = ...) -> V: ...

    @overload
    def get(self, at: tuple[Any, ...], kind: tuple[type, ...], default: Any = ...) -> Any: ...

    def get(self, at: tuple[Any, ...], kind: type | tuple[type, ...], default: Any = ...) -> Any:
        """The value of a field, which must be of a kind.

        Raises:
            ProbeError: it isn't, or is missing without a default.
        """
        value: Any = self.data
        for part in at:
            if not isinstance(value, dict) or part not in value:
                if default is ...:
                    raise self.error(at, "is missing", _kinds(kind))
                return default
            value = value[part]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise self.error(at, f"found {value!r}", _kinds(kind))
        return value

    def only(self, at: tuple[Any, ...], allowed: Sequence[str]) -> None:
        """Refuses fields that aren't allowed: a misspelt one would be ignored silently."""
        for name in self.get(at, dict):
            if name not in allowed:
                raise self.error((*at, name), "unknown field", "one of " + ", ".join(allowed))


def _kinds(kind: type | tuple[type, ...]) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", int: "a whole number"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(names[k] for k in kinds)
