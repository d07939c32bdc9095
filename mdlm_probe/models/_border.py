"""Text in, token ids out: tokenizers without remote code, chat templates, masks. No torch.

The `tokenizers` library reads the files itself, so that a plan can count tokens at once, and no
wrapper changes ids behind our back between releases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._cutter import Cutter
from mdlm_probe.models._messages import BEGIN, END, Message, check_kept, mark, of_turn
from mdlm_probe.models._tokenizer import chat_template, load_tokenizer, specials
from mdlm_probe.prompts.prompt import MASK, Prompt

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Border", "load_border", "load_tokenizer"]


class Border:
    """The border between text and a model: prompts in, token ids out, and back.

    A special token's spelling inside a text becomes that token, as in the authors' own code:
    few-shot prompts are ours, and chat templates rely on it.

    Args:
        tokenizer: from the `tokenizers` library, or a transformers tokenizer built on one.
        entry: whether prompts are chats, and the mask id.
        template: the chat template (Jinja), or "".
        specials: texts of special tokens that the template may ask for, such as `bos_token`.

    Attributes:
        is_rough: whether tokens are only counted roughly, where there is no tokenizer.
    """

    is_rough = False

    def __init__(
        self,
        tokenizer: Any,
        entry: Checkpoint,
        template: str = "",
        specials: dict[str, str] | None = None,
    ) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if backend is not tokenizer:
            template = template or tokenizer.chat_template or ""
            specials = specials or dict(tokenizer.special_tokens_map)
        backend.no_padding()
        backend.no_truncation()
        self.tokenizer: Tokenizer = backend
        self.entry = entry
        self.template = template
        self.specials = {k: v for k, v in (specials or {}).items() if isinstance(v, str)}

    # ------------------------------------------------------------------ in

    def encode(self, prompt: Prompt | str) -> tuple[int, ...]:
        """Token ids of a prompt; each `MASK` character becomes the mask token.

        Base checkpoints read the plain text, after the tokens that the tokenizer itself puts at the
        start (such as BOS) and without those it puts at the end. Chat checkpoints read the rendered
        chat, in which the template alone decides on such tokens. A str is read as plain text by
        both. Text is split at masks: the pieces are tokenised one by one, so that a mask never
        changes how its neighbours are cut.

        Raises:
            ProbeError: for masks in a causal model's prompt, or a chat without a template.
        """
        if isinstance(prompt, str):
            return self.start + self.pieces(prompt)
        if self.entry.chat:
            return self.pieces(self.chat(prompt))
        return self.start + self.pieces(prompt.text())

    def pieces(self, text: str, *, inside: bool = False) -> tuple[int, ...]:
        """Token ids of a text as it stands: no special tokens are put before or after it.

        Args:
            text: the text; what follows a mask in it is `inside`.
            inside: whether something stands before the text. Some tokenizers put a space before the
                first word of all.
        """
        parts, mask = text.split(MASK), self.entry.mask_id
        ids = self._cutter.ids(parts[0], inside)
        for part in parts[1:]:
            if mask is None:
                raise ProbeError(
                    f"the prompt holds {len(parts) - 1} mask(s), but {self.entry.name} is causal",
                    expected="a prompt that ends where the model is to continue",
                )
            ids.append(mask)
            ids += self._cutter.ids(part, inside=True) if part else ()
        return tuple(ids)

    def cut(self, before: str, text: str) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
        """Token ids of a text, those of one that follows it, and whether the two run together.

        Where one token spells the end of the first and the beginning of the second, the latter is
        cut by itself: its own tokens are the nearest there is.
        """
        first, both = self.pieces(before), self.pieces(before + text)
        if both[: len(first)] == first:
            return first, both[len(first) :], False
        return first, self.pieces(text, inside=True), True

    def owners(self, prompt: Prompt) -> tuple[int, ...]:
        """For every token of `encode(prompt)`, the turn it belongs to, from 0; -1 for none.

        A token belongs where its first character does. In plain text a turn reaches to the start of
        the next one: what joins turns belongs to the one it ends. In a chat only the messages'
        own texts belong to turns; the template's tokens, and those at the start, belong to none.

        Raises:
            ProbeError: a chat template that changes the texts of messages.
        """
        if self.entry.chat:
            text, owner = self._chat_owners(prompt)
            out = []
        else:
            text, owner = prompt.text(), []
            for turn, (question, answer) in enumerate(prompt.turns):
                owner += [turn] * len(f"{question}{prompt.turn}{answer}{prompt.end}")
            out = [-1] * len(self.start)
        begin = 0
        for number, part in enumerate(text.split(MASK)):
            if number:
                out.append(owner[begin - 1])
            out += [owner[begin + at] for at in self._cutter.beginnings(part, inside=number > 0)]
            begin += len(part) + 1
        return tuple(out)

    def _chat_owners(self, prompt: Prompt) -> tuple[str, list[int]]:
        """A rendered chat, and for each of its characters the turn whose message it is part of."""
        marked = tuple((mark(question), mark(answer)) for question, answer in prompt.turns)
        text, owner = "", []
        parts = re.split(f"[{BEGIN}{END}]", self.chat(replace(prompt, turns=marked)))
        for number, part in enumerate(parts):  # outside, question, outside, answer, outside, ...
            text += part
            owner += [(number // 2) // 2 if number % 2 else -1] * len(part)
        if text != self.chat(prompt):
            raise ProbeError(
                f"the chat template of {self.entry.name} changes the texts of messages",
                expected="messages as they are, so that each token's turn can be told",
                hint="--style base writes plain text",
            )
        return text, owner

    def token(self, text: str, after: str = "", *, inside: bool = False) -> int:
        """The one token that spells a text where it follows another, such as a letter after `[`.

        Args:
            text: the text.
            after: what it follows.
            inside: whether it follows something that doesn't matter; see `pieces`.

        Raises:
            ProbeError: when the text is several tokens, or not in the vocabulary.
        """
        ids = self.cut(after, text)[1] if after else self.pieces(text, inside=inside)
        if len(ids) != 1:
            cut = ", ".join(repr(self.decode([i])) for i in ids)
            raise ProbeError(
                f"'{text}' is {len(ids)} tokens for {self.entry.name}: {cut or 'none'}",
                expected="a single token",
                hint="use answers by letter, or words that this tokenizer knows whole",
            )
        if ids[0] == self._unknown:
            raise ProbeError(
                f"'{text}' is not in the vocabulary of {self.entry.name}",
                hint="choose a lexicon of words it knows, such as `small` for the bundled ones",
            )
        return ids[0]

    def chat(self, prompt: Prompt) -> str:
        """The text of a chat: each turn a user and an assistant message.

        The last turn is left open (its answer follows the template's generation prompt, and nothing
        follows it) unless an earlier turn holds the masks and the last one does not.
        """
        *earlier, (question, answer) = prompt.turns
        masked_before = any(MASK in text for turn in earlier for text in turn)
        is_open = MASK in answer or not masked_before
        messages = [m for asked, answered in earlier for m in of_turn(asked, answered)]
        messages.append({"role": "user", "content": question})
        if not is_open:
            messages.append({"role": "assistant", "content": answer})
        text = self.render(messages, is_open) + (answer if is_open else "")
        wanted = sum(text.count(MASK) for turn in prompt.turns for text in turn)
        if text.count(MASK) != wanted:
            raise ProbeError(
                f"the chat template of {self.entry.name} keeps {text.count(MASK)} of {wanted} "
                "masks",
                hint="a template that drops parts of messages can't be used for this probe",
            )
        return text

    def render(self, messages: Sequence[Message], opened: bool) -> str:
        """The chat template applied to messages; `opened` starts the assistant's next turn.

        Raises:
            ProbeError: when the checkpoint has no template, or it refuses the messages, leaves one
                out or changes its text (but for the whitespace around it).
        """
        if not self.template:
            raise ProbeError(
                f"{self.entry.name} is a chat checkpoint, but has no chat template",
                expected="chat_template in tokenizer_config.json, or chat_template.jinja",
            )
        text = self._rendered(messages, opened)
        roles = tuple(message["role"] for message in messages)
        if (roles, opened) not in self._kept:  # short messages stand in other words, marks don't
            marks = [{"role": r, "content": f"{BEGIN}{n}{END}"} for n, r in enumerate(roles)]
            check_kept(self.entry.name, marks, self._rendered(marks, opened))
            self._kept.add((roles, opened))
        check_kept(self.entry.name, messages, text)
        return text

    def _rendered(self, messages: Sequence[Message], opened: bool) -> str:
        import jinja2

        try:
            return self._compiled.render(
                messages=list(messages),
                add_generation_prompt=opened,
                **self.specials,
                **self.entry.chat_options,
            )
        except jinja2.TemplateError as error:
            raise ProbeError(
                f"the chat template of {self.entry.name} refuses this chat: {error}"
            ) from None

    # ------------------------------------------------------------------ out

    def decode(self, ids: Sequence[int]) -> str:
        """What token ids spell inside a text: special tokens as text, `<slack>` only if alone."""
        kept = [token for token in ids if token != self.entry.slack_id]
        return self._cutter.decode(kept) if kept or not len(ids) else "<slack>"

    @property
    def vocab(self) -> int:
        """Number of ids the tokenizer knows; the network's table may have more rows."""
        return self.tokenizer.get_vocab_size(with_added_tokens=True)

    @cached_property
    def mask_text(self) -> str:
        """How the tokenizer spells the mask token; "" of a causal model."""
        mask = self.entry.mask_id
        return "" if mask is None else self.tokenizer.id_to_token(mask) or ""

    # ------------------------------------------------------------------ within

    @cached_property
    def _kept(self) -> set[tuple[tuple[str, ...], bool]]:
        """Roles of chats that the template is known to keep, with whether a turn was opened."""
        return set()

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self.tokenizer)

    @cached_property
    def start(self) -> tuple[int, ...]:
        """What the tokenizer puts before every text by itself."""
        encoding = self.tokenizer.encode("a", add_special_tokens=True)
        marks = [*encoding.special_tokens_mask, 0]
        return tuple(encoding.ids[: marks.index(0)])

    def opening(self, ids: Sequence[int]) -> int:
        """How many of a text's first tokens open it: what the tokenizer, or a chat, puts first."""
        if self.start and tuple(ids[: len(self.start)]) == self.start:
            return len(self.start)
        bos = self.tokenizer.token_to_id(self.specials.get("bos_token", ""))
        return int(bos is not None and len(ids) > 0 and ids[0] == bos)

    def before_turns(self, ids: Sequence[int]) -> int:
        """How many of a prompt's first tokens stand before its first turn.

        They are its opening, unless that is how every message of a chat begins.
        """
        count = self.opening(ids)
        return 0 if count and self.entry.chat and ids[0] == self._message_start else count

    @cached_property
    def _message_start(self) -> int | None:
        """The token that every message of a chat begins with, where there is one."""
        first, *rest = self.pieces(self.render(of_turn("a", "b"), False))
        return first if first in rest else None

    @cached_property
    def pad(self) -> int | None:
        """The padding token, where the tokenizer has one."""
        return self.tokenizer.token_to_id(self.specials.get("pad_token", ""))

    @cached_property
    def ordinary(self) -> tuple[int, ...]:
        """Ids of all tokens that are not special: no mask, no end of text, no turn marks."""
        special = {self.entry.mask_id, *self.entry.eos_ids}
        special |= self._cutter.added
        return tuple(i for i in range(self.vocab) if i not in special)

    @cached_property
    def _unknown(self) -> int | None:
        text = getattr(self.tokenizer.model, "unk_token", None)
        return None if text is None else self.tokenizer.token_to_id(text)

    @cached_property
    def _compiled(self) -> Template:
        import jinja2

        from mdlm_probe.core.templates import ImmutableSandbox

        environment = ImmutableSandbox(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", "mdlm_probe.models._template.Generation"],
        )
        # no strftime_now: templates then fall back to a fixed date, and a prompt never changes
        environment.globals["raise_exception"] = _refuse
        environment.filters["tojson"] = _tojson
        try:
            return environment.from_string(self.template)
        except jinja2.TemplateError as error:
            raise ProbeError(
                f"the chat template of {self.entry.name} can't be read: {error}"
            ) from None


def _refuse(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _tojson(value: Any, indent: int | None = None) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent)


def load_border(folder: Path, entry: Checkpoint) -> Border:
    """The border of a checkpoint folder, from its tokenizer files only.

    Raises:
        ProbeError: when there is no tokenizer that can be read without remote code.
    """
    return Border(load_tokenizer(folder), entry, chat_template(folder), specials(folder))
