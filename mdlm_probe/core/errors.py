"""The one error that a user sees without a traceback."""

from __future__ import annotations


class ProbeError(Exception):
    """An error the user can mend: what was found, what was expected, what to do next.

    Args:
        found: what is wrong, naming the file, key, cell or option.
        expected: what should have been there; may be empty when `found` says it all.
        hint: the next thing to do.
    """

    def __init__(self, found: str, *, expected: str = "", hint: str = "") -> None:
        self.found, self.expected, self.hint = found, expected, hint
        lines = [found]
        if expected:
            lines.append(f"expected: {expected}")
        if hint:
            lines.append(f"hint: {hint}")
        super().__init__("\n".join(lines))
