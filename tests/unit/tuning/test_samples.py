"""Conversations as token ids: what a base and a chat checkpoint read, cut, skipped, padded."""

import dataclasses

import pytest
from checkpoints import EOS, EOT, special_ids, write_llada

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.tuning.conversations import Conversation
from mdlm_probe.tuning.recipe import Lengths
from mdlm_probe.tuning.samples import encode

IDS = special_ids()
SHORT = Conversation((("user", "cat dog"), ("assistant", " red")), True, "here")
LONG = Conversation((("user", "cat"), ("assistant", " red" * 9)), True, "there")


@pytest.fixture(scope="module")
def border(tmp_path_factory):
    folder = write_llada(tmp_path_factory.mktemp("samples") / "m")
    return models.load_border(models.resolve(str(folder)))


def chat(border):
    border = models.load_border(dataclasses.replace(border.entry, chat=True))
    border.entry = dataclasses.replace(border.entry, eos_ids=(IDS[EOS], IDS[EOT]))
    return border


def test_a_base_model_reads_prompt_and_answer_as_they_stand(border):
    (sample,) = encode(border, [SHORT], Lengths(50), 99).samples
    assert border.decode(sample.prompt) == "cat dog"
    assert border.decode(sample.answer) == f" red{EOS}"


def test_a_base_model_reads_other_forms_with_lines_between(border):
    turns = (("system", "cat"), ("user", "dog"), ("assistant", "red"))
    (sample,) = encode(border, [Conversation(turns, False, "")], Lengths(50), 99).samples
    assert border.decode(sample.prompt) == "cat\n\ndog\n\n"


def test_a_chat_model_reads_its_template_and_ends_the_turn(border):
    (sample,) = encode(chat(border), [SHORT], Lengths(50), 99).samples
    assert border.decode(sample.prompt).endswith("assistant<|end_header_id|>\n\n")
    assert "cat dog" in border.decode(sample.prompt)
    assert border.decode(sample.answer) == f"red{EOT}"


def test_answers_are_filled_with_ends_of_text_where_that_is_asked(border):
    (sample,) = encode(border, [SHORT], Lengths(50, pad_to=4), 99).samples
    assert border.decode(sample.answer) == f" red{EOS}{EOS}{EOS}"
    (sample,) = encode(chat(border), [SHORT], Lengths(50, pad_to=4), 99).samples
    assert border.decode(sample.answer) == f"red{EOT}{EOS}{EOS}"
    (sample,) = encode(border, [SHORT], Lengths(6, pad_to=40), 99).samples
    assert len(sample.prompt) + len(sample.answer) == 6


def test_long_ones_are_left_out_or_cut_and_counted(border):
    found = encode(border, [SHORT, LONG], Lengths(8), 99)
    assert (len(found.samples), found.cut, found.skipped) == (1, 0, 1)
    found = encode(border, [SHORT, LONG], Lengths(8, "cut"), 99)
    assert (len(found.samples), found.cut, found.skipped) == (2, 1, 0)
    assert found.told() == "2 samples; too long: 1 cut, 0 left out"
    assert EOS not in border.decode(found.samples[1].answer)
    with pytest.raises(ProbeError, match="no sample that fits: 1 are longer than 8 tokens"):
        encode(border, [LONG], Lengths(8), 99)


def test_no_more_is_read_than_the_training_takes(border):
    def rows():
        yield LONG
        yield from [SHORT] * 2
        pytest.fail("read on")

    found = encode(border, rows(), Lengths(8), 2)
    assert (len(found.samples), found.skipped) == (2, 1)


def test_the_digest_is_of_every_token(border):
    one, two = (encode(border, given, Lengths(50), 99) for given in ([SHORT], [LONG]))
    assert one.digest == encode(border, [SHORT], Lengths(50), 99).digest != two.digest


def test_a_mask_that_is_the_end_of_text_is_refused(border):
    other = models.load_border(border.entry)
    other.entry = dataclasses.replace(border.entry, eos_ids=(border.entry.mask_id,))
    with pytest.raises(ProbeError, match="its mask is its end of text"):
        encode(other, [SHORT], Lengths(50), 99)
