"""Presets: what the file says can be decoded, whose it is, and who goes before whom."""

import inspect

import pytest
from dense_checkpoints import BLOCK_SIZES, write_dense

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import recorded
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.decoding import presets
from mdlm_probe.decoding.rules import RuleSettings
from mdlm_probe.decoding.schedule import Schedule, check, kept, unfit
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.prompts import shipped
from mdlm_probe.runs import generate
from mdlm_probe.runs.plan import Job, prepare

KNOWN = Document(shipped.folder() / presets.FILE).data
USUAL = {name: p.default for name, p in inspect.signature(generate.plan).parameters.items()}
OWN = {
    "sdar-8b": "sdar",
    "trado-4b": "sdar",
    "dreamreasoner-8b": "dream-reasoner",
    "stable-diffcoder-8b-instruct": "stable-diffcoder",
    "fast-dllm-v2-7b": "fast-dllm-v2",
    "a2d-0.6b-bd3lm": "a2d-bd3lm",
    "llada-8b-instruct": None,
    "dream-7b": None,
    "llama3-8b": None,
}
"""What `auto` comes to, for any text."""


@pytest.mark.parametrize("name", KNOWN)
def test_every_preset_is_a_schedule_of_its_models(name):
    """By generate's own checks, for every model of the registry that it is for."""
    settings = KNOWN[name]["settings"]
    length = settings.get("length", 256)
    block, steps = settings.get("block", 0), settings.get("steps", length)
    scalars = {n: v for n, v in settings.items() if n in ("order", "threshold", "eos")}
    temperature = settings.get("temperature", 0.0)
    rules = RuleSettings.of(settings)
    schedule = Schedule(steps, block, temperature=temperature, **scalars, rule_settings=rules)
    check(length, schedule)
    theirs = [
        entry
        for entry in models.registry().values()
        if entry.name in KNOWN[name]["models"] or entry.family in KNOWN[name].get("families", ())
    ]
    for entry in theirs:
        assert entry.kind == "masked"
        assert unfit(block, "none", entry) == ""
        found = presets.options_for(entry, USUAL, {"preset": name})
        assert found["preset"] == name
        assert found.items() >= settings.items()
    assert KNOWN[name]["source"]


@pytest.mark.parametrize(("model", "preset"), OWN.items())
def test_auto_is_the_models_own_and_changes_nobody_elses(model, preset):
    entry = models.resolve(model)
    found = presets.options_for(entry, USUAL, {})
    if preset is None:
        assert found == {}
        assert presets.preset_of("auto", entry) is None
        return
    assert found["preset"] == preset
    assert entry.block % found["block"] == 0
    assert found == {"block": entry.block, **KNOWN[preset]["settings"], "preset": preset}


def test_the_user_goes_before_the_preset_and_a_shorter_canvas_cuts_it():
    entry = models.resolve("llada-8b")
    given = {"preset": "llada-generate", "temperature": 0.5, "length": 16}
    found = presets.options_for(entry, USUAL, given)
    assert found == {
        "preset": "llada-generate",
        "steps": 16,
        "block": 16,
        "order": "low_confidence",
    }
    with pytest.raises(ProbeError, match="unknown preset"):
        presets.options_for(entry, USUAL, {"preset": "llada"})


def test_none_leaves_a_block_causal_model_its_block_alone():
    entry = models.resolve("sdar-8b")
    assert presets.options_for(entry, USUAL, {"preset": "none"}) == {"block": 4}
    assert presets.options_for(models.resolve("llada-8b"), USUAL, {"preset": "none"}) == {}


def test_what_a_probe_varies_by_default_stays_varied():
    entry = models.resolve("sdar-8b")
    plans = {name: catalog.load("probe", name).plan for name in ("blocks", "cache", "shift")}
    usual = {
        name: {n: p.default for n, p in inspect.signature(plan).parameters.items()}
        for name, plan in plans.items()
    }
    dynamic = {"order": "low_confidence_dynamic", "threshold": 0.9, "temperature": 1.0}
    blocks = presets.options_for(entry, usual["blocks"], {})
    assert blocks == {"threshold": 0.9, "temperature": 1.0, "preset": "sdar"}
    named = presets.options_for(entry, usual["blocks"], {"preset": "sdar"})
    assert (named["order"], named["block"]) == (("low_confidence_dynamic",), (4,))
    assert presets.options_for(entry, usual["cache"], {}) == {
        **dynamic,
        "block": (4,),
        "preset": "sdar",
    }
    assert presets.options_for(entry, usual["shift"], {}) == {
        **dynamic,
        "block": 4,
        "preset": "sdar",
    }


def test_a_probe_without_presets_has_none():
    plan = catalog.load("probe", "masks").plan
    usual = {n: p.default for n, p in inspect.signature(plan).parameters.items()}
    assert presets.options_for(models.resolve("sdar-8b"), usual, {}) == {}


def test_folders_have_their_familys_preset(tmp_path):
    for name, preset in (("sdar", "sdar"), ("fast_dllm", "fast-dllm-v2"), ("a2d-bd3lm", None)):
        folder = write_dense(tmp_path / name, name)
        entry = models.entry_for(str(folder), LoadOptions(block_size=BLOCK_SIZES.get(name)))
        found = presets.options_for(entry, USUAL, {})
        assert found.get("preset") == preset
        assert found["block"] == 4, "no larger than its own"


@pytest.mark.parametrize("probe", ["shift", "blocks", "cache"])
def test_options_added_later_are_recorded_where_they_are_chosen(probe):
    """So that runs which began before there were any resume: their run.json has none of these."""
    new = {
        *("top_p", "top_k", "alg_temp", "eps", "factor", "entropy_bound", "last_block", "preset"),
    }
    plan = prepare(Job(probe, "tiny-mdlm", {"length": (16,) if probe == "blocks" else 16}))
    assert not new & plan.config["options"].keys()
    assert new <= plan.options.keys()
    cells = {cell.order for cell in plan.cells}
    assert all(" " not in order for order in cells)
    length = (16,) if probe == "blocks" else 16
    given = {"length": length, "top_p": 0.9, "preset": "none"}
    plan = prepare(Job(probe, "tiny-mdlm", given))
    assert plan.config["options"].items() >= {"top_p": 0.9, "preset": "none"}.items()
    assert {cell.order.split()[1] for cell in plan.cells} == {"top_p=0.9"}
    found = plan.cells[0]
    schedule = found.schedule() if hasattr(found, "schedule") else None
    assert schedule is None or schedule.rule_settings == RuleSettings(top_p=0.9)


def test_generate_records_what_was_chosen():
    options = USUAL | {"edit_threshold": 0.5}
    found = recorded(generate.plan, options)
    assert found["edit_threshold"] == 0.5
    assert {"top_p", "preset"} & found.keys() == set()
    assert found.keys() >= {"length", "order", "threshold"}


def test_what_is_kept_anyhow_is_said():
    entry = models.resolve("sdar-8b")
    assert kept({"cache": "none"}, entry) == {"kv_cache": "finished blocks, exact"}
    assert kept({"cache": "none", "guidance": 1.0}, entry) == {}
    assert kept({}, entry) == {}
    assert kept({"cache": "none"}, models.resolve("oracle-block")) == {}
    assert kept({"cache": "none"}, models.resolve("tiny-mdlm")) == {}


@pytest.mark.parametrize("name", KNOWN)
def test_the_documentation_has_every_preset_with_its_settings(name):
    page = (shipped.folder().parent / "docs" / "decoding.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    said = ", ".join(f"{key} {value}" for key, value in KNOWN[name]["settings"].items())
    assert line.endswith(f"| {said} |")
    for model in KNOWN[name]["models"]:
        assert model in line
        assert model in models.registry()
