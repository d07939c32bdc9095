"""Sampled marginals against the exact ones of a small chain."""

import numpy as np
import pytest
from checkpoints import bpe
from oracles import Letters
from scipy import sparse

from mdlm_probe import models
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models import oracle
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.probes.decay import sampled_continuations
from mdlm_probe.probes.decay.sampled_continuations import SampledPrompt
from mdlm_probe.prompts.toy_language import HiddenMarkov

STATES, TOKENS, LENGTH = 4, 6, 5


def rows(rng, n, m):
    values = rng.random((n, m)) ** 3
    return values / values.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def chain():
    rng = np.random.default_rng(5)
    transition = sparse.csr_array(rows(rng, STATES, STATES))
    return HiddenMarkov(
        tuple("abcdef"), rows(rng, 1, STATES)[0], transition, rows(rng, STATES, TOKENS)
    )


def engine(chain, ends=()):
    entry = Checkpoint("oracle", "oracle", "causal", eos_ids=ends, context=64)
    model = oracle.Oracle(entry, Letters(entry), chain, range(TOKENS), TOKENS, smoothing=0.0)
    return Engine(model, batch_tokens=4096)


def exact(chain, ids):
    """Distributions of the tokens after a prompt, [LENGTH, TOKENS]."""
    transition = chain.transition.toarray()
    state = chain.initial
    for token in ids:
        state = state * chain.emission[:, token]
        state = state / state.sum() @ transition
    found = []
    for _ in range(LENGTH):
        found.append(state @ chain.emission)
        state = state @ transition
    return np.array(found)


SETS = ((0, 1), (2,), ())


@pytest.mark.slow
def test_masses_are_exact_within_their_standard_errors(chain):
    prompts = [
        SampledPrompt(ids, SETS, seed)
        for seed in range(8)
        for ids in ((0,), (1, 2), (3, 0, 5), (4,))
    ]
    found = sampled_continuations.marginals(engine(chain), prompts, 24, LENGTH)
    gaps, errors = [], []
    for prompt, marginals in zip(prompts, found, strict=True):
        expected = exact(chain, prompt.ids)
        masses = np.stack([expected[:, list(s)].sum(1) for s in SETS], axis=1)
        # nothing is sampled before the first token
        assert marginals.masses[0] == pytest.approx(masses[0], abs=1e-6)
        assert marginals.masses_se[0] == pytest.approx(0, abs=1e-6)
        gaps.append((marginals.masses - masses)[1:, :2])
        errors.append(marginals.masses_se[1:, :2])
    z = np.array(gaps) / np.array(errors)
    assert abs(z.mean()) < 0.3
    assert 0.8 < np.sqrt((z**2).mean()) < 1.25


@pytest.mark.slow
def test_the_largest_probability_is_bracketed(chain):
    prompts = [SampledPrompt((0,), (), seed) for seed in range(150)]
    found = sampled_continuations.marginals(engine(chain), prompts, 4, LENGTH)
    expected = exact(chain, (0,)).max(axis=1)
    careful = np.array([m.top1 for m in found])
    naive = np.array([m.top1_naive for m in found])
    noise = 3 * careful.std(axis=0) / np.sqrt(len(found)) + 1e-6
    assert (careful.mean(axis=0) <= expected + noise).all()
    assert (naive.mean(axis=0) >= expected - noise).all()
    assert (naive >= careful - 1e-9).all()
    assert (naive.mean(axis=0) > careful.mean(axis=0) + 0.002).any()
    many = sampled_continuations.marginals(engine(chain), prompts[:1], 800, LENGTH)[0]
    assert many.top1 == pytest.approx(expected, abs=0.02)
    assert many.top1_naive == pytest.approx(expected, abs=0.02)
    assert (many.top_id == exact(chain, (0,)).argmax(axis=1)).all()
    rows = exact(chain, (0,))
    assert many.entropy == pytest.approx(-(rows * np.log(rows)).sum(1), abs=0.02)


def test_a_text_that_has_ended_stays_ended(chain):
    prompts = [SampledPrompt((0,), ((2,), (0, 1)), 0)]
    found = sampled_continuations.marginals(engine(chain, ends=(2,)), prompts, 400, LENGTH)[0]
    ended = found.masses[:, 0]
    assert (np.diff(ended) > 0).all()
    p = exact(chain, (0,))[0]
    assert ended[0] == pytest.approx(p[2], abs=1e-6)
    assert ended[-1] > 0.5 * (1 - (1 - p[2]) ** LENGTH)
    assert (found.masses.sum(axis=1) <= 1 + 1e-6).all()


def test_samples_do_not_depend_on_the_other_prompts(chain):
    prompts = [SampledPrompt((n,), SETS, n) for n in range(4)]
    together = sampled_continuations.marginals(engine(chain), prompts, 6, LENGTH)
    for prompt, other in zip(prompts, together, strict=True):
        alone = sampled_continuations.marginals(engine(chain), [prompt], 6, LENGTH)[0]
        assert alone.masses == pytest.approx(other.masses, abs=1e-6)
        assert (alone.top_id == other.top_id).all()


def test_a_dry_run_counts_every_step(chain):
    entry = engine(chain).entry
    counter = DryRun(entry, Border(bpe(), entry))
    prompts = [SampledPrompt((0, 1), SETS, 0), SampledPrompt((0,) * 5, SETS, 0)]
    for found in sampled_continuations.marginals(counter, prompts, 4, 3):
        assert found.masses.shape == (3, len(SETS))
        assert len(found.top1) == 3
    assert sorted(counter.lengths) == [n for n in range(2, 8) for _ in range(4)][:24]
    assert (counter.calls, counter.largest) == (3, 4 * (2 + 5)), "prompts take steps side by side"


def test_kept_keys_and_values_change_nothing():
    kept = Engine(models.load(models.resolve("tiny-arlm")), batch_tokens=2048)

    class Forgetful(Engine):
        """Asks the same network, and can't keep anything."""

        has_kv_cache = False

        def ask(self, queries):
            assert not any(query.kv_cache for query in queries)
            return super().ask(queries)

    prompts = [SampledPrompt(tuple(range(5, 5 + size)), ((3, 4),), size) for size in (7, 12, 30)]
    forgetful = Forgetful(kept.model, batch_tokens=2048)
    expected = sampled_continuations.marginals(forgetful, prompts, 4, 6)
    for found, wanted in zip(
        sampled_continuations.marginals(kept, prompts, 4, 6), expected, strict=True
    ):
        assert found.top_id.tolist() == wanted.top_id.tolist()
        np.testing.assert_allclose(found.top1, wanted.top1, atol=1e-5)
        np.testing.assert_allclose(found.masses, wanted.masses, atol=1e-5)
    assert kept.tokens < forgetful.tokens / 2
