"""What the README says works: its commands are run, its files are there."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from checkpoints import write_llada
from click.testing import CliRunner

from mdlm_probe import catalog, cli, models, tasks

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
SHORT = dict(
    pair.split("=")
    for pair in "limit=1 tasks=verb-smallest shots=1 distractors=1 positions=0,1 orders=1 "
    "ig_steps=2 lengths=64,128 depths=0,100".split()
)


def test_the_two_commands_come_first():
    assert LINES[:2] == ["make demo", "make test"]


def test_make_targets_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"setup", "demo", "test", "lint", "bench", "check", "clean"} <= set(targets)
    for target in re.findall(r"`make (\w+)`", README):
        assert target in targets


def fits(name, known):
    """Whether a short value means the same to this probe: two names mean two things."""
    return {"tasks": "suite" in known, "orders": "ig_steps" in known}.get(name, True)


def shortened(line, folder):
    """A command of the README made short; hub models are only planned: tests have no hub."""
    arguments = shlex.split(line)[1:]
    if arguments[0] not in catalog.names("probes"):
        return arguments
    known = inspect.signature(catalog.load("probes", arguments[0]).plan).parameters
    # several values a list option, where the command itself gives several
    given = {a.removeprefix("--") for a in arguments if a.startswith("--")} - {"positions", "limit"}
    short = [
        part
        for name, value in SHORT.items()
        if name in known and name not in given and fits(name, known)
        if not (
            name == "tasks" and "lm-eval-task" in given
        )  # a task of lm-eval has sets of its own
        for part in ("--" + name.replace("_", "-"), value)
    ]
    if "./my-checkpoint" in arguments:
        write_llada(folder / "my-checkpoint", context=1024)
        return [*arguments, *short]
    named = [arguments[i + 1] for i, a in enumerate(arguments) if a == "--model"]
    sources = [models.resolve(name).source for name in named]
    if any(source and not Path(source).exists() for source in sources):
        return (
            ["plan", *arguments[: arguments.index("--output")]]
            if "--output" in arguments
            else (["plan", *arguments])
        )
    # no distractors: no other position than 0
    return [*arguments, *short, *(["--positions", "0"] if "0" in arguments else [])]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.split("\n")[0][:40])
def test_blocks_of_the_readme_run_in_order_in_one_folder(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line.partition("  #")[0].strip() for line in block.splitlines()]
    for line in (line for line in lines if line.startswith("mdlm-probe")):
        result = CliRunner().invoke(cli.main, shortened(line, tmp_path))
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_every_probe_and_command_is_in_the_readme():
    for name in [*catalog.names("probes"), *cli.main.commands]:
        assert name in README


def test_files_named_in_the_readme_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for name in re.findall(r"^      ([\w. ]+\.py)", README, re.MULTILINE):
        for part in name.split():
            assert (ROOT / "mdlm_probe" / part).exists(), part
    rooms = {p.stem if p.suffix else p.name for p in (ROOT / "mdlm_probe").glob("[!_]*")}
    for room in rooms - {"__pycache__"}:
        assert re.search(rf"\b{room}(\.py|/)", README), f"{room} is not in the file map"


def test_the_readmes_own_suite_works(tmp_path):
    (yaml,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my.yaml").write_text(yaml)
    suite = tasks.load(str(tmp_path / "my.yaml"))
    assert list(suite.sets) == ["birds-smallest"]
    assert len(suite["birds-smallest"].items(5, 0, 3)) == 5
    typed = ["locality", "--suite", str(tmp_path / "my.yaml"), "--limit", "5", "-m", "tiny-mdlm"]
    result = CliRunner().invoke(cli.main, [*typed, "-o", str(tmp_path / "r")])
    assert result.exit_code == 0, result.output


def test_models_named_in_the_readme_are_known():
    for name in re.findall(r"--model ([\w.-]+)(?![/\w])", README):
        assert name in (*models.names(), "FOLDER"), name
