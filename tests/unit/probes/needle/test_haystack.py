"""Haystacks: how filler is drawn, cut to a length, and where the fact stands in it."""

from dataclasses import replace

import pytest
from checkpoints import write_dream, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.needle import facts, haystack
from mdlm_probe.probes.needle.haystack import fit

DEPTHS = (0, 25, 50, 75, 100, None)


@pytest.fixture(scope="module")
def borders(tmp_path_factory):
    """Tokenizers of every kind, each with the lexicon it can write."""
    folder = tmp_path_factory.mktemp("borders")
    written = {
        "llada": write_llada(folder / "llada", context=4096),
        "bos": write_llama(folder / "bos", bos=True),
        "chat": write_llada(folder / "my-instruct", context=4096),
        "dream": write_dream(folder / "dream"),
    }
    found = {name: models.resolve(str(path)) for name, path in written.items()}
    assert found["chat"].chat
    full = {name: (models.load_border(entry), "full") for name, entry in found.items()}
    return full | {"tiny": (models.load_border(models.resolve("tiny-mdlm")), "small")}


KINDS = pytest.mark.parametrize("kind", ["llada", "bos", "chat", "dream", "tiny"])


@KINDS
def test_as_many_whole_sentences_as_the_length_allows(kind, borders):
    border, lexicon = borders[kind]
    source = facts.load("needle", lexicon)
    for item, length in ((0, 400), (1, 401), (2, 900)):
        hidden = fit(border, source, item, 0, length)
        every = haystack.filler(hidden.needle, item, 0, length)
        count = len(hidden.sentences)
        assert hidden.sentences == every[:count]
        room = length - len(hidden.answer)
        sizes = [len(border.encode(hidden.prompt(depth))) for depth in DEPTHS]
        assert max(sizes[:-1]) <= room
        assert sizes[-1] < min(sizes[:-1])
        more = source.prompt(hidden.needle, every[: count + 1], 1)
        assert len(border.encode(more)) > room


@KINDS
def test_the_fact_is_where_it_is_said_to_be(kind, borders):
    border, lexicon = borders[kind]
    hidden = fit(border, facts.load("needle", lexicon), 3, 0, 600)
    for depth in DEPTHS[:-1]:
        ids = border.encode(hidden.prompt(depth))
        start = haystack.start_of(border, hidden, depth)
        assert border.decode(ids[start:]).strip().startswith(hidden.needle.fact)
        assert hidden.needle.fact not in border.decode(ids[start + 2 :])
        longest = max(b - a for a, b in zip((0, *hidden.ends), hidden.ends, strict=False))
        frame = 60 if lexicon == "full" else 0  # intro, template
        assert abs(start - hidden.ends[-1] * depth / 100) <= longest / 2 + frame
    assert haystack.start_of(border, hidden, None) is None
    assert hidden.needle.fact not in border.decode(border.encode(hidden.prompt(None)))


@KINDS
def test_the_answer_goes_on_where_the_prompt_ends(kind, borders):
    """Token by token: what a masked model is asked for is what a reader would read there."""
    border, lexicon = borders[kind]
    hidden = fit(border, facts.load("needle", lexicon), 0, 0, 400)
    ids = border.encode(hidden.prompt(50))
    assert border.decode(ids).endswith(hidden.needle.opening)
    assert border.decode(hidden.answer) == hidden.needle.answer
    if not border.entry.chat:
        whole = hidden.prompt(50).text() + hidden.needle.answer
        assert (*ids, *hidden.answer) == border.encode(whole)


def test_only_the_facts_place_changes(borders):
    border, lexicon = borders["tiny"]
    hidden = fit(border, facts.load("needle", lexicon), 0, 0, 300)
    without = hidden.prompt(None).text()
    for depth in DEPTHS[:-1]:
        text = hidden.prompt(depth).text()
        assert text.count(hidden.needle.fact) == 1
        assert text.replace(f" {hidden.needle.fact}", "", 1) == without


def test_a_short_haystack_is_the_beginning_of_a_long_one():
    source = facts.load("needle", "full")
    for item in range(4):
        needle = source.needle(item, 0)
        short, long = (haystack.filler(needle, item, 0, words) for words in (100, 3000))
        assert sum(len(text.split()) for text in long) >= 3000
        assert long[: len(short)] == short
        assert short[:3] != haystack.filler(needle, item, 1, 100)[:3]
        assert all(text[0].isupper() and text.endswith(".") for text in long)


@pytest.mark.slow
def test_the_filler_says_nothing_of_key_and_value():
    source = facts.load("needle", "small")
    dropped = 0
    for item in range(30):
        needle = source.needle(item, 0)
        text = " ".join(haystack.filler(needle, item, 0, 1000))
        assert not facts.names(text, needle.key)
        assert not facts.names(text, needle.value)
        assert text[0].islower()
        other = source.needle(item + 1, 0)
        dropped += facts.names(text, other.key)
    assert dropped, "the words are in the filler of other needles"


def test_words_that_are_everywhere_in_the_filler_are_refused():
    needle = replace(facts.load("needle", "small").needle(0, 0), key=".")
    with pytest.raises(ProbeError, match=r"nearly every sentence of the filler names '\.'"):
        haystack.filler(needle, 0, 0, 100)


def test_unknown_words_are_refused(borders):
    border, _ = borders["tiny"]
    with pytest.raises(ProbeError, match="can't be written in the vocabulary of tiny-mdlm"):
        fit(border, facts.load("needle", "full"), 0, 0, 500)


def test_a_length_too_small_names_both_numbers(borders):
    border, lexicon = borders["tiny"]
    source = facts.load("needle", lexicon)
    with pytest.raises(ProbeError, match="a context of 11 tokens can't hold") as caught:
        fit(border, source, 0, 0, 11)
    least = int(caught.value.expected.split()[0])
    assert len(fit(border, source, 0, 0, least).sentences) == 1
    with pytest.raises(ProbeError, match=f"of {least - 1} tokens"):
        fit(border, source, 0, 0, least - 1)
