r"""Text as LaTeX prints it, in ASCII: what pdflatex has no letter for becomes [U+65E5].

Needs nothing but the LaTeX of 2020, or `textcomp` before it, in any font encoding. pylatexenc can't
promise that: its table has commands of other encodings and packages (all of Cyrillic,
\guillemotleft, \varnothing), some that no package has (\truestate), and other letters than asked
for (a plain acute for a double one).
"""

from __future__ import annotations

import re
import unicodedata

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",  # \textquotedbl would need the encoding T1
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after a line's end it would be that command's option, as a star would
    "]": "{]}",
    "*": "{*}",
    **dict.fromkeys("\n\r\t", " "),
    "\u00a0": r"\nobreakspace{}",
}
WORDS = """
    – textendash, — textemdash, … ldots, ‘ textquoteleft, ’ textquoteright,
    “ textquotedblleft, ” textquotedblright, € texteuro, £ pounds, § S, ¶ P, © copyright,
    ° textdegree, ß ss, æ ae, Æ AE, œ oe, Œ OE, ø o, Ø O, ł l, Ł L, ı i, ¡ textexclamdown,
    ¿ textquestiondown
"""
"""Characters that are commands of text."""
MATHS = """
    × times, ÷ div, ± pm, · cdot, ∞ infty, √ surd, ≤ le, ≥ ge, ≠ ne, ≈ approx, ≡ equiv,
    ∼ sim, ∝ propto, ← leftarrow, → rightarrow, ↔ leftrightarrow, ↑ uparrow, ↓ downarrow,
    ⇐ Leftarrow, ⇒ Rightarrow, ⇔ Leftrightarrow, ∈ in, ∑ sum, ∏ prod, ∂ partial, ∇ nabla,
    • bullet, « ll, » gg, µ mu, ∅ emptyset
"""
"""Characters that are commands of mathematics."""
COMMANDS = {
    **{c: f"\\{name}{{}}" for c, name in map(str.split, WORDS.split(","))},
    **{c: f"$\\{name}$" for c, name in map(str.split, MATHS.split(","))},
    "\u2212": "$-$",
    "\u2581": r"\rule{.5em}{.2ex}",  # SentencePiece's sign of a space: a bar on the ground
}
ACCENTS = dict(
    zip(
        "\u0300\u0301\u0302\u0303\u0308\u0304\u0307\u0306\u030c\u030b\u0327\u030a",
        "`'^~\"=.uvHcr",
        strict=True,
    )
)
"""Accents that every font encoding has, by the combining character."""
GREEK = frozenset("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ")
"""Greek letters with a command of their own; the others look like Latin ones."""


def escape(text: str) -> str:
    """A text as LaTeX prints it, signs apart that would run together (two hyphens, two commas)."""
    minus = re.sub(r"(?<![\w.])-(?=[\d.∞])", "\u2212", text)
    return re.sub(r"([-',])(?=\1)", r"\1{}", "".join(map(_letter, minus)))


def _letter(character: str) -> str:
    """A character on its own."""
    if character in SPECIAL:
        return SPECIAL[character]
    if " " <= character <= "~":
        return character
    if character in COMMANDS:
        return COMMANDS[character]
    if character in GREEK:
        return f"$\\{_greek(character)}$"
    parts = unicodedata.normalize("NFD", character)
    base, accents = parts[0], parts[1:]
    if base.isascii() and base.isalpha() and len(accents) == 1 and accents[0] in ACCENTS:
        return f"\\{ACCENTS[accents[0]]}{{{base}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"


def _greek(character: str) -> str:
    """The command of a Greek letter: its name, which Unicode spells `LAMDA` for lambda."""
    name = unicodedata.name(character).rpartition(" ")[2].replace("LAMDA", "LAMBDA").lower()
    return name.capitalize() if character.isupper() else name
