"""What README, docs and helps say works: their commands are run, their files are there."""

import inspect
import re
import shlex
import shutil
from pathlib import Path

import click
import probe_cases
import pytest
from checkpoints import write_llada
from click.testing import CliRunner
from fakes import Server, chat

from mdlm_probe import cli, models
from mdlm_probe.core import catalog

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
SHORT = dict(
    pair.split("=")
    for pair in "limit=1 tasks=verb-smallest shots=1 distractors=1 positions=0,1 orders=1 "
    "ig_steps=2 lengths=64,128 depths=0,100".split()
)
OWN = probe_cases.gathered("SHORT")
"""What makes a command of these short, beside `SHORT`."""
STUDY = """
model: [oracle]
runs:
  locality: {tasks: [verb-smallest], limit: 1, shots: 1, distractors: 1, positions: [0, 1]}
"""
"""Stands for the shipped study that examples run: it takes minutes."""


pytestmark = pytest.mark.usefixtures("untimed")


def test_the_two_commands_come_first():
    assert LINES[:2] == ["make demo", "make test"]


def test_make_targets_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"setup", "demo", "test", "lint", "bench", "check", "clean"} <= set(targets)
    for target in re.findall(r"`make (\w+)`", README):
        assert target in targets


def fits(name, probe, given):
    """Whether a short value means something to a probe, and nothing else was given."""
    known = inspect.signature(catalog.load("probe", probe).plan).parameters
    if name == "orders" and "ig_steps" not in known:
        return False  # orders of scoring, not numbers of shuffles
    if name == "tasks" and "lm-eval-task" in given:
        return False  # a task of lm-eval has sets of its own
    return name in known and name.replace("_", "-") not in given


def shortened(line, folder):
    """A command made short; hub models are only planned: tests have no hub."""
    arguments = shlex.split(line)[1:]
    probe = arguments[0]
    if probe == "study":
        return studied(arguments, folder)
    if probe == "tune":
        (folder / "answers.jsonl").write_text(
            '{"prompt": "the old king", "answer": " saw a boat."}'
        )
        return [*arguments, *"--steps 1 --batch 2 --micro-batch 2 --max-masks 9".split()]
    if probe not in catalog.names("probe"):
        return arguments
    # several values a list option, where the command itself gives several
    given = {a.removeprefix("--") for a in arguments if a.startswith("--")} - {"positions", "limit"}
    values = SHORT | OWN.get(probe, {})
    short = [
        part
        for name, value in values.items()
        if fits(name, probe, given)
        for part in ("--" + name.replace("_", "-"), value)
    ]
    if "./my-checkpoint" in arguments:
        write_llada(folder / "my-checkpoint", context=1024)
        return [*arguments, *short]
    named = [arguments[i + 1] for i, a in enumerate(arguments) if a == "--model"]
    sources = [models.resolve(name).source for name in named]
    if any(source and not Path(source).exists() for source in sources):
        return ["plan", *arguments]
    # no distractors: no other position than 0
    return [*arguments, *short, *(["--positions", "0"] if "0" in arguments else [])]


def studied(arguments, folder):
    """A study made short; those of hub models are only planned."""
    if Path(arguments[1]).stem != "smoke":
        return ["plan", arguments[1]]
    (folder / "short.yaml").write_text(STUDY)
    where = [] if {"--output", "-o"} & {*arguments} else ["--output", "results/smoke"]
    return ["study", "short.yaml", *arguments[2:], *where]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.split("\n")[0][:40])
def test_blocks_of_the_readme_run_in_order_in_one_folder(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line.partition("  #")[0].strip() for line in block.splitlines()]
    for line in (line for line in lines if line.startswith("mdlm-probe")):
        result = CliRunner().invoke(cli.main, shortened(line, tmp_path))
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_every_probe_and_command_is_in_the_readme():
    for name in [*catalog.names("probe"), *cli.main.commands]:
        assert name in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_a_page_exist(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_file_map_is_complete():
    found = README[README.index("## File map") : README.index("## Limits")]
    named = re.findall(r"^      (\w+)/ ", found, re.MULTILINE)
    rooms = [p.name for p in (ROOT / "mdlm_probe").glob("[!_]*") if p.is_dir()]
    assert sorted(named) == sorted(rooms)


def test_the_readmes_own_study_can_be_planned(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my-study.yaml").write_text(text)
    result = CliRunner().invoke(cli.main, ["plan", str(tmp_path / "my-study.yaml")])
    assert result.exit_code == 0, result.output
    for run in ("locality", "tails", "shift", "judge"):
        assert re.search(rf"^{run}\b", result.output, re.MULTILINE), run


def test_every_probe_has_a_figure_explained():
    for name in catalog.names("probe"):
        assert re.search(rf"^### {name}\b", README, re.MULTILINE), name


def test_models_named_in_the_readme_are_known():
    for name in re.findall(r"--model ([\w.-]+)(?![/\w=])", README):
        assert name in (*models.names(), "FOLDER"), name


# ---------------------------------------------------------------------- examples in helps

PATHS = [(name,) for name in (*cli.main.commands, *catalog.names("probe"))]
PATHS += [("plan", name) for name in catalog.names("probe")]


def example(path):
    """The one example in a command's help."""
    command = cli.main
    for name in path:
        command = command.get_command(click.Context(command), name)
    told = inspect.cleandoc(command.help or "") + "\n\n"
    (found,) = re.findall(r"^Example: (mdlm-probe .*?)\n\n", told, re.MULTILINE | re.DOTALL)
    return " ".join(found.split())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs that commands after a run need, each a few cells."""
    folder = tmp_path_factory.mktemp("runs")
    few = "--tasks verb-smallest --shots 1 --distractors 1 --limit"
    for line in (
        f"locality -m oracle --positions 0,1 {few} 2 -o locality",
        f"locality -m tiny-mdlm --positions 0,1 {few} 2 -o tuned",
        f"masks -m tiny-mdlm --masks 0,4 --filler mask {few} 2 -o masks",
        "shift -m tiny-mdlm --limit 1 --length 8 --block 8 --frac 0.5 -o shift",
    ):
        *typed, name = line.split()
        result = CliRunner().invoke(cli.main, [*typed, str(folder / "results" / name), "--quiet"])
        assert result.exit_code == 0, result.output
    shutil.copytree(folder / "results" / "locality", folder / "results" / "base")
    return folder


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_example_of_a_help_runs(path, runs, tmp_path, monkeypatch):
    line = example(path)
    assert line.split()[1 : 1 + len(path)] == list(path)
    if path[0] not in catalog.names("probe"):  # a probe begins its run, others need one
        shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with Server(lambda *_: (200, chat("[[A=B]]"))) as server:
        typed = shortened(line.replace("http://localhost:8000/v1", server.url), tmp_path)
        result = CliRunner().invoke(cli.main, typed)
    assert result.exit_code == 0, f"{line}\n{result.output}"


def test_a_command_without_an_example_is_noticed(monkeypatch):
    monkeypatch.setattr(cli.main.commands["models"], "help", "Lists models.")
    with pytest.raises(ValueError, match="not enough values"):
        example(("models",))


def test_the_readme_names_the_variable_of_every_shell():
    text = (Path(__file__).parent.parent.parent / "README.md").read_text()
    assert re.findall(r"_MDLM_PROBE_COMPLETE=(\w+)_source", text) == ["bash", "zsh", "fish"]
