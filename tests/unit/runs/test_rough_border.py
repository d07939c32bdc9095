"""Counts without a tokenizer: near those of the real ones, and as far off as they say."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_tokenizers import border as real_border

from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.probes._few_shot import questions
from mdlm_probe.probes.masks import fillers
from mdlm_probe.prompts import texts, toy_language
from mdlm_probe.prompts.prompt import MASK, Prompt
from mdlm_probe.runs.plan import Job, prepare
from mdlm_probe.runs.rough_border import WORDS, RoughBorder, RoughCutter

VOCABS = {"llama3": 128256, "qwen3": 152064}


def entry(vocab, chat=False):
    return Checkpoint("m", "llada", "masked", mask_id=7, chat=chat, geometry={"vocab": vocab})


def test_masks_and_turns_are_exact():
    border = RoughBorder(entry(0))
    prompt = Prompt((("a cat", "12345."), ("dogs", f"[{MASK}{MASK}].")), "\n", "\n\n")
    ids, owners = border.encode(prompt), border.owners(prompt)
    assert ids.count(7) == 2
    # a| cat|\n|12|34|5|.\n\n and dogs|\n|[ mask mask ].
    assert [owners.count(turn) for turn in (0, 1)] == [7, 6]
    mask, token = border.pieces(f"{MASK} x")
    assert mask == 7
    assert token < 0


BITS = [*"a_.é12", "bc ", " ", "\n", "\n\n", "  \n", "\t", "\r\n", "\r", "\u2028", "\x0b", "\u3000"]
BITS += ["<|end|>", "<|start|>", "].", "'s", "'s\n", "!!!!!!!!!", "\n ", " \n\t\n"]


@given(st.lists(st.sampled_from(BITS), max_size=12).map("".join), st.sampled_from([1, 2, 3]))
def test_lines_that_are_cut_alone_have_the_tokens_of_the_whole(text, digits):
    ids = RoughCutter(digits, 997).ids(text, inside=False)
    assert ids == [-1 - crc32(word.encode()) % 997 for word in WORDS[digits].findall(text)]


def test_chats_are_written_as_chatml():
    border = RoughBorder(entry(0, chat=True))
    written = border.chat(Prompt((("a", "b"), ("c", "[")), "", ""))
    said = "<|start|>user\na<|end|>\n<|start|>assistant\nb<|end|>\n<|start|>user\nc<|end|>\n"
    assert written == f"{said}<|start|>assistant\n["


def test_any_number_of_dots_can_be_had():
    """A filler of the probe `masks`, which asks for more until they are enough."""
    for count in (1, 50, 200):
        assert len(fillers.fill(RoughBorder(entry(0)), "dot", count, 0)) == count


def sorts():
    """Texts of every kind, as prompts."""
    cells = prepare(Job("locality", "oracle", {"limit": 2, "lexicon": "full"})).cells[::9]
    points = questions.test_points(cells)
    yield [
        questions.mixed_prompt(cell, example, causal=True)
        for cell, example in zip(cells, points, strict=True)
    ]
    for prompts in ("decay", "open"):
        every = texts.load(prompts)
        for task in dict.fromkeys(text.task for text in every):
            yield [Prompt(((t.prompt, t.continuation),), "", "") for t in every if t.task == task]
    yield [Prompt((("".join(toy_language.sentences(300, 0)), ""),), "", "")]


@pytest.mark.slow
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("name", ["llama3", "qwen3"])
def test_counts_are_as_near_to_real_ones_as_is_said(name, chat):
    for vocab in (VOCABS[name], 99):  # a known tokenizer, and one that isn't
        rough, real = (
            RoughBorder(entry(vocab, chat)),
            real_border(name, entry(vocab, chat)),
        )
        for prompts in sorts():
            counts = [sum(len(one.encode(prompt)) for prompt in prompts) for one in (rough, real)]
            # of the shortest chats, the template's tokens: up to three more of Llama 3's
            few = 3 * len(prompts) if chat else 0
            assert counts[0] == pytest.approx(counts[1], rel=rough.error, abs=few)
    assert rough.error > RoughBorder(entry(VOCABS[name])).error
