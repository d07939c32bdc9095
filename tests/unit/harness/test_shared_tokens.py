"""Contexts and continuations that one token would spell the border of."""

import pytest
from checkpoints import BOS, bpe, special_ids, write_llama
from eval_tasks import Request
from lm_over import lm_over

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.harness import AnswerLog, request_tokens
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint

SHARED = [
    ("cat Ans", "wer"),  # lm-eval's cut leaves nothing: it was an error
    ("cat Ans", "wer dog red"),  # ... or leaves "red" alone, without a word
    ("cat An", "swer"),
]


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize(("context", "continuation"), SHARED)
def test_a_continuation_that_shares_a_token_is_tokenised_apart(context, continuation, bos):
    border = Border(bpe(bos=bos), Checkpoint("m", "causal", "causal"), "", {"bos_token": BOS})
    start = (special_ids()[BOS],) if bos else ()
    assert request_tokens.pair(border, context, continuation) == (
        start + border.pieces(context),
        border.pieces(continuation),
        True,
    )


def test_what_no_token_spans_is_cut_as_before():
    border = Border(bpe(), Checkpoint("m", "causal", "causal"), "", {"bos_token": BOS})
    found = request_tokens.pair(border, "cat ", "Answer")
    assert found == (border.pieces("cat"), border.pieces(" Answer"), False)


class Notes:
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def start(self, *_):
        pass

    advance = start


def test_their_likelihood_is_that_of_their_own_tokens(tmp_path):
    """By hand; they are counted, and an answer that was cut elsewhere is not taken again."""
    engine = Engine(models.load(models.resolve(str(write_llama(tmp_path / "m")))))
    log, notes = AnswerLog(), Notes()
    lm = lm_over(engine, answers=log, progress=notes)
    context, continuation = SHARED[1]
    plain = lm._name("loglikelihood", context, continuation, [])
    log.add({plain: {"logp": 1.0, "se": 0.0, "passes": 1, "estimator": "wrong"}})
    ((found, _), _) = lm.loglikelihood(
        [Request(context, continuation, task="t", doc=0), Request("cat", " dog", task="t", doc=1)]
    )
    before, after = (engine.border.pieces(text) for text in (context, continuation))
    own = Readout("own", (len(before), *after))
    query = Query((before + after)[:-1], tuple(range(len(before), len(before + after))), (own,))
    assert found == pytest.approx(float(engine.ask([query])[0]["own"].sum()), abs=1e-5)
    assert notes.notes == [
        "m: 1 continuations of 1 documents would share a token with their contexts: they are"
        " tokenised apart, where lm-eval itself would cut in the wrong place"
    ]
