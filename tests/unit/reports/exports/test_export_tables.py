"""LaTeX and Markdown: tables that compile, and that say what the report says."""

import re
from functools import partial

import pandas as pd
import pytest
import reference

from mdlm_probe.analysis.tables import text_table
from mdlm_probe.core import catalog
from mdlm_probe.reports.exports.captioned_tables import captioned_table
from mdlm_probe.reports.exports.column_units import unit_of
from mdlm_probe.reports.exports.formats import latex, markdown
from mdlm_probe.reports.exports.latex_text import escape

NASTY = r"50%_a & b #1 \x {y} $z ~^ <|mask|> [0] `c` *d*"
CELL = re.compile(r"(?<!\\)&")
PIPE = re.compile(r"(?<!\\)\|")
BACK = {
    **{f"\\{character}": character for character in "&%$#_{}"},
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\symbol{34}": '"',
    r"\textasciigrave{}": "`",
    **dict(zip(("{[}", "{]}", "{*}", "$-$", "-{}", "'{}"), "[]*--'", strict=True)),
    **dict(zip((r"$\infty$", r"$\times$", r"$\rightarrow$", r"$\ge$"), "∞×→≥", strict=True)),
}
"""What TeX prints of a command, written down by hand."""


@pytest.fixture
def frame():
    """A table of the probe masks, with a name that neither language likes."""
    rows = [{"model": NASTY, "filler": f, "steps": 1} for f in ("mask", "dot")]
    table = pd.DataFrame(rows).assign(points=[-1.25, 60.0], items_low=[-2.0, float("nan")])
    return table.assign(items_high=[0.5, float("nan")], items_p=[0.0001, 1.0], n=[3, 3], amount="")


def plain_tex(text):
    """What TeX prints of escaped text."""
    longest = sorted(BACK, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest))
    text = re.sub(r"^\{\\num\{(.*)e-(\d)\}\}$", r"\1e-0\2", text)
    if re.fullmatch(r"-\d.*", text):  # siunitx prints a minus
        return text
    braced = text.startswith("{") and not text.startswith(("{[}", "{]}", "{*}"))
    text = text.removeprefix("{").removesuffix("}") if braced else text
    return re.sub(pattern, lambda found: BACK[found[0]], text)


def check_tex(text):
    """Braces and environments are balanced, and every row of a table has its columns' cells."""
    bare = re.sub(r"\\[&%$#_{}]|^%.*$|%$", "", text.replace("\\\\", "\n"), flags=re.MULTILINE)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    spec = re.search(r"\\begin\{(?:tabular|longtable)\}\{(.*)\}$", text, re.MULTILINE)[1]
    columns = len(re.findall(r"[lrS]", re.sub(r"@\{ ?\}|\[[^]]*\]", "", spec)))
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert rows
    for row in rows:
        assert len(CELL.findall(row)) == columns - 1, row
        body = re.sub(r"\\[&%$#_{}]", "", row.removesuffix(r" \\")).replace("$-$", "")
        body = re.sub(r"\$\\[A-Za-z]+\$|\\[~^](?=\{[A-Za-z]\})", "", body)
        assert not re.search(r"[%#_$^~`]|--|,,|''", CELL.sub("", body)), row
        assert row.isascii()
        assert not row.startswith(("[", "*"))
    return rows


def test_special_characters_print_as_they_are(frame):
    text = latex.table(captioned_table("masks", "drop", frame), "tab:x").decode()
    rows = check_tex(text)
    first = plain_tex(CELL.split(rows[1].removesuffix(r" \\"))[0].strip())
    assert first == NASTY
    assert " & -1.250 & $-$2.000 to 0.500 & " in rows[1]  # siunitx has a minus of its own
    for bad in ("a & b", "50%", "a_b", "{open"):
        with pytest.raises(AssertionError):
            check_tex(text.replace("filler &", f"{bad} &"))


@pytest.mark.parametrize("character", [*'&%$#_{}\\~^<>|"[]-`*', "∞", "→", "≥", "\n", "--", "---"])
def test_each_special_character_is_escaped(character):
    escaped = latex.escape(f"a{character}b")
    assert plain_tex(escaped) == f"a{character}b".replace("\n", " ")
    check_tex(f"\\begin{{tabular}}{{l}}\n{escaped} \\\\\n\\end{{tabular}}")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("▁the", r"\rule{.5em}{.2ex}the"),
        ("日本 😀", "{[}U+65E5{]}{[}U+672C{]} {[}U+1F600{]}"),
        ("naïve Ġ ç", r"na\"{i}ve \.{G} \c{c}"),
        ("αΛλ ς", r"$\alpha$$\Lambda$$\lambda$ {[}U+03C2{]}"),
        ("ß–’", r"\ss{}\textendash{}\textquoteright{}"),
        ("a\u0301 ế ą\x07", r"a{[}U+0301{]} {[}U+1EBF{]} {[}U+0105{]}{[}U+0007{]}"),
        ("x -1 −2 -∞ a-1 é-1", r"x $-$1 $-$2 $-$$\infty$ a-1 \'{e}-1"),
        ("--masks --1", r"-{}-masks -$-$1"),
    ],
)
def test_what_pdflatex_has_no_letter_for_is_a_command_or_said(text, printed):
    assert escape(text) == printed
    check_tex(f"\\begin{{tabular}}{{l}}\nx{printed} \\\\\n\\end{{tabular}}")


def test_every_character_becomes_sound_ascii():
    for code in [*range(0x500), *range(0x1E00, 0x2C00), 0x65E5, 0x1F600, 0xFFFD]:
        escaped = escape(chr(code))
        assert escaped.isascii()
        assert escaped.isprintable()
        depth = re.sub(r"\\[{}]", "", escaped)
        assert depth.count("{") == depth.count("}")


@pytest.mark.parametrize("rows", [2, 60])
def test_very_wide_tables_are_in_landscape_and_say_so(rows):
    table = pd.DataFrame({f"name{i}": [i + 0.5] * rows for i in range(14)})
    text = latex.table(captioned_table("decay", "curve", table), "tab:x").decode()
    check_tex(text)
    needs, how, begin, *_, end = text.splitlines()
    assert needs.startswith("% needs ")
    assert "pdflscape" in needs
    assert how.startswith("% 14 columns: in landscape")
    assert (begin, end) == (r"\begin{landscape}", r"\end{landscape}")
    for fewer, said in ((12, "% 12 columns: shrunk"), (7, r"\begin")):
        narrow = latex.table(
            captioned_table("decay", "curve", table[table.columns[:fewer]]), "x"
        ).decode()
        assert narrow.splitlines()[1].startswith(said)
        assert "landscape" not in narrow


@pytest.mark.slow
def test_every_table_of_a_run_is_sound_latex(made, exported):
    for probe, one in made.items():
        for name, table in one.tables.items():
            text = (exported / f"{probe}-{name}.tex").read_text()
            rows = check_tex(text)
            cells = [
                tuple(plain_tex(cell.strip()) for cell in CELL.split(row.removesuffix(r" \\")))
                for row in rows
            ]
            expected = captioned_table(probe, name, table).text
            heads = [expected.heads] * (2 if r"\begin{longtable}" in text else 1)  # of next pages
            assert cells == [*heads, *expected.rows]


def test_a_long_table_goes_on_over_pages_with_its_head():
    table = pd.DataFrame({"model": "m", "distance": range(60), "js": 0.5})
    text = latex.table(captioned_table("decay", "curve", table), "tab:x").decode()
    rows = check_tex(text)
    assert len(rows) == 62
    assert rows[0] == rows[1]
    assert text.count(r"\caption") == 1
    assert r"\begin{table}" not in text


def test_markdown_has_the_cells_of_the_terminal(made, exported):
    text = (exported / "masks.md").read_text()
    for name, table in made["masks"].tables.items():
        part = text.partition(f"### masks, {name}\n")[2].partition("### ")[0]
        lines = [line for line in part.splitlines() if line.startswith("|")]
        grid = [[cell.strip() for cell in PIPE.split(line)[1:-1]] for line in lines]
        assert {len(row) for row in grid} == {len(grid[0])}
        printed = text_table(table, unit=partial(unit_of, "masks", name)).rows
        assert len(grid) == len(printed) + 2
        for row, line in zip(grid[2:], printed, strict=True):
            left = list(line)
            for cell in row:
                left.remove(re.sub(r"\\(.)", r"\1", cell))
            for value in left:  # what isn't a column is the same for all, and said above
                assert re.search(rf"All with .*\b{re.escape(value)}\b", part)


def test_markdown_cells_hold_pipes_and_marks(frame):
    lines = markdown.table(captioned_table("masks", "drop", frame))
    cells = PIPE.split(lines[2])
    assert len(cells) == len(PIPE.split(lines[0]))
    shown = re.sub(r"\\(.)", r"\1", cells[1].strip())
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == NASTY
    assert r"<|mask|>" not in cells[1]


def test_whole_numbers_have_no_decimals_where_all_of_a_column_is_whole():
    nan = float("nan")
    columns = {"model": ["a", "b"], "mask_tokens": [1.0, nan], "points": [12.0, -3.0]}
    columns |= {"accuracy": [1.0, 0.0], "p_holm": [1.0, 1.0], "js": [2.0, 2.5]}
    made = captioned_table("masks", "drop", pd.DataFrame(columns))
    assert made.text.rows == (
        ("a", "1", "12", "1.000", "1.000", "2.000"),
        ("b", "-", "-3", "0.000", "1.000", "2.500"),
    )


def test_heads_say_a_thing_once():
    frame = pd.DataFrame({"model": ["a"], "tokens": [7.5], "p_holm": [0.5], "nats": [1.5]})
    frame = frame.assign(gain_holm=0.5, answer_tokens=2.5)
    made = captioned_table("shift", "harm", frame)
    heads = ["model", "tokens", "Holm's p", "nats (nats per token)", "Holm's p of gain"]
    assert made.text.heads == (*heads, "answer tokens")


def test_heads_are_words_with_units_and_constants_stand_above(frame):
    made = captioned_table("masks", "drop", frame.assign(amount=["5", "6"]))
    heads = ("model", "filler", "drop (points)", "95 % over items", "p over items", "amount")
    assert made.text.heads == heads
    assert made.fixed == {"steps": "1", "n": "3"}
    assert made.text.rows[0][2:5] == ("-1.250", "-2.000 to 0.500", "1.0e-04")
    assert made.text.rows[1][3] == "-"
    assert made.text.numeric == (False, False, True, True, True, False)
    assert made.title.startswith("masks, drop: What the tail costs")


def test_units_are_the_reports_own_else_those_of_the_rows():
    assert unit_of("shift", "harm", "nats") == "nats per token"
    assert unit_of("shift", "harm", "realised") == ""  # a share, as of the rows
    assert unit_of("shift", "unintervened", "answer_tokens") == "tokens"
    assert unit_of("masks", "curve", "entropy") == "nats"
    assert unit_of("masks", "curve", "accuracy") == unit_of("masks", "curve", "unheard_of") == ""
    assert unit_of("masks", "curve", "p_right") == ""
    assert unit_of("judge", "winrate", "frac") == ""


UNITS = {
    name: getattr(catalog.load("report", name), "UNITS", {}) for name in catalog.names("report")
}


OF_OTHER_SETTINGS = {("masks", table) for table in ("steps", "lengths", "gain", "gains")}
"""Tables that the committed run has no rows for: see the probe's own tests."""


@pytest.mark.parametrize(
    ("probe", "table"),
    sorted({(probe, t) for probe, units in UNITS.items() for t in units} - OF_OTHER_SETTINGS),
)
def test_declared_units_are_of_columns_that_the_table_has(probe, table):
    (path,) = reference.FOLDER.glob(f"*/{probe}-{table}.csv")
    assert set(UNITS[probe][table]) <= set(pd.read_csv(path, nrows=1).columns)
