"""Prompts and texts before any tokenizer, and how a mask is written in them."""

from __future__ import annotations

from dataclasses import dataclass, field

MASK = "\ue000"
"""Stands for one mask token in a prompt's text; the model's border turns it into the mask id."""


@dataclass(frozen=True)
class Prompt:
    """A few-shot prompt before any tokenizer: turns of (question, answer), and how to join them.

    The asked answer holds `MASK` characters, or ends at its opening when a causal model is to
    continue it. Chat models get a user and an assistant message for each turn.
    """

    turns: tuple[tuple[str, str], ...]
    turn: str
    end: str

    def text(self) -> str:
        """Plain concatenation, for base models: nothing follows the last answer."""
        return self.end.join(f"{question}{self.turn}{answer}" for question, answer in self.turns)


@dataclass(frozen=True)
class Text:
    """A text to continue.

    Attributes:
        id: its name, different from all others loaded with it.
        task: the type of text it is.
        prompt: the text that a model sees.
        continuation: what follows it, joined without anything between; "" where nobody knows.
        answer: the right answer, for an exact match; "" where there is none.
        history: turns of a conversation before the prompt, each a user's and an assistant's.
        then: what the user says next, once the prompt is answered; message by message.
    """

    id: str
    task: str
    prompt: str
    continuation: str = ""
    answer: str = ""
    # not in the repr: hashes of texts that finished runs have written down stay as they are
    history: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    then: tuple[str, ...] = field(default=(), repr=False)

    def asked(self, answer: str) -> Prompt:
        """The prompt with what is answered so far; turns of a conversation are a blank line apart,
        where the model's chat template doesn't say."""
        apart = "\n\n" if self.history else ""
        return Prompt((*self.history, (self.prompt, answer)), apart, apart)

    @property
    def conversation(self) -> str:
        """All that was said up to the answer, as a judge reads it."""
        said = [f"USER: {user}\n\nASSISTANT: {reply}\n\n" for user, reply in self.history]
        return "".join(said) + ("USER: " if said else "") + self.prompt
