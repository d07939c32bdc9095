"""Values of Python or YAML as a person would type them, for the options that parse them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mdlm_probe.cli.options import Commas
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError


def typed(param: click.Parameter, value: Any) -> list[str]:
    """A value as a person would type it: once, or as often as an option is repeated.

    Raises:
        ValueError: what no option takes: nothing, a mapping, or a list where one value is asked.
    """
    several = isinstance(value, list | tuple)
    values: Sequence[Any] = value if several else [value]
    if not values or any(v is None or isinstance(v, list | tuple | dict) for v in values):
        raise ValueError("a value, or a list of values")
    # YAML takes a bare yes and no for true and false
    texts = [{True: "yes", False: "no"}[v] if isinstance(v, bool) else str(v) for v in values]
    if param.multiple:
        return texts
    if isinstance(param.type, Commas):
        return [",".join(texts)]
    if several:
        raise ValueError("one value: this option takes no list")
    return texts


def typed_line(params: Sequence[click.Parameter], given: dict[str, Any]) -> list[str]:
    """Values as a command line.

    Args:
        params: of the command.
        given: by name; None stands for the default.

    Raises:
        ValueError: as `typed`, naming the option.
    """
    line = []
    for param in params:
        value = given.get(str(param.name))
        if value is None or value is False:
            continue
        if isinstance(param, click.Option) and param.is_flag:
            line.append(param.opts[0])
            continue
        if isinstance(value, Path):
            value = str(value)
        try:
            line += [f"{param.opts[0]}={text}" for text in typed(param, value)]
        except ValueError as error:
            raise ValueError(f"{param.name} is {value!r}; expected {error}") from None
    return line


def parsed(command: click.Command, given: dict[str, Any]) -> click.Context:
    """Options as a command parses them; the context ends what they began.

    Args:
        command: whose they are.
        given: values by name; None stands for the default.

    Raises:
        ProbeError: an unknown option, or a value that it doesn't take.
    """
    known = [str(param.name) for param in command.params]
    for name in given:
        if name not in known:
            raise catalog.unknown("option", name, known)
    try:
        return command.make_context(str(command.name), typed_line(command.params, given))
    except ValueError as error:
        raise ProbeError(str(error)) from None
    except click.UsageError as error:
        option = error.param.name if isinstance(error, click.BadParameter) and error.param else ""
        raise ProbeError(error.format_message(), option=option or "") from None
