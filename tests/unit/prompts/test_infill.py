"""Prompts with masks within: markers, the space before them, and what is text all the same."""

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import infill
from mdlm_probe.prompts.prompt import MASK

OWN = "<|mdm_mask|>"


@pytest.mark.parametrize(
    ("prompt", "around", "masks", "spaces"),
    [
        ("the <mask> sat", ("the", " sat"), (1,), (" ",)),
        ("the<mask:12>sat", ("the", "sat"), (12,), ("",)),
        ("  <mask>\nx", (" ", "\nx"), (1,), (" ",)),
        ("x\n<mask>", ("x\n", ""), (1,), ("",)),
        ("<mask:2>, <mask> b <mask:3>", ("", ",", " b", ""), (2, 1, 3), ("", " ", " ")),
        ("a <mask> <mask:4><mask> b", ("a", " b"), (6,), (" ",)),
        ("a <mask>. <mask>", ("a", ".", ""), (1, 1), (" ", " ")),
        (r"a \<mask> b <mask>", ("a <mask> b", ""), (1,), (" ",)),
        (r"\<mask:x><mask>", ("<mask:x>", ""), (1,), ("",)),
        ("<MASK> <mask > [MASK] <mask>", ("<MASK> <mask > [MASK]", ""), (1,), (" ",)),
        (f"a {OWN}{OWN} b <mask>", ("a", " b", ""), (2, 1), (" ", " ")),
        (rf"a \{OWN} <mask>", (f"a {OWN}", ""), (1,), (" ",)),
    ],
)
def test_markers_are_spans(prompt, around, masks, spaces):
    found = infill.parse(prompt, "p", OWN)
    assert (found.around, found.masks, found.spaces) == (around, masks, spaces)
    assert found.text().count(MASK) == sum(masks)
    assert found.text().replace(MASK, "") == "".join(around)
    filled = [f"{n}" for n in range(len(masks))]
    assert found.whole(filled).startswith(around[0] + "0" + around[1])
    assert found.whole([""] * len(masks)) == "".join(around)


def test_a_mask_token_is_text_where_it_is_no_models_own():
    found = infill.parse(f"a {OWN} <mask>", "p")
    assert found.around == (f"a {OWN}", "")


@pytest.mark.parametrize(
    "prompt",
    [
        *("a b", r"a \<mask>", "<mask>", " <mask:3>\n", "a <mask:0>", "a <mask:-1>", "a <mask:x>"),
        *("a <mask:>", "a <mask:1.5>", "a <mask:\u0663>", "a <mask:99999999>", "a <mask> <mask:0>"),
    ],
)
def test_what_is_no_number_of_masks_is_refused(prompt):
    with pytest.raises(ProbeError, match="prompt 'p'"):
        infill.parse(prompt, "p")


@pytest.mark.parametrize(
    ("prompt", "told"),
    [("a <mask> b", True), ("<mask:12>", True), (r"\<mask>", False), ("<MASK> mask", False)],
)
def test_markers_are_told_from_text(prompt, told):
    assert infill.marked(prompt) is told
