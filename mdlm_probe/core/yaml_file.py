"""YAML files whose errors name file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any, TypeVar, overload

import yaml

from mdlm_probe.core.errors import ProbeError

V = TypeVar("V")

LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

LARGEST, DEEPEST, MOST = 4 * 2**20, 50, 200_000
"""Bytes, levels and values of a YAML file."""

PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
"""Tags of what holds other values."""

TEXT = "tag:yaml.org,2002:str"


def check_text(path: Path) -> str:
    """The text of a YAML file that any reader can take: of a size and a depth that people write.

    Raises:
        ProbeError: it can't be read, is no YAML, too large or too deep.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ProbeError(
                f"{path} is no YAML for people", expected=f"at most {LARGEST // 2**20} MiB"
            )
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ProbeError(
                    f"{path}, line {line}: too many levels",
                    expected=f"at most {DEEPEST} mappings and lists in each other",
                )
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeError(
            f"cannot read {path}: {error}",
            hint="without .yaml it would be the name of a shipped one",
        ) from None
    except yaml.YAMLError as error:
        raise ProbeError(f"{path} is not valid YAML: {error}") from None
    return text


def _composed(text: str) -> yaml.Node | None:
    """The tree of a YAML text."""
    try:  # libyaml reads over a byte order mark inside a text, which is no YAML
        return yaml.compose(text, Loader=yaml.SafeLoader if "\ufeff" in text else LOADER)
    except yaml.YAMLError:  # ten times as slow, but says which anchor it was, and shows its line
        return yaml.compose(text, Loader=yaml.SafeLoader)


class Document:
    """A YAML file whose errors name file, line and field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = check_text(path)
        self.lines: dict[tuple[Any, ...], int] = {}
        try:
            self.data = self._build(_composed(text), ())
        except yaml.YAMLError as error:
            raise ProbeError(f"{path} is not valid YAML: {error}") from None
        except RecursionError:
            raise ProbeError(f"{path} holds an anchor inside itself") from None
        if not isinstance(self.data, dict):
            raise self.error((), f"found {type(self.data).__name__}", "a mapping of fields")

    def _build(self, node: yaml.Node | None, at: tuple[Any, ...]) -> Any:
        if node is None:
            return None
        self.lines[at] = node.start_mark.line + 1
        if len(self.lines) > MOST:
            raise ProbeError(
                f"{self.path} stands for more than {MOST} values",
                expected="a file without anchors of anchors",
            )
        if not isinstance(node, yaml.ScalarNode) and node.tag not in PLAIN:
            raise self.error(at, f"found the tag {node.tag}", "plain YAML")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(child, (*at, i)) for i, child in enumerate(node.value)]
        if node.tag == TEXT:
            return node.value
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node)
        except yaml.YAMLError as error:
            raise self.error(at, str(getattr(error, "problem", error)), "plain YAML") from None
        except (ValueError, OverflowError, LookupError, TypeError, AttributeError):
            shown = f"{node.value[:40]!r}" + "..." * (len(node.value) > 40)
            kind = node.tag.rpartition(":")[2]
            raise self.error(at, f"{shown} is no {kind}", "a value that YAML knows") from None
        finally:
            loader.dispose()

    def _mapping(self, node: yaml.MappingNode, at: tuple[Any, ...]) -> dict[str, Any]:
        """Fields by name; a name is a text, and stands once."""
        out: dict[str, Any] = {}
        same: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ProbeError(f"{self.path}, line {line}: no name", expected="a text as a name")
            name = key.value
            if (spelt := self.spelt(name)) in same:
                field = ".".join(map(str, (*at, name)))
                raise ProbeError(
                    f"{self.path}, line {line}, field '{field}': stands twice",
                    expected="every name once",
                )
            same.add(spelt)
            out[name] = self._build(value, (*at, name))
            self.lines[(*at, name)] = line
        return out

    def spelt(self, name: str) -> str:
        """What a name is, however it is written."""
        return name

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
