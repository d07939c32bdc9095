"""LaTeX exports as LaTeX sets them; needs texlive-latex-recommended and texlive-science."""

import re
import shutil
import subprocess

import pytest
import reference
from commands import call

from mdlm_probe.reports.exports.latex_columns import COLUMN

pytestmark = pytest.mark.skipif(
    not shutil.which("pdflatex")
    or subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).returncode != 0,
    reason="no pdflatex with siunitx here: apt install texlive-latex-recommended texlive-science",
)
CHOSEN = {
    "masks": ("model,amount,accuracy,tasks_interval", "masks-curve.tex"),
    "needle": ("model,length,gain,n", "needle-overview.tex"),
    "joint": ("model,distance,mi", "joint-pairs.tex"),
    "locality": ("model,accuracy,items_interval,n", "locality-accuracy.tex"),
}


def compiled(folder, body):
    """What pdflatex logs of a document; it must have nothing to complain about."""
    packages = "booktabs,graphicx,longtable,pdflscape,siunitx,textcomp"
    head = rf"\documentclass{{article}}\usepackage{{{packages}}}\begin{{document}}"
    (folder / "all.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "all.log").read_text(errors="replace")


@pytest.mark.slow
def test_every_table_compiles(tmp_path):
    """Each kind: a float, shrunk, in landscape, over pages."""
    files = []
    for name in ("masks", "decay"):
        call("export", reference.FOLDER / name, "--to", "latex", "-o", tmp_path / name)
        files += sorted((tmp_path / name).glob("*.tex"))
    body = "\\clearpage\n".join(rf"\input{{{path.relative_to(tmp_path)}}}" for path in files)
    log = compiled(tmp_path, body)
    assert "Missing character" not in log
    assert len(files) > 10


def test_chosen_columns_fit_into_a_column(tmp_path):
    body = []
    for run, (columns, name) in CHOSEN.items():
        words = ["--to", "latex", "--columns", columns, "-o", tmp_path / run]
        call("export", reference.FOLDER / run, *words)
        text = (tmp_path / run / name).read_text()
        size = re.search(r"^\\\w+\\setlength.*$", text, re.MULTILINE)[0]
        table = re.search(r"\\begin\{tabular\}.*\\end\{tabular\}", text, re.DOTALL)[0]
        box = rf"\sbox0{{{size}{table}}}"
        body.append(rf"{box}\typeout{{wide {run} \the\wd0}}" + rf"\input{{{run}/{name}}}")
    log = compiled(tmp_path, "\n".join(body))
    wide = {run: float(points) for run, points in re.findall(r"wide (\w+) ([\d.]+)pt", log)}
    assert wide.keys() == CHOSEN.keys()
    for run, points in wide.items():
        assert 100 < points <= COLUMN, run
    assert "Overfull" not in log
