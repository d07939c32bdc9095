"""Conversations as token ids, cut to the context, and how many were cut or left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._border import Border
from mdlm_probe.tuning.conversations import Conversation
from mdlm_probe.tuning.corruption import Sample
from mdlm_probe.tuning.recipe import Lengths


@dataclass(frozen=True)
class Samples:
    """What training reads.

    Attributes:
        samples: in the order of the data.
        cut, skipped: how many were too long.
    """

    samples: tuple[Sample, ...]
    cut: int
    skipped: int

    @property
    def digest(self) -> str:
        """A hash of every token."""
        text = repr([(s.prompt, s.answer) for s in self.samples])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def told(self) -> str:
        """How many there are, in words."""
        count = len(self.samples)
        return f"{count} samples; too long: {self.cut} cut, {self.skipped} left out"


def encode(border: Border, found: Iterable[Conversation], lengths: Lengths, most: int) -> Samples:
    """Prompts and answers as a checkpoint reads them: the first `most` that fit, or all.

    A chat checkpoint's template writes the prompt; the answer follows it and ends with the
    checkpoint's end of turn. A base checkpoint reads plain text: `prompt` and `answer` as they
    stand, the texts of other forms with an empty line between them; the answer ends with the end of
    text. Ours.

    Raises:
        ProbeError: nothing is left, a mask that is the end of text, or a template that refuses.
    """
    ends = _ends(border)
    samples, cut, skipped = [], 0, 0
    for one in found:
        prompt = _prompt(border, one)
        written = one.turns[-1][1].strip() if border.entry.chat else one.turns[-1][1]
        answer = (*border.pieces(written, inside=True), ends[0])
        room = lengths.context - len(prompt)
        if len(answer) > room:
            if lengths.too_long == "skip" or room < 1:
                skipped += 1
                continue
            cut += 1
            answer = answer[:room]
        filled = min(lengths.pad_to, room) - len(answer)
        samples.append(Sample(prompt, answer + ends[1:] * max(filled, 0)))
        if len(samples) == most:
            break
    if not samples:
        raise ProbeError(
            f"--data has no sample that fits: {skipped} are longer than {lengths.context} tokens",
            expected="one sample or more",
            hint="--too-long cut cuts their answers; --context sets the length",
            option="data",
        )
    return Samples(tuple(samples), cut, skipped)


def _ends(border: Border) -> tuple[int, int]:
    """What ends an answer, and what fills the rest."""
    entry = border.entry
    if not entry.eos_ids or entry.mask_id in entry.eos_ids:
        both = f"its mask is its end of text, {entry.mask_id}" if entry.eos_ids else "it has none"
        raise ProbeError(
            f"'{entry.name}' can't be tuned to end its answers: {both}",
            expected="a checkpoint whose end of text is a token of its own",
        )
    return entry.eos_ids[-1 if entry.chat else 0], entry.eos_ids[0]


def _prompt(border: Border, one: Conversation) -> tuple[int, ...]:
    if border.entry.chat:
        messages = [{"role": role, "content": text} for role, text in one.turns[:-1]]
        prompt = border.pieces(border.render(messages, opened=True))
    else:
        between = "" if one.plain else "\n\n"
        prompt = border.encode("".join(text + between for _, text in one.turns[:-1]))
    if not prompt:
        raise ProbeError(f"{one.where}: the prompt has no tokens", expected="a text")
    return prompt
