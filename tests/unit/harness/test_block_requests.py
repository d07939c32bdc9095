"""lm-eval's requests of likelihoods under block-causal models."""

from dataclasses import replace

import block_models
import pytest
from eval_tasks import Request
from lm_over import lm_over

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.harness import request_tokens
from mdlm_probe.likelihood.settings import Settings

LONG = " loved a door kept that door behind this frozen road"
OTHER = " often often often often often often often often often often"


@pytest.fixture(scope="module")
def oracle():
    return Engine(models.load(models.resolve("oracle-block")), batch_tokens=2048)


@pytest.fixture(scope="module")
def network():
    return Engine(block_models.tiny(16), batch_tokens=2048)


def choices(*texts):
    return [Request(" the wind", text, task="t", doc=0, idx=i) for i, text in enumerate(texts)]


def test_an_oracles_values_are_the_log_likelihoods_of_its_language(oracle):
    found = lm_over(oracle).loglikelihood(choices(LONG, OTHER, " found"))
    for (logp, _), text in zip(found, (LONG, OTHER, " found"), strict=True):
        pair = request_tokens.pair(oracle.border, " the wind", text)
        whole = oracle.model.log_likelihood(pair.before + pair.after)
        assert logp == pytest.approx(whole - oracle.model.log_likelihood(pair.before), abs=1e-4)
    rolled = lm_over(oracle).loglikelihood_rolling([Request(LONG)])
    begin = request_tokens.prefix(oracle.border)
    ids = (begin, *request_tokens.encode(oracle.border, LONG))
    expected = oracle.model.log_likelihood(ids) - oracle.model.log_likelihood(ids[:1])
    assert rolled == [pytest.approx(expected, abs=1e-4)]


def test_decide_stops_when_a_documents_choice_is_sure(network):
    settings = Settings(bound=1, draws=128, decide=True)
    asked = choices(LONG, " often often often")
    early, full = lm_over(network, settings), lm_over(network, replace(settings, decide=False))
    for lm in (early, full):
        lm.loglikelihood(asked)
    passes = [[lm.record(one).passes for one in asked] for lm in (early, full)]
    assert {early.record(one).estimator for one in asked} == {"block-mc"}
    assert sum(passes[0]) < sum(passes[1])
    best = [max(asked, key=lambda one, lm=lm: lm.record(one).logp).idx for lm in (early, full)]
    assert best[0] == best[1]


def test_what_fills_a_block_names_an_answer_only_where_there_are_blocks(network):
    usual = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=2048)
    for engine, same in ((network, False), (usual, True)):
        names = {
            lm_over(engine, Settings(fill=fill))._name("loglikelihood", " a", " b")
            for fill in ("mask", "eos", "cut")
        }
        assert (len(names) == 1) == same
    lms = [lm_over(network, Settings(fill=fill)) for fill in ("mask", "cut")]
    values = [lm.loglikelihood(choices(" found"))[0][0] for lm in lms]
    assert abs(values[0] - values[1]) > 1e-3
    told = lms[1].get_model_info()["mdlm"]
    assert told["likelihood"]["fill"] == "cut"
    assert (told["identity"]["block"], told["identity"]["origin"]) == (16, "start")
