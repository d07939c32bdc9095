"""Pairs of answers with what a judge said of them. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pandas as pd

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.examples.answers import beside
from mdlm_probe.analysis.examples.choice import evenly, numbers, ranking
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import prompt, text
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.core import catalog
from mdlm_probe.core.csv_text import text_from
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.runs.judges import answer_sets
from mdlm_probe.runs.judges.answer_sets import ModelAnswer

PAIR = ("prompt", "settings", "seed", "intervention", "frac")
NAMED = ("model", "prompt", "seed", "intervention")
WON = ((0.5, "{} lost"), (0.500001, "a tie"), (2, "{} won"))


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Pairs from those whose shifted answer lost to those where it won, of each model and judge."""
    frame = rows.frame.assign(win=rows.frame["win"].fillna(0.5))
    named = frame.get("against", pd.Series(None, frame.index)).astype(object)
    frame = frame.assign(against=named.where(named.notna(), ""))
    pairs, own = numbers(frame, PAIR), numbers(frame, ("judge", "model", "against", *PAIR))
    judged, models = _Judged(rows), ModelAnswers(rows)
    replies = {name: _replies(rows, str(name)) for name in frame["judge"].unique()}
    found = []
    for number in evenly(ranking(frame, pairs, ("win",)), limit):
        for one in dict.fromkeys(own[pairs == number]):
            verdicts = [rows.fields(at) for at in own.index[own == one]]
            score = frame["win"][own == one].mean()
            by = models if verdicts[0].get("against") else judged
            found.append(_example(verdicts, score, by, replies[verdicts[0]["judge"]]))
    return found


def _example(
    verdicts: list[Fields],
    score: float,
    judged: _Judged | ModelAnswers,
    replies: list[dict[str, Any]],
) -> ExampleItem:
    row = verdicts[0]
    parts: list[Any] = judged.parts(row)
    sides = _sides(row)
    parts += [_verdict(verdict, sides) for verdict in verdicts]
    for reply in (reply for reply in replies if _belongs(reply["pair"], row)):
        side = sides.get(reply["order"])
        told = f"{side} first" if side else "in no order"
        parts.append(TextPart(f"what the judge wrote, {told}", reply["text"]))
    won = next(said for most, said in WON if score < most).format(sides["first"])
    what = (
        f"against {row['against']}"
        if row.get("against")
        else f"{row['intervention']} {row['frac']}"
    )
    title = f"{row['prompt']}, {what}, judge {row['judge']}: {won}"
    return ExampleItem(title, row["model"], row["task"], tuple(parts))


def _sides(row: Fields) -> dict[str, str]:
    """Both answers of a verdict in words, by when each is A."""
    if row.get("against"):
        return {"first": row["model"], "second": row["against"]}
    return {"first": "the shifted answer", "second": "the unshifted answer"}


def _verdict(row: Fields, sides: dict[str, str]) -> TextPart:
    said = row["verdict"] + (f": {row['reason']}" if row["reason"] else "")
    if row["shown"] in sides:
        return TextPart(f"verdict, {sides[row['shown']]} first (A)", said)
    return TextPart(f"verdict, {sides['first']} being A", said)


class ModelAnswers:
    """The answers of models that were judged, from the runs that they are in."""

    def __init__(self, rows: Rows) -> None:
        places = [of for entry in rows.entries.values() for of in entry["config"].get("of", ())]
        folders = dict.fromkeys((rows.folder / of).parent for of in places)
        self._at: dict[tuple[str, str, str], ModelAnswer] = {}
        with suppress(ProbeError, OSError):  # without them the verdicts are left
            for one in answer_sets.load(list(folders)):
                for own in one.answers:
                    self._at.setdefault((one.name, own.asked.id, own.seed), own)
                    self._at.setdefault((one.name, own.asked.id, ""), own)

    def parts(self, row: Fields) -> list[Any]:
        """The prompt and both answers of a verdict, as far as they are there."""
        ours = self._at.get((row["model"], row["prompt"], row["seed"]))
        theirs = self._at.get((row["against"], row["prompt"], row["seed"]))
        theirs = theirs or self._at.get((row["against"], row["prompt"], ""))
        if ours is None or theirs is None:
            return [TextPart("no answers", "the answers that were judged are not there")]
        texts = (ours.asked.prompt, ours.answer.text, theirs.answer.text)
        heads = ("prompt", f"answer of {row['model']}", f"answer of {row['against']}")
        return [TextPart(head, text) for head, text in zip(heads, texts, strict=True)]


class _Judged:
    """The answers that were judged: rows of a probe in the same folder."""

    def __init__(self, rows: Rows) -> None:
        self._at: dict[tuple[str, ...], list[int]] = {}
        try:
            found = frames.frames(rows.folder)[0]
            probe, frame = next((p, found[p]) for p in catalog.judged() if p in found)
        except (ProbeError, StopIteration):  # without them the verdicts are left
            return
        self._rows = Rows(rows.folder, probe, frame, rows.entries)
        columns = (*(frame[name].astype(str) for name in NAMED), frame["frac"].map(_number))
        for at, named in enumerate(zip(*columns, strict=True)):
            self._at.setdefault(named, []).append(at)

    def parts(self, row: Fields) -> list[Any]:
        """The prompt and both answers of a verdict, as far as they are there."""
        plain = self._find({**row, "intervention": NO_INTERVENTION, "frac": "0"})
        shifted = self._find(row)
        if plain is None or shifted is None:
            return [TextPart("no answers", "the rows that were judged are not there")]
        asked = prompt(self._rows, row["model"], lambda: text(shifted).prompt)
        answer = TextPart("unshifted answer", plain["answer"])
        return [asked, answer, beside("shifted answer", plain, shifted)]

    def _find(self, row: Fields) -> Fields | None:
        """The first answer with a verdict's coordinates and settings."""
        settings = [named.split("=", 1) for named in row["settings"].split(" ") if "=" in named]
        for at in self._at.get((*(row[name] for name in NAMED), _number(row["frac"])), ()):
            found = self._rows.fields(at)
            if all(found.get(name) == value for name, value in settings):
                return found
        return None


def _number(share: Any) -> str:
    return format(float(share), ".6g")


def _replies(rows: Rows, judge: str) -> list[dict[str, Any]]:
    """The replies of a judge that wrote any: the pair's coordinates, the order, the text."""
    found: dict[str, dict[str, Any]] = {}
    for name, entry in rows.entries.items():
        path = rows.folder / f"{name}.replies.jsonl"
        if str(entry.get("config", {}).get("judge")) != judge or not path.exists():
            continue
        for line in path.read_bytes().split(b"\n"):
            reply = _reply(line)
            found |= reply and {reply["call"]: reply}
    return list(found.values())


def _reply(line: bytes) -> dict[str, Any]:
    """A line of replies; nothing where it holds no text."""
    try:
        reply = json.loads(line)
        pair = json.loads(reply["pair"].partition("}#")[0].removesuffix("}") + "}")
        said = reply["response"]["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    if not said:
        return {}
    return {"call": reply["call"], "order": reply["order"], "pair": pair, "text": str(said)}


def _belongs(pair: Fields, row: Fields) -> bool:
    """Whether a reply is about the pair of a verdict."""
    settings = (named.split("=", 1) for named in row["settings"].split(" ") if "=" in named)
    named = (*NAMED, "frac", *(["against"] if row.get("against") else []))
    wanted: Iterable[tuple[str, str]] = [(n, row[n]) for n in named]
    return all(text_from(str(pair.get(n))) == v for n, v in (*wanted, *map(tuple, settings)))
