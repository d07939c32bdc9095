"""What commands import: torch only where a model is asked, pandas only where rows are read.

All is done one after another in a single process, which says what each step imported.
"""

import json
import subprocess
import sys

import pytest
import reference
from checkpoints import write_llada

from mdlm_probe import cli
from mdlm_probe.core import catalog

SLOW = {"torch", "transformers", "pandas", "matplotlib", "altair"}
SLOW |= {"lm_eval", "datasets", "huggingface_hub"}
NETWORKS = {"torch", "transformers", "lm_eval", "wandb", "trackio"}
"""What reports, exports and comparisons never need."""

DRAWING = {"matplotlib", "altair", "PIL"}
"""What charts are drawn without."""

CHILD = """
import contextlib, io, json, os, sys
from click.testing import CliRunner
from mdlm_probe import cli

def typed(*arguments):
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 0, result.output
    return result.output

def completed(shell, what):
    last = "tiny-m" if shell == "fish" else "3"
    asked = {"COMP_WORDS": "mdlm-probe locality --model tiny-m", "COMP_CWORD": last}
    os.environ |= asked | {"_MDLM_PROBE_COMPLETE": f"{shell}_{what}"}
    said = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.main(prog_name="mdlm-probe")
    del os.environ["_MDLM_PROBE_COMPLETE"]
    return said.buffer.getvalue().decode()

def planned(probe):
    from mdlm_probe.core import catalog
    return len(catalog.load("probe", probe).plan(limit=1))

def public():
    import mdlm_probe
    return mdlm_probe.run.__name__, dir(mdlm_probe)

def registered():
    from mdlm_probe import models
    return len(models.entries()), models.resolve("llada-8b").name

def encoded(folder):
    from mdlm_probe import models
    return len(models.load_border(models.resolve(folder)).encode("cat cat"))

def loaded(room):
    from mdlm_probe.core import catalog
    return [catalog.load(room, name).__name__ for name in catalog.names(room)]

def declared():
    from mdlm_probe.core import catalog
    return [catalog.charts(name).__name__ for name in catalog.names("report")]

def examples(folder):
    from pathlib import Path
    from mdlm_probe.analysis.frames import frames
    from mdlm_probe.core.run_folder import read_run
    from mdlm_probe.reports.html import examples
    folder = Path(folder)
    return len(examples.of(folder, "locality", frames(folder)[0]["locality"], read_run(folder)))

for name, *given in json.load(sys.stdin):
    before = set(sys.modules)
    try:
        found = globals()[name](*given)
    except BaseException as error:
        found = f"{type(error).__name__}: {error}"
    print(json.dumps([found, sorted(set(sys.modules) - before)]), flush=True)
"""

COMMANDS = sorted({*cli.main.commands, *catalog.names("probe")})
LISTINGS = [("typed", "--help"), ("typed", "models"), ("typed", "probes"), ("typed", "tasks")]
LISTINGS += [("typed", name, "--help") for name in COMMANDS]
LISTINGS += [("typed", "plan", name, "--help") for name in catalog.names("probe")]
COMPLETIONS = [
    ("completed", shell, what)
    for shell in ("bash", "zsh", "fish")
    for what in ("source", "complete")
]
PLANS = [("planned", probe) for probe in catalog.names("probe")]
CARD = ("--gpu", "h100")
COSTS = [
    ("typed", "plan", "locality", "--model", "tiny-mdlm", "--limit", "1", *CARD),
    ("typed", "plan", "shift", "--model", "tiny-mdlm", "--limit", "1", *CARD),
    *(("typed", "plan", "tune", name, "-m", "llada-8b", *CARD) for name in ("ctc", "sft")),
]
READERS = [("loaded", "report"), ("loaded", "examples"), ("declared",)]
MADE = ("report", "export", "compare")


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What each step gave, and the modules it imported; the lightest steps come first."""
    home = tmp_path_factory.mktemp("imports")
    pair = ("tiny-mdlm", "tiny-arlm")  # what is imported doesn't depend on how many there are
    run = str(reference.run(home / "run", "locality", *pair))
    checkpoint = str(write_llada(home / "m"))
    files = ["--to", "parquet,jsonl,latex,markdown,card", "-o", str(home / "files")]
    own = {
        "encoded": ("encoded", checkpoint),
        "examples": ("examples", run),
        "report": ("typed", "report", run),
        "export": ("typed", "export", run, *files),
        "compare": ("typed", "compare", run, run, "-o", str(home / "compared")),
    }
    first = (*LISTINGS, *COMPLETIONS, ("public",), ("registered",), *PLANS, *COSTS)
    asked = {step: step for step in first}
    asked |= {"encoded": own["encoded"]} | {step: step for step in READERS} | own
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([*asked.values()]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(asked, lines, strict=True))


@pytest.mark.parametrize("step", LISTINGS, ids=" ".join)
def test_helps_and_listings_import_nothing_slow(steps, step):
    output, imported = steps[step]
    assert len(output) > 100
    assert not SLOW & {*imported}


@pytest.mark.parametrize("step", COMPLETIONS, ids=" ".join)
def test_a_shell_gets_a_script_and_answers_without_slow_imports(steps, step):
    output, imported = steps[step]
    assert {"source": "_MDLM_PROBE_COMPLETE=", "complete": "tiny-mdlm"}[step[2]] in output
    assert not SLOW & {*imported}


def test_the_python_interface_is_imported_without_what_its_calls_need(steps):
    (name, names), imported = steps[("public",)]
    assert (name, "tune" in names) == ("run", True)
    assert not SLOW & {*imported}


def test_the_registry_is_read_without_what_loads_models(steps):
    (count, name), imported = steps[("registered",)]
    assert (count > 10, name) == (True, "llada-8b")
    assert not SLOW & {*imported}


@pytest.mark.parametrize("step", PLANS, ids=" ".join)
def test_planning_a_probe_imports_neither_torch_nor_pandas(steps, step):
    cells, imported = steps[step]
    assert cells > 0
    assert not {"torch", "transformers", "pandas"} & {*imported}


@pytest.mark.parametrize("step", COSTS, ids=" ".join)
def test_costs_are_counted_without_torch(steps, step):
    output, imported = steps[step]
    assert "time on h100" in output
    assert not {"torch", "transformers", "pandas"} & {*imported}


def test_prompts_are_encoded_without_torch(steps):
    assert steps["encoded"][0] == 2
    assert not {"torch", "transformers"} & {*steps["encoded"][1]}


@pytest.mark.parametrize("step", READERS, ids=" ".join)
def test_reports_and_examples_import_no_torch(steps, step):
    found, imported = steps[step]
    assert len(found) >= len(catalog.names("probe"))
    assert not NETWORKS & {*imported}


def test_reports_of_locality_need_no_statistics_of_scipy(steps):
    """Neither their own, nor what was imported by anything before them."""
    names = [*steps]
    before = names[: names.index("report") + 1]
    assert not any("scipy.stats" in steps[name][1] for name in before)


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_of_rows_needs_no_torch(steps, name):
    found, imported = steps[name]
    assert "locality" in found
    assert not (NETWORKS | DRAWING) & {*imported}


def test_examples_need_no_torch(steps):
    assert steps["examples"][0] > 0
    assert not NETWORKS & {*steps["examples"][1]}


def test_rows_are_read_with_pandas(steps):
    """So that what is looked for is what there would be to see."""
    assert any("pandas" in imported for _, imported in steps.values())
