"""The model card: every number with its masks, and equal to the report's tables."""

import json
import re
import shlex

import made_runs
import pandas as pd
import pytest
import yaml
from commands import call
from huggingface_hub import ModelCard

from mdlm_probe.analysis.model_card import CardNumber, Ends
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.probes.locality import card as card_locality
from mdlm_probe.probes.masks import card as card_masks
from mdlm_probe.probes.masks import report as masks_report
from mdlm_probe.reports import exports, probe_report
from mdlm_probe.reports.exports import card_parts, provenance
from mdlm_probe.reports.exports.exported_run import ExportedRun
from mdlm_probe.reports.exports.formats.card import card as written_card

pytestmark = pytest.mark.usefixtures("reports_once")

ABOUT = card_parts.about(
    {"config": {"probe": "masks", "model": "m", "options": {}}}, "task", {"shots": 10}
)


@pytest.fixture
def card(exported):
    (path,) = exported.glob("card-*.md")  # a causal model has none
    assert path.name == "card-tiny-mdlm.md"
    return path.read_text()


def results(card, probe):
    """The results of a probe as the Hub's own reader finds them in the metadata."""
    return [r for r in ModelCard(card).data.eval_results if r.dataset_config == probe]


def test_the_metadata_holds_the_reports_numbers_with_their_masks(made, card):
    curve = made["masks"].tables["curve"]
    curve = curve[(curve["model"] == "tiny-mdlm") & (curve["filler"] == "mask")]
    found = [r for r in results(card, "masks") if r.metric_type == "accuracy"]
    assert len(found) == len(curve) == 5
    for result, row in zip(found, curve.to_dict("records"), strict=True):
        assert result.metric_value == pytest.approx(row["accuracy"], abs=1e-6)
        facts = result.metric_args
        assert facts["masks_asked"] == row["amount"]
        assert facts["masks_appended"] == pytest.approx(row["appended"])
        assert facts["masks_in_prompt"] == pytest.approx(row["mask_tokens"])
        assert (facts["n"], facts["tasks"]) == (row["n"], row["tasks"])
        over = "tasks" if row["tasks_low"] == row["tasks_low"] else "items"
        assert facts["interval_over"] == over
        assert facts["low_95"] == pytest.approx(row[f"{over}_low"], abs=1e-6)
        assert facts["high_95"] == pytest.approx(row[f"{over}_high"], abs=1e-6)
        assert "masks appended" in result.metric_name
        assert result.dataset_args["numbers"] == "float32, not quantised, on cpu"


def test_the_drop_and_the_degradation_are_the_reports(made, card):
    drop = made["masks"].tables["drop"]
    (row,) = drop[(drop["model"] == "tiny-mdlm") & (drop["filler"] == "mask")].to_dict("records")
    found = {r.metric_type: r for r in results(card, "masks")}
    points, relative = found["accuracy_drop_points"], found["degradation"]
    assert points.metric_value == pytest.approx(row["from_start_points"], abs=1e-6)
    assert relative.metric_value == pytest.approx(row["degradation"], abs=1e-6)
    assert points.metric_args["masks_from"] == "0"
    assert points.metric_args["masks_to"].startswith("50% = ")


def test_locality_says_the_masks_of_every_position(made, card):
    table = made["locality"].tables["accuracy"]
    found = [r for r in results(card, "locality") if r.metric_type == "accuracy"]
    assert len(found) == len(table)
    own = {
        (r.metric_args["masks_asked"], r.metric_args["position"], r.dataset_args["question"]): r
        for r in found
    }
    for row in table.to_dict("records"):
        result = own[row["question_masks"], row["position"], row["question"]]
        assert result.metric_value == pytest.approx(row["accuracy"], abs=1e-6)
        assert result.metric_args["masks_in_prompt"] == (7 if row["question_masks"] else 1)
    index = made["locality"].tables["index"]
    found = [r for r in results(card, "locality") if r.metric_type == "locality_index"]
    assert sorted(r.metric_value for r in found) == pytest.approx(sorted(index["index"]), abs=1e-6)


def test_the_text_states_accuracy_interval_masks_controls_and_setting(made, card):
    text = card.partition("---\n\n")[2]
    curve = made["masks"].tables["curve"]
    curve = curve[(curve["model"] == "tiny-mdlm") & (curve["filler"] == "mask")]
    for row in curve.to_dict("records"):
        shown = re.search(
            rf"\| 1 \| none \| {re.escape(row['amount'])}( = [\d.]+)? "
            rf"\| {row['mask_tokens']:g} \| {row['accuracy']:.3f} \| ([^|]+) \| {row['n']} \|",
            text,
        )
        assert shown, row
        over = "tasks" if row["tasks_low"] == row["tasks_low"] else "items"
        ends = f"{row[f'{over}_low']:.3f} to {row[f'{over}_high']:.3f}"
        assert shown[2].removesuffix(f" over {over}") == ends
        assert shown[2] != ends or f"| 95 % over {over} |" in text
    (control,) = set(made["masks"].tables["controls"]["control"])
    assert re.search(rf"\| 50 \| {control} \| -?\d+\.\d{{3}}", text)  # minus as much of it
    for said in ("2511.21338", "Degradation", "suite: few-shot", "tool: mdlm-probe", "float32"):
        assert said in text


@pytest.mark.slow
def test_the_command_on_the_card_measures_the_same(run, card, monkeypatch):
    """The same configuration finds the run finished; another would be refused."""
    monkeypatch.setattr(probe_report, "save", lambda *_: [])  # the run is others', too
    for probe in ("masks", "locality"):
        (line,) = re.findall(rf"```sh\nmdlm-probe ({probe} .*)\n```", card)
        assert "nothing to do" in call(*shlex.split(line), "--output", run).output
    words = [*shlex.split(line), "--seed", "1", "--output", run]
    assert "another configuration" in call(*words, code=1).output


def test_commands_spell_what_differs_from_the_defaults():
    load = {"dtype": "bfloat16", "device": "auto", "revision": "main", "quantize": "4bit"}
    options = {"masks": ["0", "5%"], "limit": 1000, "tasks": ["all"], "shots": [], "answer": None}
    config = {"probe": "masks", "model": "my model", "source": "/a b", "load": load}
    entry = {"config": config | {"options": options}}
    said = "mdlm-probe masks --model '/a b' --dtype bfloat16 --quantize 4bit --masks 0,5%"
    assert provenance.command(entry) == said
    entry["model"] = {"entry": {"defaults": {"masks": {"limit": 10}}}}  # it may change: spelled
    assert "--limit 1000" in provenance.command(entry)
    assert provenance.numbers(entry) == "unknown, quantised to 4bit, on unknown"


@pytest.mark.slow
def test_without_masks_the_error_says_which_command_makes_them(run, tmp_path):
    row = {"model": "m", "set": "a", "item": 0, "distractors": 4, "shots": 2, "question": "right"}
    row |= {"question_masks": 0, "options": 3, "correct": 1, "logp_right": -0.1}
    rows = [row | {"position": position, "item": i} for position in (0, 4) for i in range(2)]
    made_runs.written(tmp_path / "run", "locality", rows)
    path = tmp_path / "run" / "run.json"
    entries = json.loads(path.read_text())
    entries["locality__m"]["model"] = {"kind": "masked"}
    path.write_text(json.dumps(entries))
    said = call("export", tmp_path / "run", "--to", "card", code=1).output
    assert "mdlm-probe masks --model MODEL" in said
    assert not (tmp_path / "run" / "export").exists()
    more = call("export", tmp_path / "run", "--to", "card,latex", "-o", tmp_path / "two").output
    assert "no card: no masked model was measured" in more
    assert "mdlm-probe masks --model MODEL" in more
    assert (tmp_path / "two" / "locality-accuracy.tex").exists()
    causal = call("export", run, "--to", "card", "--probe", "locality", "-o", tmp_path).output
    assert "card-tiny-mdlm.md" in causal


def curve(*tasks_low):
    """A curve of masks of several numbers, the intervals over tasks beginning here."""
    row = {"shots": 2, "distractors": 4, "side": "right", "steps": 1, "order": "none", "n": 9}
    row |= {"accuracy": 1.0, "items_low": 0.7, "items_high": 1.0, "tasks_high": 1.0, "tasks": 3}
    amounts = enumerate(tasks_low)
    rows = [
        row | {"amount": f"{i}", "appended": i, "mask_tokens": i + 1, "x": x} for i, x in amounts
    ]
    table = pd.DataFrame(rows).rename(columns={"x": "tasks_low"})
    return table.assign(tasks_high=table["tasks_high"].where(table["tasks_low"].notna()))


def test_where_tasks_tell_no_interval_there_is_one_over_items_that_says_so():
    nan = float("nan")
    heads, rule, first, second = card_masks._accuracy(curve(0.6, nan))[:4]
    assert heads.split(" | ")[8] == "95 %"
    assert first.split(" | ")[8] == "0.600 to 1.000 over tasks"
    assert second.split(" | ")[8] == "0.700 to 1.000 over items"
    found = [
        card_parts.result(ABOUT, n) for n in card_masks._numbers(curve(0.6, nan), pd.DataFrame())
    ]
    assert [(r.metric_args["interval_over"], r.metric_args["low_95"]) for r in found] == [
        ("tasks", 0.6),
        ("items", 0.7),
    ]
    for lows, over in (((nan, nan), "items"), ((0.6, 0.5), "tasks")):
        heads, rule, first, _ = card_masks._accuracy(curve(*lows))[:4]
        assert heads.split(" | ")[8] == f"95 % over {over}"
        assert "over" not in first
    assert rule == "| ---: | ---: | :--- | ---: | :--- | ---: | ---: | ---: | ---: | ---: | :--- |"


def test_locality_falls_back_on_items_too():
    nan = float("nan")
    row = {"question": "right", "position": 0, "index": 1.0, "accuracy": 1.0, "n": 9, "tasks": 2}
    row |= {"items_low": 0.7, "items_high": 1.0, "tasks_high": 1.0, "tasks_p": 0.5}
    table = pd.DataFrame(
        [
            row | {"question_masks": 0, "tasks_low": 0.5},
            row | {"question_masks": 7, "tasks_low": nan},
        ]
    )
    for lines in (card_locality._accuracy(table), card_locality._index(table)):
        text = "\n".join(lines)
        assert "1.000 (0.500 to 1.000) over tasks |" in text
        assert "1.000 (0.700 to 1.000) over items |" in text
        assert "Intervals are over" not in text
        assert lines[1].startswith("| :--- | ")
    text = "\n".join(card_locality._index(table[1:]))
    assert "1.000 (0.700 to 1.000) |" in text
    assert "Intervals are over items." in text
    found = [card_parts.result(ABOUT, one) for one in card_locality._numbers(table, table)]
    assert [one.metric_args["interval_over"] for one in found] == ["tasks", "items"] * 2


def test_a_number_without_an_interval_has_none_in_the_metadata():
    nothing = Ends(float("nan"), float("nan"), "tasks")
    one = CardNumber("x", "accuracy", 0.5, nothing, {"n": 1})
    assert card_parts.result(ABOUT, one).metric_args == {"n": 1}


@pytest.mark.parametrize(
    ("model", "load", "said"),
    [
        ({"weight_hash": "abc"}, {"revision": "main"}, "- checkpoint: s, weights abc"),
        ({"commit": "c0ffee"}, {"revision": "main"}, "- checkpoint: s, revision c0ffee, weights"),
        ({}, {"revision": "v2"}, "- checkpoint: s, revision v2, weights unknown"),
    ],
)
def test_a_revision_is_said_where_there_is_one(model, load, said):
    config = {"probe": "masks", "model": "m", "source": "s", "load": load, "options": {}}
    lines = card_parts.facts_of({"config": config, "model": model}, {})
    assert [line for line in lines if line.startswith(said)]


def test_steps_and_orders_are_results_of_their_own():
    """Hand-made rows: two orders with different accuracies at 10 masks."""
    base = {
        "model": "m",
        "suite": "s",
        "shots": 10,
        "distractors": 40,
        "entropy": 1.0,
        "answer_step": 1,
    }
    base |= {"top1_prob": 0.5, "logp_right": -0.1}
    rows = []
    for name in ("a-x", "b-x"):
        for item in range(4):
            own = base | {"set": name, "item": item}
            none = {"filler": "none", "side": "none", "steps": 1, "order": "none", "amount": "0"}
            rows.append(own | none | {"correct": 1, "appended": 0, "mask_tokens": 1})
            for steps, order, hits in ((1, "none", 2), (4, "random", 3)):
                tail = {"filler": "mask", "side": "right", "steps": steps, "order": order}
                tail |= {"amount": "10", "appended": 10, "mask_tokens": 11}
                rows.append(own | tail | {"correct": int(item < hits)})
    frame = pd.DataFrame(rows)
    made = probe_report.ProbeReport(frame, masks_report.tables(frame), dict, ())
    entry = {"status": "started", "config": {"probe": "masks", "model": "m", "options": {}}}
    section = card_masks.section(made.tables, "m")
    part = card_parts.card_part(ExportedRun("", None, {}, {"masks": made}), entry, section)
    settings = [
        {(r.dataset_args["steps"], r.dataset_args["order"]) for r in s} for s in part.results
    ]
    assert settings == [{(1, "none")}, {(4, "random")}]
    values = [[r.metric_value for r in s if r.metric_type == "accuracy"] for s in part.results]
    assert values == [[1.0, 0.5], [1.0, 0.75]]
    kind = "accuracy_drop_points"
    assert [[r.metric_value for r in s if r.metric_type == kind] for s in part.results] == [
        [50],
        [25],
    ]
    head = written_card("m", [part]).split("---\n")[1]
    (index,) = yaml.safe_load(head)["model-index"]
    written = [
        (r["dataset"]["args"]["steps"], r["dataset"]["args"]["order"]) for r in index["results"]
    ]
    assert written == [(1, "none"), (4, "random")]
    assert [len(r["metrics"]) for r in index["results"]] == [len(s) for s in part.results]
    assert "unfinished" in part.text
    assert "No other filler was measured" in part.text


@pytest.mark.slow
def test_a_study_has_one_card_a_model_with_each_runs_section(run, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).symlink_to(run)
    said = call("export", tmp_path, "--to", "card,parquet", "--probe", "masks").output
    assert "export/second/masks-drop.parquet" in said
    text = (tmp_path / "export" / "card-tiny-mdlm.md").read_text()
    assert [f"### Masks after the question ({n})" in text for n in ("first", "second")] == [
        True
    ] * 2
    runs, _ = exports.load(tmp_path)
    assert [one.name for one in runs] == ["first", "second"]
    assert runs[0].entries == read_run(run)
