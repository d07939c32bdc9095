"""The one error that a user sees without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdlm_probe.core.secrets import redacted


class ProbeError(Exception):
    """An error the user can mend: what was found, what was expected, what to do next.

    Args:
        found: what is wrong, naming the file, key, cell or option.
        expected: what should have been there; may be empty when `found` says it all.
        hint: the next thing to do.
        option: the options that `found` names, as keywords are spelt (`batch_tokens`): whoever
            knows where a user wrote them can say so.
    """

    def __init__(
        self,
        found: str,
        *,
        expected: str = "",
        hint: str = "",
        option: str | tuple[str, ...] = (),
    ) -> None:
        found, expected, hint = map(redacted, (found, expected, hint))
        self.found, self.expected, self.hint = found, expected, hint
        self.options = (option,) if isinstance(option, str) else tuple(option)
        lines = [found]
        if expected:
            lines.append(f"expected: {expected}")
        if hint:
            lines.append(f"hint: {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, vars(self).copy())

    @property
    def option(self) -> str:
        """The first option that it names; "" for none."""
        return next(iter(self.options), "")


def _restored(kind: type[ProbeError], given: tuple[Any, ...], state: dict[str, Any]) -> ProbeError:
    """An error from another process, whatever its class takes."""
    error = kind.__new__(kind, *given)
    vars(error).update(state)
    return error


class TooLong(ProbeError):
    """One cell asks for more tokens than there is room for; others may not.

    Args:
        found, how: as for `ProbeError`.
        reason: why such cells are left out, in the same words for all of them.
    """

    def __init__(self, found: str, *, reason: str, **how: str) -> None:
        super().__init__(found, **how)
        self.reason = reason


class Refusal(str):
    """Why a cell can't be asked of a model, with the options that it names.

    A plain text will do for a reason that names none.
    """

    options: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *options: str) -> Refusal:
        """A reason that names options, spelt as for `ProbeError`."""
        made = cls(text)
        made.options = options
        return made


def options_of(reasons: Iterable[str]) -> tuple[str, ...]:
    """The options that reasons name, each once."""
    named = (reason.options for reason in reasons if isinstance(reason, Refusal))
    return tuple(dict.fromkeys(option for options in named for option in options))
