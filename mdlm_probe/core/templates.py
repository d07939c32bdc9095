"""Jinja templates that others wrote: sandboxed, with limits on time, text and memory."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import jinja2
from jinja2 import sandbox

SECONDS = 5.0
"""How long compiling or rendering a template may take."""

LONGEST = 5_000_000
"""Characters of text that a template may write."""

MEMORY = 2**30
"""Bytes that the process may grow by while a template runs; enforced on Linux."""

BITS = 10_000
"""Size of the largest whole number that a template may compute."""

T = TypeVar("T")
_one_at_a_time = threading.RLock()


class TemplateFailure(jinja2.TemplateError):
    """A template that raised something of its own, or went beyond a limit."""


class Template(jinja2.Template):
    """A template whose rendering is bounded."""

    def render(self, *args: Any, **named: Any) -> str:
        """The text.

        Raises:
            jinja2.TemplateError: whatever goes wrong in it.
        """
        return bounded(lambda: self._text(dict(*args, **named)))

    def _text(self, variables: dict[str, Any]) -> str:
        parts, length = [], 0
        for part in self.generate(variables):
            parts.append(part)
            length += len(part)
            if length > LONGEST:
                raise TemplateFailure(f"it writes more than {LONGEST} characters")
        return "".join(parts)


class Sandbox(sandbox.SandboxedEnvironment):
    """An environment for templates that nobody vouches for: no private attributes, and limits."""

    template_class = Template
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.filters["round"] = _round
        self._made: dict[str, jinja2.Template] = {}

    def from_string(self, source: Any, *args: Any, **named: Any) -> jinja2.Template:
        """A template from its source, compiled once.

        Raises:
            jinja2.TemplateError: whatever is wrong with it.
        """
        if source not in self._made:
            made = super().from_string
            self._made[source] = bounded(lambda: made(source, *args, **named))
        return self._made[source]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As the sandbox's, but for numbers of any size: those can take forever."""
        if isinstance(left, int) and isinstance(right, int):
            power = operator == "**"
            bits = left.bit_length() * right if power else left.bit_length() + right.bit_length()
            if bits > BITS:
                raise TemplateFailure("it computes a number of thousands of digits")
        return super().call_binop(context, operator, left, right)


class ImmutableSandbox(sandbox.ImmutableSandboxedEnvironment, Sandbox):
    """A sandbox whose templates can't change what they are given."""


def bounded(do: Callable[[], T]) -> T:
    """What a function returns that runs a template, stopped where it goes beyond a limit.

    Time is checked at every line of Python (a trace function, so in any thread); memory is the
    system's own limit, lowered meanwhile.

    Raises:
        jinja2.TemplateError: whatever it raises.
    """
    deadline = time.monotonic() + SECONDS

    def check(frame: FrameType, event: str, arg: Any) -> Any:
        if time.monotonic() > deadline:
            raise TemplateFailure(f"it takes longer than {SECONDS:g} s")
        return check

    before = sys.gettrace()
    with _one_at_a_time:
        restore = _limit_memory()
        sys.settrace(check)
        try:
            return do()
        except jinja2.TemplateError:
            raise
        except MemoryError:
            raise TemplateFailure(f"it takes more than {MEMORY // 2**20} MiB of memory") from None
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise TemplateFailure(f"{type(error).__name__}: {said}".rstrip(": ")) from None
        finally:
            sys.settrace(before)
            restore()


def _limit_memory() -> Callable[[], None]:
    """Lowers the system's limit; returns what restores it."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + MEMORY
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
            return lambda: resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return lambda: None


def _round(value: Any, precision: int = 0, method: str = "common") -> float:
    """Jinja's filter, for digits that a number can have."""
    from jinja2.filters import do_round

    if abs(precision) > 100:
        raise TemplateFailure(f"it rounds to {precision:.6g} digits")
    return do_round(value, precision, method)  # type: ignore[arg-type]
