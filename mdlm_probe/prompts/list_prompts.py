"""List tasks as prompts: the wording and the words of a YAML file, drawn by seed. No torch.

Read from tasks/lists.yaml, or a user's own. Every word of a task is one token of the model that
is asked, so that a slot of the answer is a mask. Source: ours.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.prompts.list_tasks import FAMILIES, Arrangement, Family, ListTask, has_new_word
from mdlm_probe.prompts.prompt import MASK, Prompt
from mdlm_probe.prompts.shipped import path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Known = Callable[[str], bool]
"""Whether a word, with the space before it, is one token of a model."""
FIELDS = ("opening", "turn", "end", "words", "tasks")
SLOTS = {"words": "(?P<words>.+)", "word": r"(?P<word> \S+)", "place": r"(?P<place>\d+)"}
"""What a task's wording has in braces, and how it is read back."""


@dataclass(frozen=True)
class ListPrompts:
    """A file of list tasks, read for one of its lexicons.

    Attributes:
        name: the file's.
        opening: what an answer begins with, before its first word.
        turn, end: between a question and its answer, and after that, in plain text.
        words: that lists are made of, without spaces.
        tasks: the wording of each family.
    """

    name: str
    opening: str
    turn: str
    end: str
    words: tuple[str, ...]
    tasks: tuple[tuple[Family, str], ...]

    def digest(self) -> str:
        """A hash of all that the prompts are made of."""
        return hashlib.blake2b(repr(self).encode(), digest_size=8).hexdigest()

    def task(
        self, family: Family, length: int, item: int, seed: int, known: Known, shot: int = 0
    ) -> ListTask:
        """A task. Those of all families have the same lists.

        Args:
            family, length: what is to be done with how many words.
            item, seed: its number, and the seed of all of them.
            known: words that may be used. A model that lacks one has the next one in its place.
            shot: number of one of the item's examples, from 1; 0: the item itself.

        Raises:
            ProbeError: too few words are known.
        """
        rng = random.Random(seed_of("lists", length, item, seed, shot))
        drawn = [word for word in rng.sample(self.words, len(self.words)) if known(f" {word}")]
        if len(drawn) <= length:
            raise ProbeError(
                f"{len(drawn)} of the {len(self.words)} words of '{self.name}' are a token each",
                expected=f"{length + 1} or more, for lists of {length} and a new word",
                hint="lower --words, choose another --lexicon (small is for the bundled models),"
                " or give --lists of your own",
            )
        word = drawn[length] if has_new_word(family) else ""
        places = length + family.startswith("insert")
        return ListTask(family, tuple(drawn[:length]), word, rng.randrange(places))

    def question(self, task: ListTask) -> str:
        """A task in words."""
        text = dict(self.tasks)[task.family]
        filled = {"words": spaced(task.words), "word": f" {task.word}", "place": task.place + 1}
        return re.sub(r"\{(\w+)\}", lambda slot: str(filled[slot[1]]), text)

    def answer(self, task: ListTask, arrangement: Arrangement) -> str:
        """An answer in words."""
        return self.opening + spaced([task.all_words[at] for at in arrangement])

    def prompt(
        self, item: ListTask, examples: Sequence[ListTask], seed: int, masks: bool
    ) -> Prompt:
        """Examples with right answers, evenly drawn where several are, and the item.

        Args:
            item: what is asked.
            examples: of the same family.
            seed: of the examples' answers.
            masks: whether the item's answer has a `MASK` for every word, or ends at its opening.
        """
        turns = [
            (self.question(one), self.answer(one, right_answer(one, seed_of(seed, number))))
            for number, one in enumerate(examples)
        ]
        opened = self.opening + MASK * item.slots * masks
        return Prompt((*turns, (self.question(item), opened)), self.turn, self.end)

    def read(self, question: str) -> ListTask | None:
        """The task that a question puts in words; None where it is none."""
        for family, text in self.tasks:
            parts = re.split(r"(\{\w+\})", text)
            pattern = "".join(SLOTS[p[1:-1]] if p[:1] == "{" else re.escape(p) for p in parts)
            if found := re.fullmatch(pattern, question):
                told = {"word": "", "place": "1"} | found.groupdict()
                place = int(told["place"]) - 1
                return ListTask(family, tuple(told["words"].split()), told["word"].strip(), place)
        return None


def spaced(words: Sequence[str]) -> str:
    """Words with a space before each."""
    return "".join(f" {word}" for word in words)


def right_answer(task: ListTask, seed: int) -> Arrangement:
    """One of a task's right answers, evenly drawn."""
    rng = random.Random(seed)
    if task.family != "shuffle":
        return rng.choice(task.arrangements())
    found = list(range(len(task.words)))
    while not task.is_right(found):
        rng.shuffle(found)
    return tuple(found)


# ---------------------------------------------------------------------- files


@cache
def load(lists: str = "lists", lexicon: str = "full") -> ListPrompts:
    """Reads a file of list tasks for one of its lexicons.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    path = path_of(lists, "lists", ("lists",))
    doc = Document(path)
    doc.only((), ("name", "lexicons", "words"))
    lexicons, at = doc.get(("lexicons",), dict), ("lexicons", lexicon)
    if lexicon not in lexicons:
        raise doc.error(at[:1], f"no lexicon '{lexicon}'", "one of " + ", ".join(lexicons))
    doc.only(at, FIELDS)
    doc.only((*at, "tasks"), FAMILIES)
    defaults = {"opening": "", "turn": "\n", "end": "\n\n"}
    around = {name: doc.get((*at, name), str, usual) for name, usual in defaults.items()}
    named: Mapping[str, str] = doc.get((*at, "tasks"), dict)
    tasks = tuple(
        (one, _wording(doc, (*at, "tasks", one), one)) for one in FAMILIES if one in named
    )
    if not tasks:
        raise doc.error((*at, "tasks"), "found none", "the wording of a family or more")
    words = _words(doc, (*at, "words"))
    return ListPrompts(doc.get(("name",), str, path.stem), **around, words=words, tasks=tasks)


def _wording(doc: Document, at: tuple[str, ...], family: Family) -> str:
    """A family's wording, with all that it has to say."""
    text = doc.get(at, str)
    needed = ["words"] + ["word"] * has_new_word(family) + ["place"] * family.endswith("-index")
    if sorted(re.findall(r"\{(\w*)\}", text)) != sorted(needed) or MASK in text:
        slots = ", ".join(f"{{{name}}}" for name in needed)
        raise doc.error(at, f"found {text!r}", f"a text with {slots}, each once")
    return text


def _words(doc: Document, at: tuple[str, ...]) -> tuple[str, ...]:
    """The word list that a field names."""
    name, known = doc.get(at, str), doc.get(("words",), dict)
    if name not in known:
        raise doc.error(at, f"no list '{name}' in words", "one of " + ", ".join(known))
    found = doc.get(("words", name), (str, list))
    words = tuple(found.split() if isinstance(found, str) else map(str, found))
    wrong = [w for w in words if len(w.split()) != 1 or MASK in w or words.count(w) > 1]
    if wrong or not words:
        raise doc.error(("words", name), f"found {wrong[:3]!r}", "single words, each of them once")
    return words
