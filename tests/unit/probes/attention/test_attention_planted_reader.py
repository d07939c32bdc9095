"""The attention probe on a network whose weights are set by hand, so that all is known.

In its first layer every query gives a key as much as the key's token says: e to the power of its
`PULL`. In its second layer attention is even. What the first layer reads is how much pull there is,
and the predictions depend on it: with a token that pulls one word is likeliest, without it another.
Rotary positions turn nothing here: theta is so large that the second pair of dimensions stands.
"""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import planted
import pytest
import torch

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.probes.attention import probe, report

PROMPTS = (
    "the pale wind found the moon the king",
    "king wind the moon the pale moon found the king",
    "wind found the moon pale the king",
)
FOLLOWS = " frozen the"
SINK, WRITTEN, WITHOUT = " wind", " ember", " hunter"
LENGTH, READS, CONTROLS, EPSILON = 2, 2, 2, 1.5
POWER, PULL = 4.0, {SINK: 0.6}
"""The logarithm of what a key of pull 1 is given, against keys of pull 0; and tokens' pulls."""
VALUE, LIKELY, ELSE = 3.0, 4.0, 2.0
"""What is read of the pull; how that makes one word likely, and what makes another."""
GEOMETRY = {"layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 4, "hidden": 8, "intermediate": 2}
MODELS = {"bidirectional": "tiny-mdlm", "causal": "tiny-arlm"}


def network(border, pulls, kind):
    """The weights; the hidden state of a token is 1, its pull, what keeps the norm at 2, and 0."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=border.vocab,
        hidden_size=8,
        intermediate_size=2,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        max_position_embeddings=256,
        rms_norm_eps=0.0,
        rope_parameters={"rope_type": "default", "rope_theta": 1e30},
        attn_implementation="sdpa",
        use_cache=False,
    )
    config.is_causal = kind == "causal"
    made = LlamaForCausalLM(config).double()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        table, first = made.model.embed_tokens.weight, made.model.layers[0].self_attn
        table[:, 0] = table[:, 2] = 1.0
        for word, pull in pulls.items():
            table[border.token(word), 1] = pull
            table[border.token(word), 2] = math.sqrt(1 - pull**2)
        # normalised states are twice these; scores are divided by the root of 4
        first.q_proj.weight[[1, 5], 0] = 0.5
        first.k_proj.weight[1, 1] = POWER
        first.v_proj.weight[0, 1] = VALUE / 2
        first.o_proj.weight[3, 0] = 1.0
        made.lm_head.weight[border.token(WRITTEN), 3] = LIKELY
        made.lm_head.weight[border.token(WITHOUT), 0] = ELSE
    return made


def engine(kind, pulls):
    entry = models.resolve(MODELS[kind])
    border = models.load_border(entry)
    entry = replace(border.entry, geometry=GEOMETRY | {"vocab": border.vocab})
    border.entry = entry
    facts = {"quantize": "", "dtype": "float64"}
    model = NativeModel(network(border, pulls, kind), border, int(kind == "causal"), facts)
    return Engine(model, batch_tokens=1024)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The prompts and what truly follows them."""
    path = tmp_path_factory.mktemp("prompts") / "planted.jsonl"
    lines = [{"prompt": f" {text}", "continuation": FOLLOWS} for text in PROMPTS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def measured(kind, file, pulls):
    reader = engine(kind, pulls)
    options = {"length": LENGTH, "reads": READS, "controls": CONTROLS, "epsilon": EPSILON}
    cells = list(probe.plan(prompts=file, **options))
    return reader, planted.measured(probe, reader, cells)


# ---------------------------------------------------------------------- worked out by itself


class Expected:
    """A pass: weights of the first layer, predictions, all from the pulls of its tokens."""

    def __init__(self, border, kind, prompt, step, pulls):
        mask = border.entry.mask_id
        written = [border.token(WRITTEN)] * step
        self.ids = [*border.encode(prompt), *written]
        self.prompt, self.step = len(self.ids) - step, step
        if kind == "bidirectional":
            self.ids += [mask] * (LENGTH - step)
        known = {border.token(word): pull for word, pull in pulls.items()}
        self.pulls = np.array([known.get(token, 0.0) for token in self.ids])
        self.length, self.border = len(self.ids), border
        at = np.arange(self.length)
        self.seen = np.ones((self.length,) * 2, dtype=bool)
        if kind == "causal":
            self.seen = at[None] <= at[:, None]
        self.queries = range(self.prompt + step, self.length)
        if kind == "causal":
            self.queries = [self.length - 1]

    def weights(self, without=None):
        given = np.exp(POWER * self.pulls) * self.seen
        if without is not None:
            others = np.arange(self.length) != without
            given[others, without] = 0
        return given / given.sum(1, keepdims=True)

    @property
    def even(self):
        return self.seen / self.seen.sum(1, keepdims=True)

    def logprobs(self, without=None):
        """Predicted at the last position: all masks are alike."""
        read = VALUE * (self.weights(without)[self.queries[-1]] * self.pulls).sum()
        scale = 1 / math.sqrt((2 + read**2) / 8)
        logits = np.zeros(self.border.vocab)
        logits[self.border.token(WRITTEN)] = LIKELY * read * scale
        logits[self.border.token(WITHOUT)] = ELSE * scale
        if self.border.entry.mask_id is not None:
            logits[self.border.entry.mask_id] = -np.inf
        return logits - np.log(np.exp(logits).sum())

    def received(self, matrix):
        return matrix.sum(0)

    def strongest(self):
        return int((self.received(self.weights()) - self.received(self.even)).argmax())

    def sinks(self):
        above = self.received(self.weights()) - self.received(self.even)
        return int((above * self.length / (self.length - 1) > EPSILON).sum())

    def effect(self, without):
        before, after = self.logprobs(), self.logprobs(without)
        there = np.isfinite(before)
        p, q = np.exp(before[there]), np.exp(after[there])
        follows = self.border.encode(FOLLOWS)[: len(self.queries)]
        return {
            "kl": (p * np.log(p / q)).sum(),
            "tv": np.abs(p - q).sum() / 2,
            "top_changed": float(before.argmax() != after.argmax()),
            "truth_lost": np.mean([before[t] - after[t] for t in follows]),
        }


def passes(border, kind, pulls):
    """The passes of each prompt, at the beginning and halfway."""
    steps = [number * LENGTH // READS for number in range(READS)]
    return [[Expected(border, kind, f" {text}", s, pulls) for s in steps] for text in PROMPTS]


# ---------------------------------------------------------------------- what the tables say


@pytest.fixture(scope="module", params=MODELS)
def run(request, file):
    reader, frame = measured(request.param, file, PULL)
    return passes(reader.border, request.param, PULL), frame, report.tables(frame)


def test_its_attention_is_that_of_its_pulls(run):
    """Rows, one by one: where the sink is, what it receives, in how many heads; it never moves."""
    expected, frame, _ = run
    rows = frame["layers"]
    assert len(rows) == len(PROMPTS) * READS * 2
    for own, (_, cell) in zip(expected, rows.groupby("prompt", sort=False), strict=True):
        for number, one in enumerate(own):
            first, second = cell.iloc[2 * number : 2 * number + 2].to_dict("records")
            at, received = one.strongest(), one.received(one.weights())
            assert first["progress"] == number / READS
            assert (first["layer"], second["layer"]) == (1, 2)
            assert (first["tokens"], first["steps_before"]) == (one.length, one.step)
            assert (first["sink_place"], first["sink_from_prompt"]) == (at, at - one.prompt)
            assert first["received"] == pytest.approx(received[at], rel=1e-5)
            assert first["even_received"] == pytest.approx(one.received(one.even)[at], rel=1e-5)
            assert first["sink_text"] == SINK
            assert first["sink_kind"] == ("first" if at == 0 else "prompt")
            assert (first["sinks"], first["sink_heads"]) == (one.sinks(), 1.0)
            both = number and one.sinks() and own[0].sinks()
            assert (first["moved"] == 0) == bool(both)
            assert second["sinks"] == 0
            assert second["received"] == pytest.approx(second["even_received"], abs=1e-5)
            assert np.isnan(float(second["moved"] or np.nan))


def test_steps_are_means_over_layers_and_prompts(run):
    expected, _, tables = run
    lines = {}
    for number in range(READS):
        beyond = []
        for own in expected:
            one = own[number]
            more = one.received(one.weights()) - one.received(one.even)
            beyond.append(more[one.strongest()] / 2)
        lines["m", number / READS] = {"n": 3, "beyond_even": np.mean(beyond)}
        lines["m", number / READS]["sinks"] = np.mean([own[number].sinks() / 2 for own in expected])
    assert {one.sinks() for own in expected for one in own} in ({1}, {0, 1})
    planted.compare(tables["steps"], ("model", "progress"), lines)


def test_groups_and_distances_are_sums_of_the_weights(run):
    """Means of both layers, the second of which is even, over the masks (or the last token)."""
    expected, _, tables = run
    causal = expected[0][0].border.entry.mask_id is None
    lines = {}
    for number in range(READS):
        found = {"masks": [], "prompt": [], "written": [], "itself": []}
        for one in (own[number] for own in expected):
            kinds = ["prompt"] * one.prompt + ["written"] * one.step
            kinds += ["masks"] * (one.length - len(kinds))
            both = (one.weights() + one.even) / 2, one.even
            for name, shares in found.items():
                there = [
                    (q, k)
                    for q in one.queries
                    for k in range(one.length)
                    if name == ("itself" if q == k and not causal else kinds[k])
                ]
                total = [sum(m[q, k] for q, k in there) / len(one.queries) for m in both]
                shares.append(total)
        for name, shares in found.items():
            measured, even = np.mean(shares, axis=0)
            if even:
                lines["m", number / READS, name] = {
                    "n": 3,
                    "attention": measured,
                    "even_attention": even,
                    "times_even": measured / even,
                }
    planted.compare(tables["groups"], ("model", "progress", "attended"), lines)
    starts, lines = (0, 1, 2, 4, 8), {}
    for n, start in enumerate(starts):
        end = starts[n + 1] if n + 1 < len(starts) else 16
        shares = []
        for own in expected:
            far = []
            for one in own:
                both = (one.weights() + one.even) / 2, one.even
                there = [
                    (q, k)
                    for q in one.queries
                    for k in range(one.length)
                    if start <= abs(q - k) < end
                ]
                far.append([sum(m[q, k] for q, k in there) / len(one.queries) for m in both])
            far = [pair for pair in far if pair[1]]
            if far:
                shares.append(np.mean(far, axis=0))
        if shares:
            measured, even = np.mean(shares, axis=0)
            lines["m", start] = {"attention": measured, "even_attention": even, "n": len(shares)}
    planted.compare(tables["distances"], ("model", "attended_distance"), lines)


def test_removal_has_the_effect_that_follows_from_the_weights(run):
    """Without the sink another word is likeliest; without any other key next to nothing changes."""
    expected, _, tables = run
    lines = {}
    for name in ("strongest", "control"):
        prompts = []
        for own in expected:
            found = []
            for one in own:
                at = one.strongest()
                other = next(k for k in range(one.prompt) if k != at)  # all of them are alike
                found.append(one.effect(at if name == "strongest" else other))
            line = {key: np.mean([one[key] for one in found]) for key in found[0]}
            prompts.append(line | {"truth_lost": found[0]["truth_lost"]})
        means = {key: np.mean([line[key] for line in prompts]) for key in prompts[0]}
        lines["m", name] = {"n": 3} | means
    assert lines["m", "strongest"]["top_changed"] == 1
    assert lines["m", "control"]["top_changed"] == 0
    assert lines["m", "strongest"]["kl"] > 0.3 > 0.1 > lines["m", "control"]["kl"]
    planted.compare(tables["removal"], ("model", "removed"), lines, rel=1e-3)
    first, second = lines["m", "strongest"], lines["m", "control"]
    gap = {key: first[key] - value for key, value in second.items()} | {"n": 3}
    planted.compare(tables["contrast"], ("model",), {("m",): gap}, rel=1e-3)


def test_a_stronger_key_that_is_written_becomes_the_sink(file):
    """It stands right behind the prompt: that is how far the sink has moved."""
    pulls = PULL | {WRITTEN: 1.0}
    reader, frame = measured("bidirectional", file, pulls)
    rows = frame["layers"][frame["layers"]["layer"] == 1]
    for own, (_, cell) in zip(
        passes(reader.border, "bidirectional", pulls), rows.groupby("prompt"), strict=True
    ):
        before, after = cell.to_dict("records")
        at = own[0].strongest()
        assert (before["sink_place"], before["sink_kind"]) == (at, "first" if at == 0 else "prompt")
        assert (after["sink_place"], after["sink_kind"]) == (own[1].prompt, "written")
        assert after["sink_from_prompt"] == 0
        assert after["moved"] == own[1].prompt - at
        assert after["received"] == pytest.approx(own[1].received(own[1].weights())[own[1].prompt])
    (line,) = report.tables(frame)["steps"].iloc[1:].to_dict("records")
    assert line["moved"] == pytest.approx(
        np.mean(
            [o[1].prompt - o[0].strongest() for o in passes(reader.border, "bidirectional", pulls)]
        )
    )


def test_even_attention_has_no_sinks(file):
    _, frame = measured("bidirectional", file, {})
    rows = frame["layers"]
    assert not rows["sinks"].any()
    assert rows["received"].to_numpy(dtype=float) == pytest.approx(1.0, abs=1e-5)
    tables = report.tables(frame)
    assert tables["groups"]["times_even"].to_numpy() == pytest.approx(1.0, abs=1e-4)
    assert tables["distances"]["times_even"].to_numpy() == pytest.approx(1.0, abs=1e-4)
    assert tables["removal"]["kl"].to_numpy() == pytest.approx(0.0, abs=1e-5)
    assert tables["kinds"].empty


def test_the_cells_say_which_prompt_they_are_of(file):
    _, frame = measured("causal", file, PULL)
    cells = list(probe.plan(prompts=file, length=LENGTH))
    assert [c.prompt for c in cells] == list(dict.fromkeys(frame["layers"]["prompt"]))
    assert asdict(cells[0])["task"] == "planted"
