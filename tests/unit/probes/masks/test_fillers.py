"""Fillers: exact numbers of tokens, from the tokenizer that is there."""

from dataclasses import replace

import pytest
from checkpoints import bpe, bpe_parts, write_llada
from tokenizers import models as tokenizer_models

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.queries import Query
from mdlm_probe.models._border import Border
from mdlm_probe.probes.masks.fillers import Tail, amount, extend, fill, pad_is_eos
from mdlm_probe.prompts.prompt import Prompt


@pytest.fixture(scope="module")
def tiny():
    return models.load_border(models.resolve("tiny-mdlm"))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A byte-level tokenizer, as real checkpoints have."""
    folder = write_llada(tmp_path_factory.mktemp("f") / "m", context=256)
    return models.load_border(models.resolve(str(folder)))


@pytest.mark.parametrize("count", [0, 1, 7, 300])
@pytest.mark.parametrize("filler", ["mask", "dot", "dot-token", "eos", "pad", "random", "text"])
def test_exactly_as_many_tokens_as_asked(tiny, filler, count):
    ids = fill(tiny, filler, count, 1)
    assert len(ids) == count
    assert ids == fill(tiny, filler, 400, 1)[:count]
    assert max(ids, default=0) < tiny.vocab


@pytest.mark.parametrize("filler", ["dot", "dot-token", "space", "text", "random"])
def test_on_a_byte_level_tokenizer(real, filler):
    ids = fill(real, filler, 40, 0)
    assert len(ids) == 40
    text = real.decode(ids)
    if filler in ("dot", "dot-token"):
        assert text == "." * 40
    if filler == "space":
        assert text == " " * 40


def test_what_fillers_are(tiny):
    assert set(fill(tiny, "mask", 3, 0)) == {tiny.entry.mask_id}
    assert tiny.decode(fill(tiny, "dot", 3, 0)) == "..."
    assert set(fill(tiny, "eos", 3, 0)) == {tiny.entry.eos_ids[0]}
    words = fill(tiny, "text", 200, 0)
    assert tiny.tokenizer.token_to_id("<unk>") not in words
    assert fill(tiny, "text", 200, 1) != words
    drawn = fill(tiny, "random", 5000, 0)
    assert len(set(drawn)) > 0.9 * len(tiny.ordinary)
    assert not set(drawn) & {tiny.entry.mask_id, *tiny.entry.eos_ids}


def test_a_token_that_is_not_there_is_named(tiny):
    with pytest.raises(ProbeError, match=r"--filler space: the tokenizer of 'tiny-mdlm' has no"):
        fill(tiny, "space", 3, 0)
    bare = models.load_border(models.resolve("tiny-mdlm"))
    bare.entry = replace(bare.entry, eos_ids=())
    bare.specials = {}
    for filler in ("eos", "pad"):
        with pytest.raises(ProbeError, match=f"--filler {filler}: .* has no such token"):
            fill(bare, filler, 3, 0)


@pytest.mark.parametrize(
    ("text", "tokens"), [("0", 0), ("20", 20), (" 7 ", 7), ("5%", 10), ("0.5%", 1), ("max", 300)]
)
def test_amounts(text, tokens):
    assert amount(text).tokens(200, 500) == tokens
    assert amount(text).none == (text == "0")


@pytest.mark.parametrize("text", ["-1", "x", "5 %%", "0%", "-5%", "1.5", "inf%", "nan%", ""])
def test_amounts_that_mean_nothing(text):
    with pytest.raises(ProbeError, match="--masks has"):
        amount(text)


def extended(border, masks, filler, side, ids=(10, 11, 12), closing="]."):
    counter = DryRun(border.entry, border)
    query = extend(counter, Query(ids, (2,), ()), Tail(masks, filler, side, closing, 0))
    return query.ids, query.positions


def test_sides_move_the_asked_position_along(tiny):
    m = tiny.entry.mask_id
    assert extended(tiny, "3", "mask", "right") == ((10, 11, 12, m, m, m), (2,))
    assert extended(tiny, "3", "mask", "left") == ((m, m, m, 10, 11, 12), (5,))
    assert extended(tiny, "3", "mask", "both") == ((m, 10, 11, 12, m, m), (3,))
    assert extended(tiny, "0", "none", "none") == ((10, 11, 12), (2,))


def test_other_fillers_follow_the_closing_which_counts(tiny):
    (close,), (dot,) = tiny.pieces("]."), tiny.pieces(".")
    assert extended(tiny, "3", "dot", "right")[0] == (10, 11, 12, close, dot, dot)
    assert extended(tiny, "1", "dot", "right")[0] == (10, 11, 12, close)
    assert extended(tiny, "2", "dot", "left")[0] == (dot, dot, 10, 11, 12)


def test_dots_are_written_as_the_tokenizer_cuts_text(real):
    """A tokenizer that knows `..`, `....` and `].` whole: dots as text are none of its single dots,
    and the closing is cut together with them; one dot's token again and again is another filler.
    """
    vocab, merges = bpe_parts()
    for merge in ((".", "."), ("..", ".."), ("]", ".")):
        merges.append(merge)
        vocab["".join(merge)] = len(vocab) + 50  # above the special tokens
    tokenizer = bpe()
    tokenizer.model = tokenizer_models.BPE(vocab=vocab, merges=merges)
    border = Border(tokenizer, real.entry)
    four, one = vocab["...."], vocab["."]
    assert fill(border, "dot", 3, 0) == (four,) * 3
    assert fill(border, "dot-token", 3, 0) == (one,) * 3
    for count in (1, 2, 5, 70):
        ids, _ = extended(border, str(count), "dot", "right")
        assert ids[3:] == border.pieces("]." + "." * 4096)[:count]
        assert vocab["]."] not in ids, "the first pair of dots is joined before `].` is"
        ids, _ = extended(border, str(count), "dot-token", "right")
        assert ids[3:] == (vocab["]."], *[one] * 69)[:count]
    ids, at = extended(border, "7", "dot", "both")
    assert ids == (four, four, four, 10, 11, 12, *border.pieces("]." + "." * 4096)[:4])
    assert at == (5,)


def test_padding_that_ends_a_text_is_no_filler_of_its_own(real):
    assert pad_is_eos(models.resolve("tiny-mdlm"))
    assert not pad_is_eos(real.entry)
    assert not pad_is_eos(replace(models.resolve("llada-8b"), name="nowhere", source="no/where"))


def test_what_opens_a_text_stays_first(tmp_path):
    folder = write_llada(tmp_path / "m", context=256)
    border = models.load_border(models.resolve(str(folder)))
    border.__dict__["start"] = (7,)
    m = border.entry.mask_id
    assert extended(border, "2", "mask", "left", (7, 10, 11))[0] == (7, m, m, 10, 11)


def test_max_fills_the_context(tiny):
    ids, _ = extended(tiny, "max", "mask", "right")
    assert len(ids) == tiny.entry.context


def test_a_chats_opening_token_stays_first(real):
    real.specials = {**real.specials, "bos_token": real.decode([7])}
    m = real.entry.mask_id
    assert extended(real, "2", "mask", "left", (7, 10, 11))[0] == (7, m, m, 10, 11)
    assert extended(real, "2", "mask", "left", (8, 10, 11))[0] == (m, m, 8, 10, 11)


CHATML = (
    "{% for m in messages %}{{ '<|startoftext|>' + m['role'] + ' ' + m['content'] + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|startoftext|>assistant ' }}{% endif %}"
)


@pytest.mark.parametrize("starts", [False, True])
def test_where_every_message_opens_alike_nothing_goes_into_the_first(tmp_path, starts):
    """SmolLM2's chats have no beginning of text of their own: its token starts every turn."""
    folder = write_llada(tmp_path / "m-instruct", context=256, template=CHATML, bos=starts)
    border = models.load_border(models.resolve(str(folder)))
    m = border.entry.mask_id
    ids = border.encode(Prompt((("cat", "dog"), ("red", "Answer:[")), "", ""))
    assert border.decode(ids[:1]) == "<|startoftext|>"
    assert extended(border, "2", "mask", "left", ids)[0] == (m, m, *ids)
    plain = replace(border.entry, chat=False)
    border.entry = plain
    assert extended(border, "2", "mask", "left", ids)[0] == (ids[0], m, m, *ids[1:])
