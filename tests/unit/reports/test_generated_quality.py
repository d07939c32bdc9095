"""The quality of generated answers: a model that repeats itself, and one that writes true prose."""

import json

import numpy as np
import pytest

from mdlm_probe.decoding import text_quality
from mdlm_probe.prompts import toy_language
from mdlm_probe.reports import generated_quality

LENGTH, PROMPTS = 32, 8


def record(model, number, prompt, answer, ids):
    named = {"prompt": str(number), "task": "prose", "model": model, "prompt_text": prompt}
    told = {"answer": answer, "ended": False, "answer_tokens": len(ids), "passes": 1}
    return named | told | text_quality.columns_of(prompt, answer, ids)


def write(path, records):
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path


@pytest.fixture
def paths(tmp_path):
    chain, prompt = toy_language.prose(), "the old king crossed the road"
    true, again = [], []
    for number in range(PROMPTS):
        ids = chain.sample(20 + LENGTH, np.random.default_rng(number)).tolist()
        texts = (toy_language.texts(chain, ids[:20]), toy_language.texts(chain, ids[20:]))
        true.append(record("true", number, *texts, ids[20:]))
        again.append(record("again", number, prompt, ". the pale wind" * 8, [0, 1, 2, 3] * 8))
    return [write(tmp_path / f"{n}.jsonl", r) for n, r in (("a", true), ("b", again))]


def test_true_prose_wins_over_a_repetition_by_truth_and_shows_as_varied(paths):
    table = generated_quality.table(paths).set_index("model")
    true, again = table.loc["true"], table.loc["again"]
    assert true["valid_share"] == again["valid_share"] == 1, "no transition of either is wrong"
    assert true["truth"] > again["truth"] + 0.3
    assert true["longest_repeat"] < again["longest_repeat"] == 28
    assert true["entropy_1"] > again["entropy_1"] == pytest.approx(np.log(4))
    assert true["distinct_2"] > again["distinct_2"] == pytest.approx(4 / 31)
    assert (true["n"], true["answer_tokens"], true["judged"]) == (PROMPTS, LENGTH, PROMPTS)
    saved = generated_quality.save(paths[0].parent, table.reset_index())
    assert saved.read_text().startswith("model,task,n,answer_tokens,ended,judged,truth,")


def test_answers_of_an_earlier_version_have_no_quality(tmp_path):
    bare = [
        {"prompt": "1", "task": "t", "model": "m", "prompt_text": "p"}
        | {"answer": "a", "ended": True, "answer_tokens": 1}
    ]
    table = generated_quality.table([write(tmp_path / "old.jsonl", bare)])
    assert list(table.columns) == ["model", "task", "n", "answer_tokens", "ended"]
    assert generated_quality.unit_of("entropy_1") == "nats"
    assert generated_quality.unit_of("truth") == ""
