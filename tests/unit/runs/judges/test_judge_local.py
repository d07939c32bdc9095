"""Local models as judges: the letters' log-probabilities, computed once more by hand."""

import csv
import json

import pytest
import torch
from checkpoints import write_llama
from fakes import rows, write
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs.judges import Choice, LocalJudge, answer_pairs, judge, load_prompt, local_model
from mdlm_probe.runs.judges.judge_calls import Call


def local(model, tokens=2048):
    return LocalJudge(str(model), load_prompt(), LoadOptions(), tokens)


def read(done):
    with done.path.open(newline="") as file:
        return list(csv.DictReader(file))


def letters(name, prompt, a, b):
    """Log-probabilities of A and B by one unpadded pass."""
    entry = models.resolve(name)
    model = models.load(entry)
    masked = entry.kind == "masked"
    text = load_prompt().letter(prompt, a, b, masked)
    ids = model.border.encode(text)
    place = ids.index(entry.mask_id) if masked else len(ids)
    one = torch.tensor([0])
    with torch.inference_mode():
        states = model.states(torch.tensor([ids]), torch.tensor([len(ids)]), one, one + place)
        row = model.logprobs(states)[0]
    vocab = model.border.tokenizer.get_vocab()
    return [float(row[vocab[letter]]) for letter in "AB"], len(ids)


@pytest.mark.parametrize("name", ["tiny-arlm", "tiny-mdlm"])
@pytest.mark.slow
def test_the_likelier_letter_is_the_verdict_in_both_orders(tmp_path, name):
    found = read(judge(write(tmp_path), local(name), Choice(), Silent()))
    assert len(found) == 12
    by = local(name)
    pairs = _pairs_of(tmp_path)
    for row in found:
        pair = pairs[row["prompt"], row["frac"]]
        texts = [pair.answer.text, pair.other.text]
        (a, b), tokens = letters(
            name, pair.asked, *(texts if row["shown"] == "first" else texts[::-1])
        )
        assert float(row["logp_a"]) == pytest.approx(a, abs=2e-4)
        assert float(row["logp_b"]) == pytest.approx(b, abs=2e-4)
        assert row["verdict"] == ("A>B" if a > b else "B>A")
        won = (row["verdict"] == "A>B") == (row["shown"] == "first")
        assert row["win"] == str(int(won))
        assert int(row["tokens_read"]) == tokens
    assert by.read({"response": {"A": -1.0, "B": -1.0, "tokens": 3}}).verdict == "A=B"
    assert read_run(tmp_path)[f"judge__{name}"]["facts"]["weight_hash"]


def test_a_judge_that_is_a_relative_is_named_as_such():
    assert "tiny-arlm is tiny-arlm itself" in local("tiny-arlm").caution({"m": "", "tiny-arlm": ""})
    assert local("tiny-arlm").caution({"m": "", "tiny-mdlm": "tiny-arlm"}) == ""
    kin = local("qwen2.5-7b").caution({"dream-7b": ""})
    assert "the judge qwen2.5-7b is the model that dream-7b started from" in kin


def _pairs_of(folder):
    pairs, _ = answer_pairs.load(folder, Choice(), prompts=True)
    return {(pair.prompt, pair.frac): pair for pair in pairs}


def test_a_mask_in_an_answer_is_not_the_one_that_is_asked(tmp_path):
    lines = rows(prompts=1, fracs=(0.1,))
    lines[1]["answer"] = "the cat <mask> <mask>"
    folder = write(tmp_path, lines)
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=2048)
    pair = _pairs_of(folder)["prose-01", "0.1"]
    query = local_model.query_of(load_prompt(), engine, Call(pair, "first"))
    assert query.ids.count(engine.entry.mask_id) == 3
    closing = len(engine.border.pieces(load_prompt().closing))
    assert query.positions == (len(query.ids) - 1 - closing,)


def test_how_prompts_are_written_is_said_and_recorded(tmp_path):
    notes = Silent()
    notes.note = (said := []).append
    model = write_llama(tmp_path / "plain")
    judge(write(tmp_path / "run", rows(prompts=1, fracs=(0.1,))), local(model), Choice(), notes)
    assert any("prompts are plain text, since its name, 'plain'" in note for note in said)
    facts = read_run(tmp_path / "run")["judge__plain"]["facts"]
    assert (facts["style"], facts["style_reason"][:8]) == ("base", "its name")


def test_prompts_beyond_the_context_are_failures_of_their_own(tmp_path):
    lines = rows(prompts=2, fracs=(0.1,))
    lines[1]["answer"] = "the cat " * 700
    done = judge(write(tmp_path, lines), local("tiny-arlm"), Choice(), Silent())
    assert (done.verdicts, done.failed) == (4, 2)
    assert "the judge's context 1024" in done.reason
    assert [row["verdict"] == "failed" for row in read(done)] == [True, True, False, False]
    assert read_run(tmp_path)["judge__tiny-arlm"]["status"] == "started"


def test_a_resumed_run_asks_only_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(local_model, "GROUP", 4)
    folder = write(tmp_path)
    done = judge(folder, local("tiny-arlm"), Choice(), Silent())
    whole, raw = done.path.read_bytes(), folder / "judge__tiny-arlm.replies.jsonl"
    lines = raw.read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    raw.write_bytes(b"".join(lines[:5]) + b"{")
    done.path.write_bytes(whole[:-1])
    by, asked = local("tiny-arlm"), []
    inner = by.ask
    by.ask = lambda calls: (asked.extend(calls), inner(calls))[1]
    assert judge(folder, by, Choice(), Silent()).path.read_bytes() == whole
    assert len(asked) == 7
    assert {json.loads(line)["judge"] for line in raw.read_bytes().splitlines()} == {"tiny-arlm"}


def test_other_weights_do_not_go_on_with_old_verdicts(tmp_path):
    folder, jury = write(tmp_path / "r", rows(prompts=1)), tmp_path / "jury"
    config = {"max_position_embeddings": 4096}
    write_llama(jury, config=config)
    done = judge(folder, local(jury), Choice(), Silent())
    raw = done.path.with_suffix(".replies.jsonl")
    raw.write_bytes(raw.read_bytes()[:-5])
    done.path.write_bytes(done.path.read_bytes()[:-1])
    write_llama(jury, config=config, seed=1)
    with pytest.raises(ProbeError, match="is not as it was when this run began:\n  weight_hash"):
        judge(folder, local(jury), Choice(), Silent())


def test_where_all_texts_are_equal_no_model_is_loaded(tmp_path, monkeypatch):
    same = [{**row, "answer": "the same"} for row in rows()]
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("loaded"))
    found = read(judge(write(tmp_path, same), local("tiny-arlm"), Choice(), Silent()))
    assert {(row["identical"], row["win"], row["shown"]) for row in found} == {("1", "0.5", "none")}
