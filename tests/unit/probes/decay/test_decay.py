"""The decay probe: the prompts it asks, calibration on the oracle, a planted fault, bad input."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models.oracle import SMOOTHING, language
from mdlm_probe.probes.decay import probe as decay
from mdlm_probe.probes.decay import report, zipf_fit
from mdlm_probe.prompts.toy_language import prose
from mdlm_probe.runs import plan, runner

SMALL = {"lexicon": "small", "limit": 2, "masks": 48}


class Recorder(DryRun):
    """Keeps the queries that a probe asks."""

    queries = ()

    def ask(self, queries):
        self.queries = (*self.queries, *queries)
        return super().ask(queries)


def measured(model, **options):
    cells = decay.plan(**{**SMALL, **options})
    return list(decay.measure(Engine(model, batch_tokens=4096), cells))


@pytest.fixture(scope="module")
def oracle():
    return models.load(models.resolve("oracle"))


@pytest.fixture(scope="module")
def chain(oracle):
    """The oracle's language: initial, transition, and emission over the vocabulary."""
    hmm = language()
    emission = np.zeros((len(hmm.initial), oracle.vocab))
    emission[:, [oracle.border.token(t) for t in hmm.tokens]] = hmm.emission
    possible = np.arange(oracle.vocab) != oracle.entry.mask_id
    emission[:, possible] = (1 - SMOOTHING) * emission[:, possible] + SMOOTHING / possible.sum()
    return hmm.initial, hmm.transition.tocsr(), emission


def mixing(chain, ids, length):
    """Distributions 1..length tokens after a text: its states, times powers of the transition."""
    initial, transition, emission = chain
    state = initial
    for token in ids:
        state = state * emission[:, token]
        state = state / state.sum() @ transition
    found = []
    for _ in range(length):
        found.append(state @ emission)
        state = state @ transition
    return np.array(found)


def prompts_of(model, **options):
    recorder = Recorder(model.entry, model.border)
    cells = decay.plan(**{**SMALL, **options})
    assert [cell for cell, _ in decay.measure(recorder, cells)] == cells
    return recorder.queries[: len(cells)]  # then come those that they are compared with


@pytest.fixture(scope="module")
def asked(oracle):
    """Queries of the small prompts, and what is measured of the oracle by them."""
    return prompts_of(oracle), measured(oracle)


def of_kind(rows, kind):
    return rows.get(kind, [])


def column(rows, name):
    return np.array([row[name] for row in rows], dtype=float)


def test_defaults_are_the_issues():
    cells = decay.plan(lexicon="small", limit=1)
    assert {c.masks for c in cells} == {256}
    assert [c.task for c in cells] == ["prose", "question"]
    assert {(c.count, c.context, c.samples, c.lag) for c in cells} == {(100, "left", 0, 1)}


def test_the_curve_of_the_oracle_is_the_exact_mixing_curve(oracle, chain, asked):
    for query, (_, rows) in zip(*asked, strict=True):
        shares = mixing(chain, query.ids[:-48], 48)
        places = of_kind(rows, "places")
        assert column(places, "place").tolist() == column(places, "distance").tolist()
        assert column(places, "top1_prob") == pytest.approx(shares.max(1), abs=1e-5)
        exact = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1)
        assert column(places, "entropy") == pytest.approx(exact, abs=1e-3)
        tops = [row["top_id"] for row in places]
        assert shares[np.arange(48), tops] == pytest.approx(shares.max(1), abs=1e-5)
        assert [row["top"] for row in places] == [oracle.border.decode([t]) for t in tops]
        frequent, own, end = (list(readout.args) for readout in query.readouts[3:])
        assert 0 < len(frequent) <= 100
        assert set(own) == set(query.ids[:-48])
        assert end == list(oracle.entry.eos_ids)
        for name, ids in zip(
            ("frequent_mass", "prompt_mass", "end_mass"), (frequent, own, end), strict=True
        ):
            assert column(places, name) == pytest.approx(shares[:, ids].sum(1), abs=1e-5)


def test_divergences_of_the_oracle_are_the_exact_curves(chain, asked):
    for query, (_, rows) in zip(*asked, strict=True):
        shares = mixing(chain, query.ids[:-48], 48)
        pairs = of_kind(rows, "pairs")
        grid = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
        assert len(pairs) == len(grid) * (len(grid) - 1) // 2 + len(grid) - 4  # 1, 2, 3 and 48
        for row in pairs:
            p, q = shares[row["place"] - 1], shares[row["other_place"] - 1]
            assert row["tv"] == pytest.approx(abs(p - q).sum() / 2, abs=1e-5)
            middle = np.maximum((p + q) / 2, 1e-300)
            js = sum((x * np.log(np.maximum(x, 1e-300) / middle)).sum() / 2 for x in (p, q))
            assert row["js"] == pytest.approx(js, abs=1e-5)


def test_the_oracles_far_end_is_the_stationary_distribution(oracle):
    """Of prose: the left eigenvector of its transition matrix, through its emissions."""
    hmm = prose()
    values, vectors = np.linalg.eig(hmm.transition.toarray().T)
    state = np.real(vectors[:, np.argmin(abs(values - 1))])
    stationary = state / state.sum() @ hmm.emission
    by_token = dict(zip(hmm.tokens, stationary, strict=True))
    for _, rows in measured(oracle, tasks=("prose",), masks=160):
        tokens = of_kind(rows, "tokens")
        assert len(tokens) == 20
        for row in tokens:
            assert row["share"] == pytest.approx(by_token[row["token_text"]], abs=2e-5)
        assert column(tokens, "share").sum() == pytest.approx(
            np.sort(stationary)[-20:].sum(), abs=1e-4
        )
        (far,) = of_kind(rows, "far")
        assert far["top1_prob"] == pytest.approx(stationary.max(), abs=2e-5)
        assert far["js"] < 0.02  # the corpus was drawn from it
        late = [r["js"] for r in of_kind(rows, "pairs") if r["place"] >= 64]
        assert max(late) < 1e-6


class Sharpened:
    """An oracle with a planted fault: too sure of itself."""

    def __init__(self, oracle, power):
        self.oracle, self.power = oracle, power
        self.__dict__ |= {k: getattr(oracle, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}

    def states(self, *args):
        return self.oracle.states(*args)

    def logprobs(self, states):
        return (self.power * self.oracle.logprobs(states)).log_softmax(-1)


def test_a_sharpened_oracle_leaves_the_exact_curve(oracle, chain, asked):
    for query, (_, rows) in zip(asked[0], measured(Sharpened(oracle, 1.1)), strict=True):
        exact = mixing(chain, query.ids[:-48], 48).max(1)
        gap = column(of_kind(rows, "places"), "top1_prob") - exact
        assert gap.max() > 0.01


def js_of(p, q):
    """Jensen-Shannon divergence by its definition."""
    middle = np.maximum((p + q) / 2, 1e-300)
    return sum((x * np.log(np.maximum(x, 1e-300) / middle)).sum() / 2 for x in (p, q))


@pytest.mark.slow
def test_different_prompts_of_the_oracle_are_as_far_apart_as_their_exact_curves(oracle, chain):
    """Against the next prompt of the file, the first after the last; the same whoever is asked."""
    cells = decay.plan(**SMALL | {"tasks": ("prose",), "limit": 50})
    names = [cell.prompt for cell in cells]
    found = {
        name: mixing(chain, query.ids[:-48], 48)
        for name, query in zip(names, prompts_of(oracle, tasks=("prose",), limit=3), strict=False)
    }
    two = measured(oracle, tasks=("prose",))
    assert len(two) == 2
    for n, (_, rows) in enumerate(two):
        pairs = of_kind(rows, "prompts")
        assert [row["place"] for row in pairs] == [1, 4, 16, 24]
        assert {row["beside"] for row in pairs} == {names[n + 1]}
        for row in pairs:
            p, q = (found[names[i]][row["distance"] - 1] for i in (n, n + 1))
            assert row["js"] == pytest.approx(js_of(p, q), abs=1e-5)
            assert row["tv"] == pytest.approx(abs(p - q).sum() / 2, abs=1e-5)
        law = zipf_fit.ranked(found[names[n]][0])
        (row,) = of_kind(rows, "next-tokens")
        assert row["log_rank"] == pytest.approx(law.log_rank, abs=1e-4)
        assert row["entropy"] == pytest.approx(law.entropy, abs=1e-4)
    assert len(names) > 3
    ((_, rows),) = decay.measure(Engine(oracle, batch_tokens=4096), cells[-1:])
    assert {row["beside"] for row in of_kind(rows, "prompts")} == {names[0]}


def test_the_oracles_canvas_has_no_end(oracle, asked):
    for _, rows in asked[1]:
        ends = of_kind(rows, "edge")
        assert [(row["place"], row["longer_masks"]) for row in ends] == [(45, 64), (48, 64)]
        assert max(row["js"] for row in ends) < 1e-9
    for _, rows in measured(oracle, context="both", masks=20):
        assert of_kind(rows, "edge") == []


class WithEnd:
    """An oracle with a planted fault: the last masks of a canvas are half ends of text."""

    def __init__(self, oracle, last, share=0.5):
        self.oracle, self.last, self.share = oracle, last, share
        self.__dict__ |= {k: getattr(oracle, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}

    def states(self, ids, lengths, rows, positions, origins=None):
        found = self.oracle.states(ids, lengths, rows, positions)
        near = positions >= lengths[rows] - self.last
        return torch.cat([found, near[:, None].to(found.dtype)], dim=1)

    def logprobs(self, states):
        plain = self.oracle.logprobs(states[:, :-1])
        mixed = (1 - self.share) * plain.exp()
        mixed[:, self.oracle.entry.eos_ids[0]] += self.share
        return torch.where(states[:, -1:] > 0, mixed.log(), plain)


@pytest.mark.slow
def test_a_planted_end_of_the_canvas_is_found_and_stays_out_of_the_limit(oracle, chain, asked):
    """Ten of 48 masks; the longer canvas has 64, whose last ten are others."""
    queries, plain = asked
    frames = []
    for query, (_, clean), (cell, rows) in zip(
        queries, plain, measured(WithEnd(oracle, 10)), strict=True
    ):
        shares = mixing(chain, query.ids[:-48], 48)
        for row in of_kind(rows, "edge"):
            p = shares[row["place"] - 1]
            q = p / 2 + np.eye(len(p))[oracle.entry.eos_ids[0]] / 2
            assert row["js"] == pytest.approx(js_of(p, q), abs=1e-5)
            assert row["js"] > 0.1
        assert of_kind(rows, "places")[-1]["top1_prob"] == pytest.approx(0.5, abs=0.01)
        for kind in ("far", "tokens", "prompts", "next-tokens"):
            assert of_kind(rows, kind) == of_kind(clean, kind)
        frames.append(
            [
                {k: pd.DataFrame({"model": "m"} | asdict(cell) | r for r in x[k]) for k in x}
                for x in (clean, rows)
            ]
        )
    tables = [
        report.tables({kind: pd.concat([part[kind] for part in parts]) for kind in parts[0]})
        for parts in zip(*frames, strict=True)
    ]
    for name in ("half", "limit", "tokens", "prompts", "zipf"):
        pd.testing.assert_frame_equal(tables[0][name], tables[1][name])
    assert tables[1]["edge"]["js"].min() > 0.1 > 1e-9 > tables[0]["edge"]["js"].max()


def test_prompts_that_leave_no_room_for_a_longer_canvas_are_measured_without(oracle, tmp_path):
    room = oracle.entry.context
    path = write(tmp_path, " the wind", " a king")
    cells = decay.plan(prompts=path, masks=room - 100, limit=1)
    ((_, rows),) = decay.measure(DryRun(oracle.entry, oracle.border), cells)
    assert of_kind(rows, "edge") == []
    assert len(of_kind(rows, "prompts")) > 3
    (tmp_path / "same").mkdir()
    path = write(tmp_path / "same", *[" the wind"] * 3)
    ((_, rows),) = decay.measure(
        DryRun(oracle.entry, oracle.border), decay.plan(prompts=path, masks=8, limit=1)
    )
    assert of_kind(rows, "prompts") == [], "all prompts are the same"
    assert len(of_kind(rows, "edge")) == 1


def test_text_on_both_sides_is_measured_from_the_nearer(oracle):
    (query, *_), ((_, rows), *_) = (
        prompts_of(oracle, context="both", masks=21),
        measured(oracle, context="both", masks=21),
    )
    places = of_kind(rows, "places")
    assert column(places, "distance").tolist() == [*range(1, 12), *range(10, 0, -1)]
    assert query.ids[-1] != oracle.entry.mask_id
    assert places[0]["visible_tokens"] == len(query.ids) - 21
    mirrored = {(r["place"], r["other_place"]) for r in of_kind(rows, "pairs")}
    assert {(1, 21), (8, 14)} <= mirrored
    # what follows tells something of the last mask, and nothing follows it otherwise
    _, left = measured(oracle, masks=21)[0]
    gap = column(places, "top1_prob") - column(of_kind(left, "places"), "top1_prob")
    assert abs(gap[-1]) > 0.01


def test_results_do_not_depend_on_the_batch_or_on_memory():
    model = models.load(models.resolve("tiny-mdlm"))
    cells = decay.plan(**{**SMALL, "masks": 24})
    small = decay.plan(**{**SMALL, "masks": 24}, memory_limit=1)
    together = list(decay.measure(Engine(model, batch_tokens=8192), cells))
    alone = [found for c in small for found in decay.measure(Engine(model, batch_tokens=64), [c])]
    for (_, a), (_, b) in zip(together, alone, strict=True):
        assert a.keys() == b.keys()
        for x, y in ((x, y) for kind in a for x, y in zip(a[kind], b[kind], strict=True)):
            assert x.keys() == y.keys()
            for name in ("top1_prob", "js", "tv", "frequent_mass", "share"):
                if x.get(name) is not None:
                    assert x[name] == pytest.approx(y[name], abs=1e-5)


@pytest.mark.slow
def test_sampled_continuations_agree_with_the_exact_curve(oracle, chain):
    causal = models.load(models.resolve("oracle-causal"))
    options = {"tasks": ("prose",), "limit": 2, "masks": 4, "ar_sample": 150, "seed": 1}
    asked = prompts_of(oracle, **options)
    for query, (_, rows) in zip(asked, measured(causal, **options), strict=True):
        assert set(rows) == {"places", "next-tokens"}
        rows = of_kind(rows, "places")
        shares = mixing(chain, query.ids[:-4], 4)
        for slot, name in ((3, "frequent"), (4, "prompt")):
            exact = shares[:, list(query.readouts[slot].args)].sum(1)
            errors = column(rows, f"{name}_se")
            gap = column(rows, f"{name}_mass") - exact
            assert errors[0] == pytest.approx(0, abs=1e-9)
            assert (errors[2:] > 1e-3).all()
            assert (abs(gap) < 4 * errors + 0.01).all()
        assert column(rows, "top1_prob") == pytest.approx(shares.max(1), abs=0.06)
        naive = column(rows, "top1_naive")
        assert (naive >= column(rows, "top1_prob") - 1e-9).all()


def test_causal_models_need_samples_and_one_side():
    causal, masked = models.resolve("tiny-arlm"), models.resolve("tiny-mdlm")
    (cell, *_) = decay.plan(**SMALL)
    assert "--ar-sample N" in decay.refuse(cell, causal)
    assert not decay.refuse(cell, masked)
    (cell, *_) = decay.plan(**SMALL, ar_sample=4)
    assert not decay.refuse(cell, causal)
    (cell, *_) = decay.plan(**SMALL, ar_sample=4, context="both")
    assert "nothing on its right" in decay.refuse(cell, causal)


def test_theory_follows_its_options(oracle):
    options = {"zipf_exponent": 1.5, "zipf_ranks": 1000, "floor": 0.03, "limit": 1}
    _, rows = measured(oracle, **options)[0]
    places = of_kind(rows, "places")
    law = np.arange(1, 1001) ** -1.5
    law /= law.sum()
    assert places[0]["greedy"] == pytest.approx(law[0])
    assert places[1]["greedy"] == pytest.approx(law[0] ** 2 + 0.03 * (1 - law[0]))
    assert places[0]["bound"] == pytest.approx(law[0])
    assert places[9]["bound"] == pytest.approx((law**2).sum() ** 5 + 0.03)
    _, rows = measured(oracle, limit=1)[0]
    (far,) = of_kind(rows, "far")
    assert of_kind(rows, "places")[-1]["bound"] == pytest.approx(far["top1_prob"], abs=1e-5)
    assert far["top1_prob"] != pytest.approx(
        max(row["unigram"] for row in of_kind(rows, "tokens")), abs=1e-3
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": 0}, "--masks has 0"),
        ({"limit": 0}, "--limit has 0"),
        ({"lag": 0}, "--lag has 0"),
        ({"ar_sample": 3}, "--ar-sample has 3"),
        ({"ar_sample": -1}, "--ar-sample has -1"),
        ({"floor": -0.1}, "--floor has -0.1"),
        ({"floor": float("nan")}, "--floor has nan"),
        ({"floor": float("inf")}, "--floor has inf"),
        ({"zipf_exponent": float("inf")}, "--zipf-exponent has inf"),
        ({"zipf_ranks": 10**11}, "--zipf-ranks has 100000000000"),
        ({"lag": 48}, "--lag has 48\nexpected: less than 48"),
        ({"zipf_ranks": 1}, "--zipf-ranks has 1"),
        ({"zipf_exponent": -1.0}, "--zipf-exponent has -1"),
        ({"memory_limit": 0}, "--memory-limit has 0"),
        ({"frequent_count": 0}, "--frequent-count has 0"),
        ({"grid": ("1", "1")}, "--grid names a distance twice"),
        ({"grid": ("49",)}, "--grid has '49'"),
        ({"tasks": ("poems",)}, "unknown task 'poems'"),
        ({"frequent": "nowhere"}, "cannot read nowhere"),
        ({"prompts": "nowhere"}, "no prompts named 'nowhere'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        decay.plan(**{**SMALL, **options})


def write(folder, *prompts):
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts))
    return str(path)


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([" the" * 300, " the" * 400], {"masks": 800}, "prompt '1' has 300 .* has 1100"),
        ([" the wind", " the<mask> wind"], {}, "prompt '2' spells the mask token"),
        ([" the wind", "  "], {}, "line 2, field 'prompt': is empty"),
        ([" the wind"], {"context": "both"}, "no continuation, such as '1'"),
    ],
)
def test_what_cannot_be_asked_is_said_before_the_model_is_loaded(
    tmp_path, monkeypatch, prompts, options, message
):
    def loaded(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(models, "load", loaded)
    options = {"prompts": write(tmp_path, *prompts), "masks": 8, "limit": 100, **options}
    job = plan.Job("decay", "tiny-mdlm", options, output=tmp_path / "run")
    with pytest.raises(ProbeError, match=message):
        runner.run(plan.prepare(job), Silent())


def test_a_prompt_leaves_a_row_for_every_place_pair_and_comparison(oracle):
    pairs = 10 * 9 // 2 + 6  # of 1, 2, 3, 4, 6, 8 ... 32; and the neighbours of 4 to 24
    compared = {"prompts": 3, "edge": 2, "next-tokens": 1}  # at 1, 4, 16; at the last and the 4th
    for _, rows in measured(oracle, masks=32):
        counts = {kind: len(own) for kind, own in rows.items()}
        assert counts == {"places": 32, "pairs": pairs, "far": 1, "tokens": 20, **compared}


def test_too_many_whole_distributions_are_refused_before_loading():
    """LLaDA's vocabulary: 600 distances to compare are 289 MiB of distributions."""
    entry = replace(models.resolve("oracle"), geometry={"vocab": 126464}, context=4096)
    counter = DryRun(entry, models.load_border(models.resolve("oracle")))
    cells = decay.plan(lexicon="small", limit=1, masks=600, grid=("all",))
    with pytest.raises(ProbeError, match=r"600 distributions of 126464 tokens take 289 MiB"):
        list(decay.measure(counter, cells[:1]))
    cells = decay.plan(lexicon="small", limit=1, masks=2400)
    assert [cell for cell, _ in decay.measure(counter, cells[:1])] == cells[:1]


def test_tokens_of_few_prompts_are_counted_in_all_of_them(tmp_path):
    """Two lines of Arena-Hard are two tasks; a task of one prompt has no unigrams of its own."""
    path = tmp_path / "two.jsonl"
    lines = [{"prompt": " the wind", "task": "a"}, {"prompt": " a king", "task": "b"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    engine = Engine(models.load(models.resolve("oracle")), batch_tokens=2048)
    for _, rows in decay.measure(engine, decay.plan(prompts=str(path), masks=4)):
        places = rows["places"]
        gaps = [row["frequent_mass"] - row["prompt_mass"] for row in places]
        assert max(gaps) > 0.01


def test_no_bound_is_drawn_between_texts(tmp_path):
    engine = Engine(models.load(models.resolve("oracle")), batch_tokens=2048)
    cells = decay.plan(lexicon="small", limit=1, masks=6, context="both")
    (_, rows), *_ = decay.measure(engine, cells[:1])
    assert {row["bound"] for row in rows["places"]} == {None}
