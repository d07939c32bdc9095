"""Prompts end where a token does, for every tokenizer."""

import pytest
from checkpoints import bpe, bpe_parts
from real_tokenizers import border as real_border
from tokenizers import models as tokenizer_models

from mdlm_probe import models
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.prompt import Text

MASKED = Checkpoint("m", "llada", "masked", mask_id=0, context=4096)
CHAT = Checkpoint("m-chat", "llada", "masked", mask_id=0, context=4096, chat=True)


def asker(border):
    return DryRun(border.entry, border)


def colon_and_line_break(entry=MASKED):
    """A tokenizer that joins `):` and a line break, as Qwen's and Llama 3's do."""
    vocab, merges = bpe_parts()
    for merge in ((")", ":"), ("):", "Ċ")):
        merges.append(merge)
        vocab["".join(merge)] = len(vocab) + 50  # above the special tokens
    tokenizer = bpe()
    tokenizer.pre_tokenizer.use_regex = False
    tokenizer.model = tokenizer_models.BPE(vocab=vocab, merges=merges)
    return Border(tokenizer, entry, "{{ messages[0]['content'] }}")


CODE = Text("code", "code", "def red(cat):", "\n    dog\n")


def test_a_prompt_that_ends_amid_a_token_ends_behind_it():
    border = colon_and_line_break()
    found = canvas_of_prompt.in_tokens(asker(border), CODE)
    assert (found.prompt, found.continuation) == ("def red(cat):\n", "    dog\n")
    span = canvas_of_prompt.span(asker(border), CODE, 3, "both")
    left, right = border.pieces("def red(cat):\n"), border.pieces("    dog\n")
    assert span.ids == (*left, 0, 0, 0, *right)
    assert left + right == border.pieces(CODE.prompt + CODE.continuation)
    assert canvas_of_prompt.continuation_ids(asker(border), CODE, 99) == right


def test_a_chat_and_a_prompt_that_nothing_follows_stay_as_they_are():
    assert canvas_of_prompt.in_tokens(asker(colon_and_line_break(CHAT)), CODE) is CODE
    alone = Text("code", "code", "def red(cat):")
    assert canvas_of_prompt.in_tokens(asker(colon_and_line_break()), alone) is alone


@pytest.mark.parametrize("prompts", ["decay", "open"])
@pytest.mark.parametrize("name", ["tiny-mdlm", "tiny-arlm", "oracle"])
def test_the_bundled_tokenizers_change_no_prompt(name, prompts):
    one = asker(models.load_border(models.resolve(name)))
    for text in texts.load(prompts, "small"):
        assert canvas_of_prompt.in_tokens(one, text) == text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama3", "qwen3"])
def test_every_shipped_prompt_ends_where_a_real_token_does(name):
    one = asker(real_border(name, MASKED))
    moved = []
    for text in texts.load("decay", "full"):
        found = canvas_of_prompt.in_tokens(one, text)
        assert found.prompt + found.continuation == text.prompt + text.continuation
        ids = one.border.pieces(found.prompt)
        assert one.border.pieces(text.prompt + text.continuation)[: len(ids)] == ids
        if found != text:
            moved.append(text.task)
            assert found.prompt.removeprefix(text.prompt).strip("\n") == ""
    assert moved == ["code"] * 25
