"""Answers: what is written after a prompt, where it ends, and its likelihood by a plain softmax."""

import csv
import json
import math

import pytest
import torch
from checkpoints import EOS, EOT, MASK_TEXT, special_ids, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.csv_text import lines_of, text_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers, loop
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models import LoadOptions
from mdlm_probe.models._tokenizer import bytes_of
from mdlm_probe.prompts.prompt import Text

IDS = special_ids()
MASK, ENDS = IDS[MASK_TEXT], (IDS[EOS], IDS[EOT])
WRITERS = {"masked": write_llada, "causal": write_llama}
TEXTS = [
    Text("one", "prose", " cat dog red"),
    Text("two", "prose", "question cat, answer"),
    Text("three", "prose", " red red dog cat dog"),
]
STYLES = ("base", "chat")


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """By kind and style; ends of text are often the most probable tokens."""
    root, found = tmp_path_factory.mktemp("answers"), {}
    for kind, write in WRITERS.items():
        entry = models.resolve(str(write(root / kind, bos=True)))
        for style in STYLES:
            model = models.load(LoadOptions(style=style).apply(entry))
            with torch.no_grad():
                model.network.get_output_embeddings().weight[list(ENDS)] *= 3
            found[kind, style] = Engine(model, batch_tokens=256)
    return found


def prompt_of(engine, style, text):
    """The text that a model reads before its answer, put together by hand."""
    if style == "base":
        return engine.border.encode(text.prompt)
    turn = f"<|start_header_id|>user<|end_header_id|>\n\n{text.prompt.strip()}<|eot_id|>"
    opening = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    return engine.border.pieces("<|startoftext|>" + turn + opening)


def check(answer, tokens, border):
    """An answer is the text before the first end, without masks."""
    ends = [i for i, token in enumerate(tokens) if token in ENDS]
    kept = [t for t in (tokens[: ends[0]] if ends else tokens) if t != MASK]
    assert answer.ids == tuple(kept)
    assert answer.text == (border.decode(kept) if kept else "")
    assert answer.ended == bool(ends)
    assert answer.decoded.tokens == tokens


@pytest.mark.parametrize("style", STYLES)
def test_masked_models_fill_in_a_canvas_after_the_prompt(engines, style):
    engine, schedules = engines["masked", style], [Schedule(6, seed=n) for n in range(3)]
    assert engine.entry.eos_ids == ENDS
    found = answers.write(engine, TEXTS, 12, schedules, ["a", "b", "c"])
    for text, answer, name in zip(TEXTS, found, "abc", strict=True):
        before = prompt_of(engine, style, text)
        places = tuple(range(len(before), len(before) + 12))
        canvas = Canvas(before + (MASK,) * 12, places, name)
        assert answer.decoded.canvas == canvas
        (alone,) = loop.decode_all(engine, [canvas], [Schedule(6)])
        assert alone.tokens == answer.decoded.tokens
        check(answer, alone.tokens, engine.border)
    assert any(answer.ended for answer in found)


@pytest.mark.parametrize("style", STYLES)
def test_causal_models_go_on_until_an_end_of_text(engines, style):
    engine, schedules = engines["causal", style], [Schedule()] * 3
    found = answers.write(engine, TEXTS, 12, schedules, ["a", "b", "c"])
    for text, answer in zip(TEXTS, found, strict=True):
        before, tokens = list(prompt_of(engine, style, text)), []
        while len(tokens) < 12 and not set(tokens) & set(ENDS):
            with torch.no_grad():
                logits = engine.model.network(torch.tensor([before + tokens])).logits
            tokens.append(int(logits[0, -1].argmax()))
        check(answer, tuple(tokens), engine.border)
        assert answer.decoded.at(0) == (*before, *tokens)
    assert any(answer.ended for answer in found)
    never = answers.write(engine, TEXTS, 12, [Schedule(eos="eos_inf")] * 3, ["a", "b", "c"])
    assert all(ENDS[0] not in answer.decoded.tokens for answer in never)
    assert any(ENDS[1] in answer.decoded.tokens for answer in never)  # only the end of text is


def test_answers_are_cut_at_the_first_end(engines):
    engine = engines["masked", "base"]
    for tokens, kept in (
        ((5, 6, ENDS[0], 7), (5, 6)),
        ((5, 6, ENDS[1], 7, ENDS[0]), (5, 6)),
        ((ENDS[0], 6), ()),
        ((5, MASK, 6), (5, 6)),
        ((5, 6), (5, 6)),
        ((), ()),
    ):
        found = answers.cut(engine.border, engine.entry, tokens, None)
        assert found.ids == kept
        assert found.ended == any(end in tokens for end in ENDS)
        assert found.text == "".join(engine.border.decode([token]) for token in kept)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_dry_run_counts_whole_answers(engines, kind):
    engine = engines[kind, "base"]
    counter = DryRun(engine.entry, engine.border)
    found = answers.write(counter, TEXTS, 12, [Schedule(6)] * 3, ["a", "b", "c"])
    assert all(answer.text and not answer.ended for answer in found)
    assert len(found) == 3
    steps = 6 if kind == "masked" else 12
    assert len(counter.lengths) == 3 * steps


@pytest.mark.parametrize("kind", WRITERS)
def test_prompts_that_leave_no_room_are_refused(engines, kind):
    with pytest.raises(ProbeError, match="prompt 'one' has"):
        answers.write(engines[kind, "base"], TEXTS[:1], 126, [Schedule()], ["a"])


# ---------------------------------------------------------------------- scores


def plain_nll(engine, ids, first):
    """Of the tokens from `first` on, by a softmax over the whole vocabulary in float64."""
    with torch.no_grad():
        rows = engine.model.network(torch.tensor([ids])).logits[0].double().softmax(-1)
    return -sum(math.log(rows[i - 1, ids[i]]) for i in range(first, len(ids)))


@pytest.mark.parametrize("style", STYLES)
def test_scores_are_those_of_a_plain_softmax(engines, style):
    scorer = engines["causal", style]
    written = [" cat red dog dog", "?", " a letter at a time."]
    found = answers.score(scorer, TEXTS, written)
    for text, answer, score in zip(TEXTS, written, found, strict=True):
        before = prompt_of(scorer, style, text)
        ids = before + scorer.border.pieces(answer)
        assert score.tokens == len(ids) - len(before)
        assert score.nll == pytest.approx(plain_nll(scorer, ids, len(before)), rel=1e-4)


def test_where_prompt_and_answer_run_together_whole_tokens_are_scored(engines):
    """'do' and 'g' are one token together: it is scored, and the prompt's own before it isn't."""
    scorer, text = engines["causal", "base"], Text("one", "prose", " cat do")
    both = scorer.border.encode(" cat dog red")
    before = scorer.border.encode(" cat do")
    first = next(i for i, (a, b) in enumerate(zip(before, both, strict=False)) if a != b)
    assert first < len(before), "they do run together"
    (found,) = answers.score(scorer, [text], ["g red"])
    assert found.tokens == len(both) - first == 2
    assert found.nll == pytest.approx(plain_nll(scorer, both, first), rel=1e-4)


def test_an_answer_that_swallows_its_prompt_has_nothing_before_it(tmp_path):
    """Without BOS nothing predicts a text's first token."""
    scorer = Engine(models.load(models.resolve(str(write_llama(tmp_path / "m")))), batch_tokens=64)
    found = answers.score(scorer, [Text("one", "prose", "c")] * 2, ["at", "at dog"])
    assert found[0] == answers.Score(0.0, 0)
    assert found[1].tokens == 1
    ids = scorer.border.pieces("cat dog")
    assert found[1].nll == pytest.approx(plain_nll(scorer, ids, 1), rel=1e-4)


def test_empty_and_too_long_answers(engines):
    scorer = engines["causal", "base"]
    room = scorer.entry.context - len(scorer.border.encode(TEXTS[0].prompt))
    written = ["", " cat" * room, " cat" * (room + 1)]
    empty, full, over = answers.score(scorer, TEXTS[:1] * 3, written)
    assert empty == answers.Score(0.0, 0)
    assert full.tokens == room
    assert full.nll > 0
    assert over == answers.Score(None, room + 1)


def test_equal_answers_go_through_the_network_once(engines, monkeypatch):
    scorer, asked = engines["causal", "base"], []
    ask = Engine.ask
    monkeypatch.setattr(Engine, "ask", lambda self, q: asked.append(len(q)) or ask(self, q))
    found = answers.score(scorer, [TEXTS[0], TEXTS[1], TEXTS[0]], [" cat"] * 3)
    assert asked == [2]
    assert found[0] == found[2] != found[1]


def test_without_a_scorer_there_are_no_scores():
    assert answers.score(None, TEXTS, ["a", "b", ""]) == [None] * 3


def test_a_canvas_keeps_the_bytes_of_characters_that_tokens_cut(tmp_path):
    border = models.load_border(models.resolve(str(write_llada(tmp_path / "m"))))
    entry, tokens = border.entry, border.pieces('a\n"\\é\u20ac')
    texts = answers.pieces(border, entry, (*tokens, entry.mask_id, entry.eos_ids[0]))
    euro = [[226], [130], [172]]
    assert texts == ["a", "\n", '"', "\\", [195], [169], *euro, "", "<|endoftext|>"]
    assert json.loads(text_of(texts)) == texts
    field = next(csv.reader([lines_of([{"canvas": texts}], ["canvas"]).decode()]))[0]
    assert json.loads(field) == texts


@pytest.mark.parametrize(
    ("token", "found"),
    [("<0xE2>", b"\xe2"), ("Ġé", b" \xe9"), ("\u2581a", None), ("\ufffd", None), ("", b"")],
)
def test_bytes_are_read_from_the_vocabulary_s_spelling(token, found):
    assert bytes_of(token) == found
