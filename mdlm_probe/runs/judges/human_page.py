"""A blind page on which people judge pairs of answers, and its key, which says who wrote what."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable, write_json, write_whole
from mdlm_probe.runs.judges.answer_pairs import AnswerPair
from mdlm_probe.runs.judges.judge_calls import BOTH, Call
from mdlm_probe.runs.judges.judge_prompt import VERDICTS

TEMPLATE = Path(__file__).with_suffix(".html")


@dataclass(frozen=True)
class PageKey:
    """What a page hides.

    Attributes:
        page: the page's name, drawn at random.
        nonce: what its own script and style carry, and nothing that a model wrote.
        items: of each pair the id of its call, which tells the order, by its name on the page; in
            the order of the page.
    """

    page: str
    nonce: str
    items: dict[str, str]


def write(folder: Path, name: str, pairs: Sequence[AnswerPair], *, fresh: bool) -> Path:
    """Writes NAME.html and NAME.key.json; a key that is there already makes the same page again.

    Pairs of equal texts are left out: they are ties. Which answer is A, the order of the pairs and
    their names on the page are drawn at random; only the key tells them.

    Raises:
        ProbeError: the folder can't be used; its key is of other pairs, or damaged; no pair
            differs.
    """
    calls = {Call(pair, order).id: Call(pair, order) for pair in pairs for order in BOTH}
    shown = [pair for pair in pairs if not pair.identical]
    if not shown:
        raise ProbeError("all pairs are equal texts: nothing to judge", expected="other answers")
    path = key_path(folder, name)
    if path.exists() and not fresh:
        found = read_key(path)
        known = [calls[call].pair.id if call in calls else "" for call in found.items.values()]
        if sorted(known) != sorted(pair.id for pair in shown):
            raise ProbeError(
                f"{path} is of a page with other pairs",
                expected="the same runs and options",
                hint="--fresh draws a new page; verdicts of the old one are of no use then",
            )
    else:
        found = _drawn(shown)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(folder, error) from error
        write_json(path, {"page": found.page, "nonce": found.nonce, "items": found.items})
    page = folder / f"{name}.html"
    write_whole(page, _page(found, calls))
    return page


def key_path(folder: Path, name: str) -> Path:
    """Where the key of a page is."""
    return folder / f"{name}.key.json"


def read_key(path: Path) -> PageKey:
    """The key of a page.

    Raises:
        ProbeError: there is none, or it is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        items = found["items"]
        texts = [found["page"], found["nonce"], *items.keys(), *items.values()]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("no texts")
        return PageKey(found["page"], found["nonce"], items)
    except FileNotFoundError:
        raise ProbeError(
            f"no page was made in {path.parent}",
            expected="--judge-by human without --verdicts first, which writes it",
            option="verdicts",
        ) from None
    except OSError as error:
        raise unusable(path, error) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ProbeError(
            f"{path} is damaged: {error}", hint="--fresh draws a new page, to be judged anew"
        ) from None


def _drawn(pairs: Sequence[AnswerPair]) -> PageKey:
    draw = secrets.SystemRandom()
    order = draw.sample(list(pairs), len(pairs))
    items = {secrets.token_hex(8): Call(pair, draw.choice(BOTH)).id for pair in order}
    return PageKey(secrets.token_hex(8), secrets.token_urlsafe(16), items)


def _page(found: PageKey, calls: dict[str, Call]) -> str:
    items: list[dict[str, Any]] = []
    for item, call in found.items.items():
        a, b = calls[call].texts
        items.append({"item": item, "prompt": calls[call].pair.asked, "a": a, "b": b})
    data = json.dumps({"page": found.page, "verdicts": list(VERDICTS), "items": items})
    for letter in "<>&":  # no text can end the script element, or begin another
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    parts = TEMPLATE.read_text(encoding="utf-8").replace("@NONCE@", found.nonce).split("@DATA@")
    return data.join(parts)
