"""What README, docs and helps say works: their commands are run, their files are there."""

import inspect
import json
import re
import shlex
import shutil
from pathlib import Path

import click
import probe_cases
import pytest
import reference_tables
from checkpoints import write_llada
from click.testing import CliRunner
from commands import call
from fakes import Server, chat
from simulations import cases, simulation

from mdlm_probe import cli, models
from mdlm_probe.cli import run_probe
from mdlm_probe.core import catalog
from mdlm_probe.prompts import shipped

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.glob("docs/**/*.md"))
}
PAGES = {"README.md": README} | PAGES
BLOCKS = [
    (page, block)
    for page, text in PAGES.items()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
]
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
"""Stands for the studies that examples run: those take minutes."""


pytestmark = pytest.mark.usefixtures("untimed")


def lines_of(block):
    """The commands of a block, without what is said of them."""
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


def test_the_readme_can_be_read_in_one_go_and_the_two_commands_come_first():
    assert len(README.splitlines()) <= 200
    assert lines_of(BLOCKS[0][1]) == ["make demo", "make test"]


def test_make_targets_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"setup", "demo", "test", "lint", "bench", "check", "clean"} <= set(targets)
    for page, text in PAGES.items():
        for target in re.findall(r"`make (\w+)`", text):
            assert target in targets, page


def fits(name, probe, given):
    """Whether a short value means something to a probe, and nothing else was given."""
    known = inspect.signature(catalog.load("probe", probe).plan).parameters
    if name == "orders" and "ig_steps" not in known:
        return False  # orders of scoring, not numbers of shuffles
    if name == "tasks" and "lm-eval-task" in given:
        return False  # a task of lm-eval has sets of its own
    return name in known and name.replace("_", "-") not in given


def shortened(line, folder, later="", run=True):
    """A command made short.

    Hub models are only planned, since tests have no hub, and so is what neither a `later` command
    reads nor must `run`.
    """
    arguments = shlex.split(line)[1:]
    planned = arguments[0] == "plan"
    probe = arguments[planned]
    run = not planned and (run or output(arguments) in later)
    if any("./my-checkpoint" in argument for argument in arguments):
        write_llada(folder / "my-checkpoint", context=1024)
    if "--adapter" in arguments:
        adapter = folder / arguments[arguments.index("--adapter") + 1]
        adapter.mkdir(parents=True, exist_ok=True)
        told = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "bias": "none"}
        (adapter / "adapter_config.json").write_text(json.dumps(told))
        (adapter / "adapter_model.safetensors").touch()
    if probe == "study":
        return studied(arguments, folder, run)
    if probe == "tune":
        (folder / "openorca.jsonl").write_text('{"prompt": "the king", "answer": " saw a boat."}')
        shutil.copy(folder / "openorca.jsonl", folder / "answers.jsonl")
        if planned or not is_here(arguments):
            return ["plan", *arguments[planned:]]
        return [*arguments, *"--steps 1 --batch 2 --micro-batch 2 --max-masks 9".split()]
    if probe not in catalog.names("probe"):
        return arguments
    arguments = arguments[planned:]
    # several values a list option, where the command itself gives several
    given = {a.removeprefix("--") for a in arguments if a.startswith("--")} - {"positions", "limit"}
    values = SHORT | OWN.get(probe, {})
    short = [
        part
        for name, value in values.items()
        if fits(name, probe, given)
        for part in ("--" + name.replace("_", "-"), value)
    ]
    # no distractors: no other position than 0
    short += ["--positions", "0"] if "0" in arguments else []
    if not is_here(arguments):  # of many kinds of prompts and masks, each fits some models only
        return ["plan", *arguments, "--limit", "1"]
    return [*([] if run else ["plan"]), *arguments, *short]


def is_here(arguments):
    """Whether all models of a command are folders or bundled."""
    named = [arguments[i + 1] for i, a in enumerate(arguments) if a in ("--model", "-m")]
    sources = [models.resolve(name).source for name in named if not name.startswith("./")]
    return all(not source or Path(source).exists() for source in sources)


def output(arguments):
    """Where a command writes."""
    if "--output" in arguments:
        return arguments[arguments.index("--output") + 1]
    return f"results/{Path(arguments[0]).stem}"


def studied(arguments, folder, run):
    """A study made short."""
    (folder / "short.yaml").write_text(STUDY)
    assert arguments[1].endswith(".yaml") or arguments[1] in shipped.studies()
    if not run:
        return ["plan", "short.yaml", *arguments[2:]]
    where = [] if {"--output", "-o"} & {*arguments} else ["--output", "results/smoke"]
    return ["study", "short.yaml", *arguments[2:], *where]


@pytest.mark.usefixtures("undrawn")  # helps' examples are drawn, one of every probe
@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=lambda text: text.split("\n")[0][:50])
def test_blocks_of_a_page_run_in_order_in_one_folder(page, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in lines_of(block) if line.startswith("mdlm-probe")]
    for number, line in enumerate(lines, 1):
        later = " ".join(lines[number:])
        result = CliRunner().invoke(cli.main, shortened(line, tmp_path, later, run=False))
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_every_probe_is_in_the_readme_and_every_command_in_its_page():
    for name in catalog.names("probe"):
        assert f"[{name}](docs/probes/{name}.md)" in README
        assert catalog.first_line("probe", name) in README
    for name in cli.main.commands:
        assert f"`mdlm-probe {name}" in PAGES["docs/commands.md"].replace("`, `", "`mdlm-probe ")


def slug(head):
    """The anchor of a heading."""
    return re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_files_and_sections_named_in_a_page_exist(page):
    folder = (ROOT / page).parent
    named = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", PAGES[page])
    for target in (one or other for one, other in named):
        name, _, anchor = target.partition("#")
        path = folder / name if name else ROOT / page
        assert path.exists(), target
        heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE) if anchor else ()
        assert not anchor or anchor in [slug(head) for head in heads], target


def test_every_page_can_be_reached_from_the_index():
    linked = re.findall(r"\]\(([\w/]+\.md)\)", PAGES["docs/index.md"])
    assert sorted(f"docs/{name}" for name in linked) == [
        page for page in PAGES if page not in ("README.md", "docs/index.md")
    ]


def test_the_file_map_is_complete():
    named = re.findall(r"^      (\w+)/ ", PAGES["docs/development.md"], re.MULTILINE)
    rooms = [p.name for p in (ROOT / "mdlm_probe").glob("[!_]*") if p.is_dir()]
    assert sorted(named) == sorted(rooms)


@pytest.mark.parametrize("page", ["README.md", "docs/studies.md"])
def test_a_pages_own_study_can_be_planned(page, tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGES[page], re.DOTALL)
    (tmp_path / "my-study.yaml").write_text(text.replace("limit: 100", "limit: 1"))
    result = CliRunner().invoke(cli.main, ["plan", str(tmp_path / "my-study.yaml")])
    assert result.exit_code == 0, result.output
    for run in re.findall(r"^  (\w+): ", text, re.MULTILINE):
        assert re.search(rf"^{run}\b", result.output, re.MULTILINE), run


@pytest.mark.parametrize("probe", catalog.names("probe"))
def test_the_page_of_a_probe_says_what_its_files_are(probe):
    page = PAGES[f"docs/probes/{probe}.md"]
    assert f"*{catalog.first_line('probe', probe)}*" in page
    for file in (ROOT / "results" / "reference" / probe).glob(f"{probe}*.csv"):
        rows, _, model = file.stem.partition("__")
        told = f"`{rows}__NAME.csv`" if model else f"`{rows.removeprefix(probe + '-')}`"
        assert told in page, file.name


@pytest.mark.parametrize("name", reference_tables.PAGES)
def test_options_and_columns_of_a_page_are_those_of_the_command_and_its_files(name):
    page = reference_tables.PAGES[name]
    made = reference_tables.written(page, name)
    assert page.read_text() == made, "python -m tests.helpers.reference_tables"


def test_the_readmes_minutes_are_those_of_the_reference_run():
    runs = json.loads((ROOT / "results" / "reference" / "study.json").read_text())["runs"]
    told = dict(re.findall(r"^\|[^|]+\| \[(\w+)\][^|]*\| (\d+) \|", README, re.MULTILINE))
    assert sorted(told) == sorted(catalog.names("probe"))
    for probe, minutes in told.items():
        assert minutes == str(max(1, round(runs[probe]["seconds"] / 60))), probe


def test_models_named_in_a_page_are_known():
    known = {*models.names(), "mdlm", "FOLDER", "NAME", "MODEL", "my-llada", "my-bilma"}
    for page, text in PAGES.items():
        for name in re.findall(r"--model ([\w.-]+)(?![/\w=])", text):
            assert name.strip("`.,") in known, (page, name)


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
    """A folder with the runs that commands after a run need, each a few cells, not reported on."""
    folder = tmp_path_factory.mktemp("runs")
    few = "--tasks verb-smallest --shots 1 --distractors 1 --limit"
    written = "--limit 1 --length 8 --block 8 --frac 0.5 --scorer none"
    for line in (
        f"locality -m oracle --positions 0,1 {few} 2 -o locality",
        f"locality -m tiny-mdlm --positions 0,1 {few} 2 -o tuned",
        f"shift -m tiny-mdlm-adapted {written} -o base",
        f"shift -m tiny-mdlm {written} -o tuned",
        f"masks -m tiny-mdlm --masks 0,4 --filler mask {few} 2 -o masks",
        f"locality -m oracle --positions 0 {few} 2 --shard 1/2 -o part-1",
        f"locality -m oracle --positions 0 {few} 2 --shard 2/2 -o part-2",
    ):
        *typed, name = line.split()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(run_probe, "show", lambda job: None)
            call(*typed, folder / "results" / name, "--quiet")
        if name == "locality":
            shutil.copytree(folder / "results" / name, folder / "results" / "base")
    return folder


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_example_of_a_help_is_of_its_command(path):
    assert example(path).split()[1 : 1 + len(path)] == list(path)


@simulation
@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("path", cases(PATHS, every=2), ids=" ".join)
def test_the_example_of_a_help_runs(path, runs, tmp_path, monkeypatch):
    line = example(path)
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


def test_the_docs_name_the_variable_of_every_shell():
    text = PAGES["docs/commands.md"]
    assert re.findall(r"_MDLM_PROBE_COMPLETE=(\w+)_source", text) == ["bash", "zsh", "fish"]
