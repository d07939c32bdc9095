"""Tokenizers that put a space before a text's first word: not inside it, nor where it is read."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers import models as tokenizer_models

from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.prompt import MASK, Prompt

VOCAB = ["<unk>", "<mask>", "<end>", "▁", "▁the", "▁cat", "the", "cat", "."]
IDS = {text: n for n, text in enumerate(VOCAB)}
SCHEMES = ("first", "always", "prepend", "bytes")


def made(scheme):
    """Word pieces; a text's first word gets its space by one of the ways that there are."""
    space = "Ġ" if scheme == "bytes" else "▁"
    vocab = {text.replace("▁", space): n for text, n in IDS.items()}
    letters = {c for text in vocab for c in text if not text.startswith("<")}
    vocab |= {c: len(vocab) + n for n, c in enumerate(sorted(letters - set(vocab)))}
    merges = [("t", "h"), ("th", "e"), ("c", "a"), ("ca", "t"), (space, "the"), (space, "cat")]
    vocab |= {piece: len(vocab) + n for n, piece in enumerate(("th", "ca"))}
    found = Tokenizer(tokenizer_models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    if scheme == "prepend":  # Llama 2
        found.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        found.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    elif scheme == "bytes":
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        found.decoder = decoders.ByteLevel()
    else:
        found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        found.decoder = decoders.Metaspace(prepend_scheme=scheme)
    found.add_special_tokens([AddedToken(text, normalized=False) for text in VOCAB[1:3]])
    return Border(found, Checkpoint("m", "llada", "masked", mask_id=IDS["<mask>"]))


def spelt(border, ids):
    return [border.tokenizer.id_to_token(i).replace("Ġ", "▁") for i in ids]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_space_is_put_after_a_mask(scheme):
    border = made(scheme)
    assert spelt(border, border.pieces(f"the{MASK}.")) == ["▁the", "<mask>", "."]
    assert spelt(border, border.pieces(f"the{MASK} cat")) == ["▁the", "<mask>", "▁cat"]
    assert spelt(border, border.pieces(f"{MASK}cat{MASK}the")) == ["<mask>", "cat", "<mask>", "the"]
    assert spelt(border, border.pieces("the cat")) == ["▁the", "▁cat"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_after_other_special_tokens_the_tokenizer_has_its_way(scheme):
    border = made(scheme)
    own = border.pieces("<end>cat.")
    assert border.pieces(f"{MASK}.<end>cat.") == (IDS["<mask>"], IDS["."], *own)
    assert spelt(border, own)[1:] == (["cat", "."] if scheme == "first" else ["▁cat", "."])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_read_inside_a_text_keeps_its_space(scheme):
    border = made(scheme)
    ids = border.pieces("the cat.")
    assert [border.decode([i]) for i in ids] == [" the", " cat", "."]
    assert border.decode(ids[1:]) == " cat."
    assert border.decode([IDS["cat"], IDS["▁cat"]]) == "cat cat"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_text_that_follows_another(scheme):
    border = made(scheme)
    assert border.cut("the", " cat") == ((IDS["▁the"],), (IDS["▁cat"],), False)
    assert border.cut("the ca", "t") == (
        border.pieces("the ca"),
        border.pieces(f"{MASK}t")[1:],
        True,
    )
    assert border.token(".", inside=True) == IDS["."]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_tokens_know_where_they_begin(scheme):
    """As many owners as tokens, of the right turns."""
    border = made(scheme)
    prompt = Prompt((("the", f"{MASK}."), (" cat", ".")), " ", "")
    both = list(zip(border.encode(prompt), border.owners(prompt), strict=True))
    found = [border.decode([i for i, own in both if own == turn]) for turn in (0, 1)]
    assert found == [" the <mask>.", " cat ."]
