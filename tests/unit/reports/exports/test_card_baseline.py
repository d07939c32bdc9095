"""A card against a baseline: the comparison's own numbers, a figure, and the remedy's costs."""

import json
import re

import pandas as pd
import pytest
import reference
from commands import call
from huggingface_hub import ModelCard

from mdlm_probe.analysis.tables import interval, number
from mdlm_probe.reports.compare.compare import compare

pytestmark = pytest.mark.usefixtures("reports_once")

LORA = "adapters/lora"


@pytest.fixture(scope="session")
def sides(once):
    """A baseline, and a model with an adapter whose training is known."""

    def make(folder):
        reference.run(folder / "base", "masks", "tiny-mdlm")
        reference.run(folder / "remedy", "masks", "tiny-mdlm-adapted")
        adapter = folder / LORA
        adapter.mkdir(parents=True)
        recipe = {"steps": 3, "batch": 2}
        config = {"objective": "sft", "model": "tiny-mdlm", "options": {}, "recipe": recipe}
        told = {"status": "finished", "adapter_hash": "abc", "config": config}
        (adapter / "mdlm_probe.json").write_text(json.dumps(told))
        log = "step,trained_tokens,seconds\n1,10,0.5\n2,20,1.0\n3,12,2.5\n"
        (adapter / "training.csv").write_text(log)
        path = folder / "remedy" / "run.json"
        entries = json.loads(path.read_text())
        (entry,) = entries.values()
        entry["config"]["load"]["adapter"] = str(adapter)
        entry["model"]["adapter"] = {"hash": "abc"}
        path.write_text(json.dumps(entries))
        return folder

    return once("baseline-sides", make)


@pytest.fixture(scope="session")
def against(sides, tmp_path_factory):
    """The folder of the card."""
    folder = tmp_path_factory.mktemp("against")
    base = sides / "base"
    call("export", sides / "remedy", "--to", "card", "--baseline", base, "-o", folder)
    return folder


@pytest.fixture(scope="session")
def card(against):
    return (against / "card-tiny-mdlm-adapted.md").read_text()


def test_the_table_is_the_comparisons(sides, card):
    ((one,), _) = compare(sides / "base", sides / "remedy")
    table = pd.concat(one.tables.values())
    lines = [line.split(" | ") for line in card.partition("### Masks")[0].splitlines()]
    rows = [cells for cells in lines if cells[0].startswith("| ")][2:]
    assert len(rows) == len(table) > 10
    for cells, row in zip(rows, table.to_dict("records"), strict=True):
        assert cells[0] == f"| {row['measure']}"
        assert cells[2:4] == [number(row["a"]), number(row["b"])]
        ends = interval(row["difference_low"], row["difference_high"])
        shown = number(row["difference"]) + ("" if ends == "-" else f" ({ends})")
        assert cells[4:6] == [shown, number(row["p_holm"])]
        assert cells[7] == f"{row['n']} |"


def test_one_sentence_says_the_main_difference(sides, card):
    ((one,), _) = compare(sides / "base", sides / "remedy")
    row = next(iter(one.tables.values())).iloc[0]
    sentence = next(line for line in card.splitlines() if line.startswith("Over the same"))
    assert "64 items, accuracy (points) is 100.000 with tiny-mdlm-adapted" in sentence
    assert f"a difference of {number(row['difference'])} (" in sentence
    assert "of 5 measures over whole sweeps, 0 are better and 0 worse" in sentence


def test_the_figure_is_linked_and_there(against, card):
    (name,) = re.findall(r"!\[.*\]\((.*)\)", card)
    assert (against / name).read_bytes().startswith(b"\x89PNG")
    assert ModelCard(card).data.eval_results


@pytest.mark.slow
def test_the_remedys_costs_are_its_trainings(sides, card, tmp_path):
    assert "Costs of the remedy: sft took 3 steps, 42 tokens through the network" in card
    assert "2.5 s of training" in card
    reference.run(tmp_path / "run", "masks", "tiny-mdlm-adapted")
    words = ["export", tmp_path / "run", "--to", "card", "--baseline", sides / "base"]
    call(*words)
    text = (tmp_path / "run/export/card-tiny-mdlm-adapted.md").read_text()
    assert "no adapter was used" in text
    told = json.loads((sides / "remedy" / "run.json").read_text())
    next(iter(told.values()))["model"]["adapter"]["hash"] = "trained anew since"
    (tmp_path / "run" / "run.json").write_text(json.dumps(told))
    call(*words, "-o", tmp_path / "again")
    text = (tmp_path / "again/card-tiny-mdlm-adapted.md").read_text()
    assert "trained elsewhere: lora has no record here" in text


@pytest.mark.slow
def test_a_baseline_in_the_same_folder_is_a_models_csv(sides, tmp_path):
    folder = reference.run(tmp_path / "run", "masks", "tiny-mdlm", "tiny-mdlm-adapted")
    words = ["export", folder, "--to", "card", "-o", tmp_path / "out", "--baseline"]
    said = call(*words, folder, code=1).output
    assert "name a model's CSV" in said
    call(*words, folder / "masks__tiny-mdlm.csv")
    texts = {p.name: p.read_text() for p in (tmp_path / "out").glob("*.md")}
    assert "### Against tiny-mdlm\n" in texts["card-tiny-mdlm-adapted.md"]
    assert "### Against" not in texts["card-tiny-mdlm.md"]


@pytest.mark.slow
def test_what_was_measured_otherwise_is_refused_unless_asked_for(sides, tmp_path):
    folder = reference.run(tmp_path / "run", "masks", "tiny-mdlm")
    entries = json.loads((folder / "run.json").read_text())
    next(iter(entries.values()))["config"]["options"]["seed"] = 1
    (folder / "run.json").write_text(json.dumps(entries))
    words = ["export", sides / "remedy", "--to", "card", "-o", tmp_path, "--baseline", folder]
    assert "options.seed: 1 -> 0" in call(*words, code=1).output
    assert "wrote" in call(*words, "--across", "options.seed").output


def test_a_baseline_without_the_cards_probe_is_named(sides, tmp_path):
    base = tmp_path / "base"
    reference.run(base, "locality", "tiny-mdlm")
    refused = call("export", sides / "remedy", "--to", "card", "--baseline", base, code=1).output
    assert f"--baseline {base} has no rows of masks" in " ".join(refused.split())
    assert "--model" not in refused, "that's an option of compare"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "latex", "--baseline", "x"], "--to card"),
        (["--to", "latex", "--push", "a/b"], "--to card"),
        (["--to", "card", "--across", "seed"], "--baseline RUN"),
    ],
)
def test_options_of_cards_need_a_card(sides, words, said):
    assert said in call("export", sides / "remedy", *words, code=1).output
