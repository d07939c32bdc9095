"""The joint probe: its cells, calibration on the oracle, a broken one found, refusals."""

import json
from functools import cache

import numpy as np
import pytest
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.columns import names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.prompts import texts, toy_language
from mdlm_probe.runs import plan, runner
from mdlm_probe.runs.rough_border import RoughBorder

SMALL = {"lexicon": "small", "limit": 1}
FEW = {**SMALL, "length": 8, "budget": (1, 2, 8), "masks": 8, "spacing": (1, 4), "anchors": 2}


class Sharpened:
    """An oracle with a planted fault: every marginal is too sure of itself."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.__dict__ |= {k: getattr(oracle, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}

    def states(self, *args):
        return self.oracle.states(*args)

    def logprobs(self, states):
        return (1.3 * self.oracle.logprobs(states)).log_softmax(-1)


@cache
def loaded(model):
    return models.load(models.resolve(model))


def rows(model, broken=None, **options):
    found = loaded(model)
    engine = Engine(broken(found) if broken else found, batch_tokens=8192)
    cells = joint.plan(**{**FEW, **options})
    found = list(joint.measure(engine, cells))
    assert [cell for cell, _ in found] == cells
    own = {kind.name: set(names(kind.columns)) for kind in joint.OBSERVATIONS}
    assert [[*part] for _, part in found] == [[cell.measure] for cell in cells]
    assert all(set(row) == own[kind] for _, part in found for kind in part for row in part[kind])
    return [(cell, row) for cell, part in found for row in part[cell.measure]]


# ---------------------------------------------------------------------- plans


def test_defaults_are_the_issues():
    cells = joint.plan()
    assert list(dict.fromkeys(c.measure for c in cells)) == ["pairs", "sets", "orders", "budget"]
    pair = cells[0]
    assert (pair.spacing, pair.candidates, pair.layout, pair.outcome) == (
        "1 2 4 8",
        32,
        "appended",
        "top",
    )
    tasks = {c.task for c in cells} - {"sets"}
    assert tasks == {"prose", "question", "code", "arithmetic"}
    orders = [c.reveal_order for c in cells if c.measure == "orders"][:7]
    assert orders[:3] == ["left_to_right", "right_to_left", "low_confidence"]
    assert orders[3:] == [f"random-{n}" for n in (1, 2, 3, 4)]
    assert [c.at_once for c in cells if c.measure == "budget"][:6] == [1, 2, 4, 8, 16, 32]
    assert sum(c.measure == "orders" for c in cells) == 7 * 25 * 4


def test_one_a_step_is_always_asked():
    cells = joint.plan(**SMALL, measure=("budget",), budget=(4, 2), length=4)
    assert [c.at_once for c in cells] == [1, 2, 4] * 2


def test_all_that_is_asked_of_a_prompt_stands_together():
    cells = joint.plan(lexicon="small", limit=2, measure=("budget", "orders"))
    places = [(c.measure, c.prompt) for c in cells]
    assert places == sorted(places, key=list(dict.fromkeys(places)).index)


# ---------------------------------------------------------------------- the oracle


@pytest.mark.slow
def test_the_oracle_has_one_joint():
    found = rows("oracle", measure=("pairs", "orders"), length=16)
    pairs = [row["circulation"] for cell, row in found if cell.measure == "pairs"]
    assert len(pairs) == 2 * 2 * 2
    assert pairs == pytest.approx([0] * len(pairs), abs=1e-5)
    by_text = {}
    for cell, row in found:
        if cell.measure == "orders":
            assert row["text_tokens"] == 16
            by_text.setdefault(cell.prompt, []).append(row["logp"])
    oracle = loaded("oracle")
    for text in (t for t in texts.load("decay", "small") if t.id in by_text):
        prompt = oracle.border.encode(text.prompt)
        whole = prompt + oracle.border.pieces(text.continuation)[:16]
        exact = oracle.log_likelihood(whole) - oracle.log_likelihood(prompt)
        assert by_text[text.id] == pytest.approx([exact] * 7, abs=1e-4)
        assert np.ptp(by_text[text.id]) / 16 < 1e-5


@pytest.mark.slow
def test_a_broken_oracle_is_found():
    found = rows("oracle", Sharpened, measure=("pairs", "orders"))
    turns = [abs(row["circulation"]) for cell, row in found if cell.measure == "pairs"]
    assert np.mean(turns) > 1e-3
    logps = {}
    for cell, row in found:
        if cell.measure == "orders":
            logps.setdefault(cell.prompt, []).append(row["logp"])
    assert max(np.ptp(values) for values in logps.values()) / 8 > 1e-2


def test_parallel_steps_mix_the_oracles_pairs_as_its_shares_say():
    """After an adjective comes a pair, by Zipf's shares: two independent draws agree by sum s^2."""
    (row,) = [row for cell, row in rows("oracle", measure=("sets",)) if cell.prompt == "adjective"]
    share = toy_language.zipf(24)
    assert row["set_pairs"] == 24
    assert row["incoherent_parallel"] == pytest.approx(1 - (share**2).sum(), abs=1e-4)
    assert row["incoherent_sequential"] < 1e-5


def test_steps_of_one_write_what_they_saw():
    found = rows("tiny-mdlm", measure=("budget",))
    for cell, row in found:
        assert row["steps"] == -(-8 // cell.at_once)
        if cell.at_once == 1:
            assert row["logp"] == pytest.approx(row["logp_steps"], abs=1e-3)
        assert row["written"].strip()
    assert any(abs(row["logp"] - row["logp_steps"]) > 0.1 for _, row in found)


@pytest.mark.slow
def test_rows_do_not_depend_on_their_company():
    together = rows("tiny-mdlm", measure=("budget", "orders", "pairs"))
    engine = Engine(loaded("tiny-mdlm"), batch_tokens=200)
    for cell, row in together[::7]:
        ((_, part),) = joint.measure(engine, [cell])
        named = [(n, row[n]) for n in ("masks_before", "pair_distance") if n in row]
        (same,) = [r for r in part[cell.measure] if all(r[n] == value for n, value in named)]
        for name, value in row.items():
            if isinstance(value, float):
                assert same[name] == pytest.approx(value, abs=2e-4), name
            else:
                assert same[name] == value


# ---------------------------------------------------------------------- counting


@pytest.mark.slow
def test_a_dry_run_takes_the_queries_that_an_engine_would():
    entry = models.resolve("tiny-mdlm")
    cells = joint.plan(**FEW)
    engine = Engine(loaded("tiny-mdlm"), batch_tokens=8192)
    for _ in joint.measure(engine, cells):
        pass
    counter = DryRun(entry, models.load_border(entry))
    assert [cell for cell, _ in joint.measure(counter, cells)] == cells
    assert sum(counter.lengths) == pytest.approx(engine.tokens, rel=0.05)


@pytest.mark.parametrize(
    "options", [{}, {"canvas": "holes"}, {"outcome": "true"}, {"measure": ("sets", "pairs")}]
)
def test_an_estimate_needs_no_tokenizer(options):
    entry = models.resolve("llada-8b")
    counter = DryRun(entry, RoughBorder(entry))
    cells = joint.plan(**{**FEW, "lexicon": "full", **options})
    assert [cell for cell, _ in joint.measure(counter, cells)] == cells
    assert counter.asked > 100


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "--limit has 0"),
        ({"masks": 0}, "--masks has 0"),
        ({"masks": 1}, "--masks has 1\nexpected: 2 or more"),
        ({"spacing": (1, 1)}, "--spacing names a value twice"),
        ({"spacing": (0,)}, "--spacing has 0"),
        ({"spacing": (16,)}, "--spacing has 16\nexpected: at most 15, as --masks leaves"),
        ({"budget": (2, 64)}, "--budget has 64\nexpected: at most 32, as --length leaves"),
        ({"budget": (-1,)}, "--budget has -1"),
        ({"budget_eps": -0.5}, "--budget-eps has -0.5"),
        ({"random": -1}, "--random has -1"),
        ({"length": 0, "measure": ("orders",)}, "--length has 0"),
        ({"length": 0, "measure": ("budget",)}, "--length has 0"),
        ({"budget": (2, 2)}, "--budget names a value twice"),
        ({"spacing": (8,), "masks": 4}, "--spacing has 8\nexpected: at most 3"),
        ({"top": 0}, "--top has 0"),
        ({"measure": ("sets", "sets")}, "--measure names a value twice"),
        ({"orders": ("low_confidence", "low_confidence")}, "--orders names a value twice"),
        ({"tasks": ("poetry",)}, "unknown task 'poetry'"),
        ({"prompts": "nowhere"}, "no prompts named 'nowhere'"),
        ({"pairs": "nowhere"}, "no pairs named 'nowhere'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        joint.plan(**options)


@pytest.mark.parametrize(
    ("measure", "others"),
    [
        ("pairs", {"length": 0, "budget": (64,), "random": -1, "budget_eps": -1.0}),
        ("sets", {"masks": 1, "spacing": (64,), "length": 0, "budget": (64,), "limit": 0}),
        ("orders", {"length": 8, "budget": (64,), "masks": 1, "spacing": (0,), "top": 0}),
        ("budget", {"length": 8, "spacing": (64,), "eps": 0.0, "random": -1, "anchors": 0}),
    ],
)
def test_only_the_asked_measures_options_are_checked(measure, others):
    assert joint.plan(lexicon="small", measure=(measure,), **others)


def test_usual_numbers_are_trimmed_to_what_fits():
    cells = joint.plan(**SMALL, measure=("budget",), length=5)
    assert [c.at_once for c in cells] == [1, 2, 4] * 2
    cells = joint.plan(**SMALL, measure=("pairs",), masks=4)
    assert {c.spacing for c in cells} == {"1 2"}
    cells = joint.plan(**SMALL, measure=("pairs",), masks=16, spacing=(15, 3))
    assert {c.spacing for c in cells} == {"3 15"}


def test_one_short_continuation_stops_no_run(tmp_path):
    path = tmp_path / "own.jsonl"
    texts = {"long": " kept the copper kettle near the iron gate .", "short": " kept the gate"}
    lines = [{"prompt": " the old king", "continuation": t, "id": n} for n, t in texts.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = {"prompts": str(path), "measure": ("pairs",), "canvas": "holes", "limit": 2}
    gaps = {}
    for cell, row in rows("tiny-mdlm", **options, spacing=(1, 4), top=4):
        gaps.setdefault(cell.prompt, set()).add(row["pair_distance"])
    assert gaps == {"long": {1, 4}, "short": {1}}
    with pytest.raises(ProbeError, match=r"prompt 'short' has 3 tokens.*\n.*\nhint: --spacing 2"):
        rows("tiny-mdlm", **options, spacing=(4,), top=4)


def test_prompts_without_continuation_are_refused_where_one_is_needed(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"prompt": " the old king", "id": "k"}) + "\n")
    free = joint.plan(prompts=str(path), measure=("pairs", "budget"))
    assert {c.prompt for c in free} == {"k"}
    for options in ({"measure": ("orders",)}, {"canvas": "holes"}, {"outcome": "true"}):
        with pytest.raises(ProbeError, match="no continuation, such as 'k'"):
            joint.plan(prompts=str(path), **{"measure": ("pairs",), **options})


def test_a_malformed_pair_set_is_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("lexicons:\n  full:\n    x:\n      text: only {a} here\n      pairs: []\n")
    with pytest.raises(ProbeError, match=r"own.yaml, line 4.*\{b\} stands 0 times"):
        joint.plan(pairs=str(path), measure=("sets",))


def test_a_shifted_model_is_not_asked_for_the_first_token(tmp_path):
    path = tmp_path / "own.yaml"
    pairs = "[[I, me], [you, you]]"
    path.write_text(
        f"lexicons:\n  full:\n    x: {{text: '{{a}} saw {{b}}', pairs: {pairs}}}\n"
        f"    y: {{text: 'Then {{a}} saw {{b}}', pairs: {pairs}}}\n"
    )
    first, second = joint.plan(pairs=str(path), measure=("sets",))
    assert "'x' begins with a slot" in joint.refuse(first, models.resolve("dream-7b"))
    assert not joint.refuse(second, models.resolve("dream-7b"))
    assert not joint.refuse(first, models.resolve("llada-8b"))


def test_what_cannot_be_asked_is_said_before_the_model_is_loaded(tmp_path, monkeypatch):
    def loaded(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(models, "load", loaded)
    options = {"measure": ("budget",), "length": 2000, "limit": 1, "lexicon": "small"}
    job = plan.Job("joint", "tiny-mdlm", options, output=tmp_path)
    with pytest.raises(ProbeError, match=r"prompt 'prose-01' has .* tokens: with 2000 masks"):
        runner.run(plan.prepare(job), Silent())


def test_causal_models_are_refused():
    with pytest.raises(ProbeError, match="'joint' is not for causal models"):
        plan.prepare(plan.Job("joint", "tiny-arlm"))
