"""What docs/extending.md adds works: its files in a copy of the package, its lines run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from checkpoints import MASK_TEXT, special_ids, write_llada, write_llama

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", TEXT, re.DOTALL)
LINES = re.findall(r"^\$ mdlm-probe (.*)$", TEXT, re.MULTILINE)
REGISTRY = "mdlm_probe/models/registry.yaml"
FREE = ["compare results/tail results/tail", "export results/tail --to markdown,jsonl"]
"""What a new probe has without a line of its own."""
RUN = """
import json, shlex, sys
from click.testing import CliRunner
from mdlm_probe import cli
for line in json.load(sys.stdin):
    result = CliRunner().invoke(cli.main, shlex.split(line))
    print(json.dumps([line, result.exit_code, result.output]), flush=True)
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package with the files added, and what the lines print in an empty folder."""
    package, here = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("here")
    skip = shutil.ignore_patterns("*.pyc.*")  # what another process is writing
    for room in ("mdlm_probe", "tasks"):
        shutil.copytree(ROOT / room, package / room, ignore=skip)
    for name, text in FILES:
        path = (package if name.startswith("mdlm_probe/") else here) / name
        assert path.exists() == (name == REGISTRY), (
            "a file is new, the registry's entries are added"
        )
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(text)
    (document,) = re.findall(r'# (\{"options".*\})', TEXT)
    (here / "my-tasks" / "animals.jsonl").write_text(document + "\n")
    write_llada(here / "checkpoints" / "my-llada", context=1024)
    told = {"model_type": "bilma", "architectures": ["Bilma"], "max_position_embeddings": 512}
    told |= {"mask_token_id": special_ids()[MASK_TEXT]}
    write_llama(here / "checkpoints" / "my-bilma", config=told)
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(["--help", *LINES, *FREE]),
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return here, {line: (code, output) for line, code, output in found}


def test_the_files_and_lines_are_found():
    assert {Path(name).name for name, _ in FILES} == {
        *("birds.yaml", "animals.yaml", "registry.yaml", "bilma.py", "probe.py", "report.py")
    }
    assert len(FILES) == 6
    assert {line.split()[0] for line in LINES} >= {"tasks", "eval", "models", "plan", "report"}


@pytest.mark.parametrize("line", [*LINES, *FREE])
def test_every_line_works(extended, line):
    code, output = extended[1][line]
    assert code == 0, output


def test_the_new_probe_is_in_the_help_and_in_plans(extended):
    help_text = extended[1]["--help"][1]
    assert re.search(r"^  tail +How probable is an end of text", help_text, re.MULTILINE)
    assert len(help_text.splitlines()) <= 25
    planned = next(output for line, (_, output) in extended[1].items() if line.startswith("plan"))
    assert re.search(r"tiny-mdlm .* 60 +60 ", planned)


def test_the_new_probe_measures_and_reports(extended):
    here, _ = extended
    frame = pd.read_csv(here / "results" / "tail" / "tail__tiny-mdlm.csv")
    assert len(frame) == 2 * (4 + 16 + 64)
    assert frame["p_end"].between(0, 1).all()
    curve = pd.read_csv(here / "results" / "tail" / "tail-curve.csv")
    mean = frame[(frame["masks"] == 16) & (frame["place"] == 3)]["p_end"].mean()
    told = curve[(curve["masks"] == 16) & (curve["place"] == 3)]["p_end"].item()
    assert told == pytest.approx(mean, rel=1e-4)
    assert (here / "results" / "tail" / "tail.png").stat().st_size > 1000


def test_the_new_models_are_listed_and_run(extended):
    here, ran = extended
    assert {"my-llada", "my-bilma"} <= set(re.findall(r"^[\w-]+", ran["models"][1], re.MULTILINE))
    for name in ("my-llada", "my-bilma"):
        written = (here / "results" / "generate" / f"generate__{name}.jsonl").read_text()
        assert json.loads(written)["passes"] == 8


def test_the_new_tasks_are_asked(extended):
    ran = extended[1]
    assert "birds-smallest" in ran["tasks --suite birds.yaml"][1]
    evaluated = next(output for line, (_, output) in ran.items() if line.startswith("eval"))
    assert re.search(r"tiny-mdlm +animals +acc", evaluated)
