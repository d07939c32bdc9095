"""Charts as files: widths of letters, equal bytes, one colour a model, the command's files."""

import io
import re
import shutil
import string
import subprocess
import sys

import numpy as np
import pytest
import reference
import vl_convert
from commands import call
from PIL import Image
from svg_texts import TextBox, points, texts

from mdlm_probe.analysis import text_width
from mdlm_probe.analysis.chart_style import MODELS
from mdlm_probe.reports import html, pictures, probe_report
from mdlm_probe.reports.compare import compare


def test_the_check_of_texts_sees_them():
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99" viewBox="0 0 99 99">'
        '<g transform="translate(10,20)"><text font-size="10px" text-anchor="end">ab</text>'
        '<text font-size="10px" transform="translate(30,0) rotate(-90)">ab</text></g></svg>'
    )
    first, second = texts(svg)
    wide = text_width.width("ab", 10)
    assert (first.left, first.right) == pytest.approx((10 - wide, 10))
    assert (second.bottom, second.top) == pytest.approx((20, 20 - wide))
    assert not first.overlaps(second)
    assert first.overlaps(TextBox("", 1, 0, 0, 99, 99))


def test_every_line_of_a_comparison_has_its_point_filled_or_not(tmp_path):
    one = reference.FOLDER / "locality" / "locality__tiny-arlm.csv"
    found, _ = compare.compare(one, one.with_name("locality__tiny-mdlm.csv"))
    (pair,) = found
    lines = sum(map(len, pair.tables.values()))
    legend = 3  # both kinds of lines, and what filled means
    svg = pair.picture().svg
    assert points(svg) == lines + legend
    assert not any((table["p_holm"] < 0.05).any() for table in pair.tables.values())
    assert 'fill-opacity="0"' in svg


def test_widths_of_letters_are_those_of_the_font():
    letters = string.ascii_letters + string.digits + string.punctuation
    pairs = [f"{letter}n" * 5 for letter in letters]  # not by themselves: ff is one sign
    for text in (*pairs, "Accuracy by position of the relevant examples"):
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="60">'
            '<rect width="900" height="60" fill="white"/><text x="9" y="40" font-size="40"'
            f' font-family="Liberation Sans">{escaped}|</text></svg>'
        )
        with Image.open(io.BytesIO(vl_convert.svg_to_png(svg))) as picture:
            last = np.flatnonzero((np.asarray(picture.convert("L")) < 128).any(axis=0)).max()
        bar = last - 9 - text_width.width(text, 40)  # stands behind the text
        assert bar == pytest.approx(6.4, abs=3.5), text


def test_equal_rows_give_equal_bytes(tmp_path):
    """In one process and in another, though the converter counts on and shuffles.

    Another order makes it count otherwise. One chart has lines and points, and one is a heat map
    with gradients.
    """
    first, second = (reference.run(tmp_path / name, "needle", "tiny-mdlm") for name in "ab")
    code = (
        "import sys; from pathlib import Path; from mdlm_probe.reports import probe_report as r\n"
        "made, _ = r.make(Path(sys.argv[1]))\n"
        "for name in ('', 'logp', 'reliability'): del made['needle'].charts[name]\n"
        "for style in ('screen', 'paper'): r.save(Path(sys.argv[1]), made, style)"
    )
    subprocess.run([sys.executable, "-c", code, str(first)], check=True)
    made, _ = probe_report.make(second)
    for name in ("", "logp", "reliability"):
        del made["needle"].charts[name]
    for style in reversed(pictures.STYLES):
        probe_report.save(second, made, style)
    names = {path.name for path in second.iterdir()}
    assert {"needle-calibration-3.3in.pdf", "needle-gain-6.8in.svg", "needle-gain.svg"} <= names
    for path in (*second.glob("*.png"), *second.glob("*.svg"), *second.glob("*.pdf")):
        assert path.read_bytes() == (first / path.name).read_bytes(), path.name
    assert len(list(second.glob("*.pdf"))) == 3 * len(made["needle"].charts) == 6


def test_a_model_has_one_colour_in_a_study_and_each_of_its_runs(tmp_path):
    study = tmp_path / "study"
    reference.run(study / "decay", "decay")
    reference.run(study / "locality", "locality", "tiny-arlm", "oracle-biased")
    reference.run(study / "parallel", "parallel", "tiny-arlm", "oracle-lists")
    shutil.copy(reference.FOLDER / "study.json", study)
    (html_run,) = (run for run in html.read(study) if run.name == "decay")
    alone, _ = probe_report.make(study / "decay")
    assert alone["decay"].models == html_run.made["decay"].models
    models = alone["decay"].models
    asked = ("oracle", "tiny-arlm", "tiny-mdlm", "tiny-mdlm-adapted")
    assert {*asked, "oracle-biased", "oracle-lists"} == set(models)
    (other,) = probe_report.make(study / "locality")[0].values()
    assert other.models == models
    drawn = pictures.draw(alone["decay"].charts[""], models).svg
    for name in asked:
        assert MODELS[models.index(name)] in drawn
    shutil.copytree(study / "decay", tmp_path / "elsewhere")
    assert probe_report.models_of(tmp_path / "elsewhere") == asked


def test_the_command_writes_figures_for_a_paper(tmp_path):
    run = reference.run(tmp_path / "run", "cache")
    said = call("report", run, "--style", "paper").output
    made = {path.name for path in run.iterdir()}
    for stem in ("cache-3.3in", "cache-6.8in", "cache-saving-3.3in", "cache-saving-6.8in"):
        assert {f"{stem}.{end}" for end in pictures.ENDS} <= made
        assert f"wrote {run / stem}.pdf" in said
        assert f'href="{stem}.svg"' in (run / "report.html").read_text()
    assert "cache.png" not in made
    assert "cache-error.csv" in made
    assert "'screen', 'paper'" in call("report", run, "--style", "wall", code=2).output


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    run = reference.run(tmp_path / "run", "cache")
    (run / "cache.svg").mkdir()
    assert re.match(r"Error: cannot write .*cache\.svg", call("report", run, code=1).output)
