"""The remasking probe on a reader whose every answer is known, from masks to whole tables.

What it gives a token depends on the text, the place, and on every token of the window, the error
among them: a token that is read beside the right text, or at another place, is another one.
"""

import math

import numpy as np
import planted
import pytest

from mdlm_probe.probes.remasking import probe as remasking
from mdlm_probe.probes.remasking import report
from mdlm_probe.prompts import texts

LENGTH, REMASK, LIMIT = 6, (1, 2), 2
WORDS = (" captain", " ember", " frozen")


class Reader:
    """The rule: weights of the text's own token and of some words."""

    def __init__(self):
        reader = planted.PlantedReader(None)
        self.border, self.vocab = reader.border, reader.vocab
        self.mask = self.border.entry.mask_id
        self.words = [self.border.token(word) for word in WORDS]
        known = texts.load("decay", "small")
        self.texts = texts.chosen(known, ("prose",), LIMIT, "left")
        self.own = {t.id: self.border.pieces(t.continuation)[:LENGTH] for t in self.texts}

    def __call__(self, ids, at):
        for text in self.texts:
            prompt = self.border.encode(text.prompt)
            if ids[: len(prompt)] == prompt:
                return self.told(text.id, at - len(prompt), ids[len(prompt) :])
        raise AssertionError("another text")

    def told(self, name, place, window):
        own = self.own[name][place]
        weights = {w: 0.05 + planted.drawn(name, place, window, w) for w in (own, *self.words)}
        weights[own] += 1.0
        return {word: 0.9 * weight / sum(weights.values()) for word, weight in weights.items()}

    def surprisal(self, name, place, window, token):
        told = self.told(name, place, window)
        rest = (1 - sum(told.values())) / (self.vocab - len(told) - 1)
        return -math.log(told.get(token, rest))

    def read(self, name, window, reading):
        """The surprisals of a window's tokens."""
        found = []
        for place, token in enumerate(window):
            seen = [*window]
            if reading == "masked":
                seen[place] = self.mask
            found.append(self.surprisal(name, place, tuple(seen), token))
        return found

    def rewritten(self, name, window, places):
        """A window with these places written again, the most confident first."""
        seen = [self.mask if n in places else token for n, token in enumerate(window)]
        while self.mask in seen:
            told = {
                n: max(self.told(name, n, tuple(seen)).items(), key=lambda pair: pair[1])
                for n, token in enumerate(seen)
                if token == self.mask
            }
            place = max(told, key=lambda n: told[n][1])
            seen[place] = told[place][0]
        return seen


@pytest.fixture(scope="module")
def reader():
    return Reader()


@pytest.fixture(scope="module")
def rows(reader):
    cells = remasking.plan(
        lexicon="small",
        tasks=("prose",),
        limit=LIMIT,
        length=LENGTH,
        errors=2,
        remask=REMASK,
        reading=("masked", "visible"),
    )
    return planted.measured(remasking, planted.engine(reader), cells)


def windows(reader, rows):
    """Each row of texts, with the window that it must be of."""
    for row in rows["texts"].to_dict("records"):
        window = [*reader.own[row["prompt"]]]
        if row["error"] != "none":
            at = int(row["error_at"])
            assert row["right_token"] == reader.border.decode([window[at]])
            window[at] = reader.border.token(row["wrong_token"])
        yield row, tuple(window)


def test_tokens_are_read_beside_the_error_at_their_own_places(reader, rows):
    assert len(rows["texts"]) == LIMIT * 5 * 2
    for row, window in windows(reader, rows):
        wanted = reader.read(row["prompt"], window, row["reading"])
        assert row["surprisals"] == pytest.approx(wanted, rel=1e-3)
        assert row["text_tokens"] == LENGTH


def test_the_least_probable_tokens_are_written_again_and_compared_with_the_text(reader, rows):
    mended = rows["mended"].set_index(["prompt", "error", "plant", "reading", "remasked"])
    for row, window in windows(reader, rows):
        own = reader.own[row["prompt"]]
        for count in REMASK:
            places = sorted(range(LENGTH), key=lambda n: -row["surprisals"][n])[:count]
            wanted = reader.rewritten(row["prompt"], window, places)
            line = mended.loc[(row["prompt"], row["error"], row["plant"], row["reading"], count)]
            others = [n for n in places if row["error"] == "none" or n != row["error_at"]]
            assert line["spoilt"] == sum(wanted[n] != own[n] for n in others)
            if row["error"] == "none":
                assert line["found"] is None
                continue
            at = int(row["error_at"])
            assert line["found"] == (at in places)
            assert line["restored"] == (wanted[at] == own[at])
            assert line["rewritten_token"] == reader.border.decode([wanted[at]])


def test_tables_are_means_over_texts_of_what_was_read(reader, rows):
    tables = report.tables(rows)
    found = tables["detection"].set_index(["reading", "error"])
    near = tables["distance"].set_index(["reading", "error", "offset"])
    for reading in ("masked", "visible"):
        for error in ("unigram", "bigram"):
            areas, firsts, rises = [], [], {}
            for row, window in windows(reader, rows):
                if (row["reading"], row["error"]) != (reading, error):
                    continue
                at, name = int(row["error_at"]), row["prompt"]
                read = reader.read(name, window, reading)
                plain = reader.read(name, reader.own[name], reading)
                others = [n for n in range(LENGTH) if n != at]
                areas.append(np.mean([read[at] > read[n] for n in others]))
                firsts.append(all(read[at] > read[n] for n in others))
                for n in others:
                    offset = int(math.copysign(2 ** int(math.log2(abs(n - at))), n - at))
                    rises.setdefault(offset, {}).setdefault((name, row["plant"]), []).append(
                        read[n] - plain[n]
                    )
            line = found.loc[(reading, error)]
            assert (line["n"], line["plants"]) == (LIMIT, 2 * LIMIT)
            assert line["auroc"] == pytest.approx(np.mean(areas))
            assert line["first"] == pytest.approx(np.mean(firsts))
            assert line["first_by_chance"] == pytest.approx(1 / LENGTH)
            for offset, own in rises.items():
                wanted = np.mean([np.mean(values) for values in own.values()])
                assert near.loc[(reading, error, offset), "rise"] == pytest.approx(wanted, abs=0.01)
