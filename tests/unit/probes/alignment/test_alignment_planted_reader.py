"""The alignment probe on readers whose every answer is known, from texts to whole tables."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import planted
import pytest

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.alignment import probe as alignment
from mdlm_probe.probes.alignment import report
from mdlm_probe.probes.alignment.moved_targets import hidden

TEXTS = {
    "one": (" the pale wind", " moon king king ship coin door"),
    "two": (" a old hill", " gate lake coin coin moon ember"),
    "three": (" some child", " lamp road stone ship wind king"),
}
EPS = 0.02
SHARES = (0.5, 1.0)
TARGETS = ("unmoved", "right", "left", "inserted", "replaced")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "own.jsonl"
    rows = [{"id": i, "prompt": p, "continuation": c} for i, (p, c) in TEXTS.items()]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


class Known:
    """Prompts and continuations in tokens, by the reader's tokenizer."""

    def __init__(self):
        border = planted.PlantedReader(None).border
        self.mask, self.vocab = border.entry.mask_id, border.vocab
        self.texts = {i: (border.pieces(p), border.pieces(c)) for i, (p, c) in TEXTS.items()}
        assert all(len(c) == 6 for _, c in self.texts.values())

    def find(self, ids):
        name = next(n for n, (p, _) in self.texts.items() if ids[: len(p)] == p)
        return name, len(self.texts[name][0])


@pytest.fixture(scope="module")
def known():
    return Known()


def measured(file, rule, engine=None, **options):
    given = {"source_text": "continuation", "shares": SHARES, "length": 6} | options
    cells = alignment.plan(prompts=file, **given)
    return planted.measured(alignment, engine or planted.engine(rule), cells)


# ---------------------------------------------------------------------- closed forms


def test_a_reader_that_is_certain_of_its_text_pays_for_every_moved_token(file, known):
    def rule(ids, at):
        name, first = known.find(ids)
        text = known.texts[name][1]
        return {text[at - first]: 1 - EPS} if at - first < len(text) else {}

    rows = measured(file, rule, shares=(1.0,))
    own, wrong = -math.log(1 - EPS), -math.log(EPS / (known.vocab - 2))
    even = math.log(known.vocab - 1)  # at the slot behind the text
    tables = report.tables(rows)
    assert len(rows["targets"]) == 15
    # the inserted token is the one before the tail: "two" would have it there anyhow
    assert [c[2] == c[3] for _, c in known.texts.values()] == [False, True, False]
    assert [len(set(c[3:])) for _, c in known.texts.values()] == [3, 3, 3]
    right = (2 * wrong + even) / 3 - own
    left = wrong - own
    others = [(p, c) for p, c in known.texts.values()]
    replaced = np.mean([((own if c[2] == c[3] else wrong) - own) / 3 for _, c in others])
    inserted = np.mean(
        [((own if c[2] == c[3] else wrong) + 2 * wrong + even) / 4 - own for _, c in others]
    )
    expected = {"right": right, "left": left, "inserted": inserted, "replaced": replaced}
    planted.compare(
        tables["penalties"],
        ("target",),
        {(name,): {"penalty": value, "n": 3} for name, value in expected.items()},
    )
    # moved within one run of masks, a text costs the flexible loss the same
    table = tables["penalties"]
    planted.compare(
        table[table["target"] == "right"], ("target",), {("right",): {"flexible_penalty": 0.0}}
    )


def test_an_even_reader_pays_nothing_by_any_loss(file, known):
    tables = report.tables(measured(file, lambda ids, at: {}))
    for name in ("penalty", "flexible_penalty"):
        assert tables["penalties"][name].to_numpy() == pytest.approx(np.zeros(12), abs=1e-5)
    assert tables["repeats"]["moved_penalty"].to_numpy() == pytest.approx(np.zeros(9), abs=1e-5)


def test_what_stands_there_anyhow_is_told_apart(tmp_path, known):
    path = tmp_path / "again.jsonl"
    line = {"id": "x", "prompt": " the pale wind", "continuation": " moon king ship ship ship lamp"}
    path.write_text(json.dumps(line))
    text = planted.PlantedReader(None).border.pieces(line["continuation"])

    def rule(ids, at):
        place = at - len(known.texts["one"][0])
        return {text[place]: 1 - EPS} if place < len(text) else {}

    rows = measured(str(path), rule, point=34, shares=(1.0,))
    own, wrong = -math.log(1 - EPS), -math.log(EPS / (known.vocab - 2))
    even = math.log(known.vocab - 1)
    table = report.tables(rows)["repeats"]
    # ship ship ship lamp: to the right two of four stand there anyhow, to the left two of three
    expected = {
        ("right",): {
            "moved_penalty": (wrong + even - 2 * own) / 4,
            "equal_share": 0.5,
            "distinct_penalty": (wrong + even - 2 * own) / 2,
        },
        ("left",): {
            "moved_penalty": (wrong - own) / 3,
            "equal_share": 2 / 3,
            "distinct_penalty": wrong - own,
        },
    }
    assert rows["answers"]["tail_begins"].tolist() == [2]
    planted.compare(table[table["target"].isin(["right", "left"])], ("target",), expected)


# ---------------------------------------------------------------------- brute force


def distribution(known, ids, at):
    """A reader that looks at all of the canvas: no two canvases or places agree."""
    name, first = known.find(ids)
    words = dict.fromkeys((*known.texts[name][1], known.texts[name][0][-1]))
    weights = [0.02 + planted.drawn(name, at - first, ids[first:], word) for word in words]
    return {w: 0.9 * x / sum(weights) for w, x in zip(words, weights, strict=True)}


def laid(tail, before):
    """Targets written out."""
    return {
        "unmoved": [*tail, None],
        "right": [None, *tail],
        "left": [*tail[1:], None, None],
        "inserted": [before, *tail],
        "replaced": [before, *tail[1:], None],
    }


def shown_slots(tail, before, target, masked, shown):
    """Which slots are masks, and what the others hold."""
    y = list(range(1, len(tail) + 1))
    numbers = laid(y, 1)["unmoved" if shown == "unmoved" else target]
    tokens = laid(tail, before)["unmoved" if shown == "unmoved" else target]
    return [None if n is None or n in masked else t for n, t in zip(numbers, tokens, strict=True)]


def enumerated(rows, slack):
    """A run's loss: [(distribution, label)] by slot, over all placements in order."""
    tokens = [label for _, label in rows if label is not None]
    total, count = 0.0, 0
    for chosen in itertools.combinations(range(len(rows)), len(tokens)):
        left, p = iter(tokens), 1.0
        for slot, (told, _) in enumerate(rows):
            if slot in chosen:
                p *= told(next(left))
            elif slack is not None:
                p *= told(slack)
        total, count = total + p, count + 1
    return -math.log(total if slack is not None else total / count)


def expected(known, name, target, masked, shown, slack):
    prompt, text = known.texts[name]
    begin, tail = prompt + text[:3], text[3:]
    labels = laid(tail, begin[-1])[target]
    slots = shown_slots(tail, begin[-1], target, masked, shown)
    ids = begin + tuple(known.mask if token is None else token for token in slots)

    def told(slot):
        p = distribution(known, ids, len(begin) + slot)
        rest = 0.1 / (known.vocab - len(p) - 1)
        return lambda token: p.get(token, rest)

    masks = [slot for slot, token in enumerate(slots) if token is None]
    rows = {slot: (told(slot), labels[slot]) for slot in masks}
    ce = {s: -math.log(p(label)) for s, (p, label) in rows.items() if label is not None}
    groups = [
        [slot for _, slot in own]
        for _, own in itertools.groupby(enumerate(masks), lambda pair: pair[1] - pair[0])
    ]
    losses = [
        sum(enumerated([rows[slot] for slot in run], own) for run in groups)
        for own in (None, slack)
    ]
    return sum(ce.values()), len(ce), *losses


@pytest.mark.parametrize("with_slack", [False, True])
def test_every_loss_of_every_target_by_brute_force(file, known, with_slack):
    engine = planted.engine(lambda ids, at: distribution(known, ids, at))
    slack = planted.PlantedReader(None).border.token(" bell")
    engine.entry = replace(engine.entry, slack_id=slack if with_slack else None)
    rows = measured(file, None, engine)["targets"]
    seen = set()
    for row in rows.to_dict("records"):
        drawn = seed_of("tail", 0, "own", row["prompt"], 50)
        masked = hidden(3, row["masked_share"], drawn)
        where = row["target"], masked, row["tail_shown"]
        ce, scored, flexible, ctc = expected(known, row["prompt"], *where, slack)
        assert (row["scored"], row["tail_tokens"]) == (scored, 3)
        assert row["cross_entropy"] == pytest.approx(ce, rel=1e-5), where
        assert row["flexible"] == pytest.approx(flexible, rel=1e-5), where
        if with_slack:
            assert row["flexible_slack"] == pytest.approx(ctc, rel=1e-5), where
        else:
            assert row["flexible_slack"] is None or math.isnan(row["flexible_slack"])
        seen.add((row["masked_share"], row["tail_shown"], row["target"]))
    shown = [(0.5, "moved"), (0.5, "unmoved"), (1.0, "none")]
    assert seen == {(*where, target) for where in shown for target in TARGETS}


def test_tokens_add_up_to_their_targets(file, known):
    rows = measured(file, lambda ids, at: distribution(known, ids, at))
    keys = ["prompt", "masked_share", "tail_shown"]
    sums = rows["tokens"].groupby(keys)[[f"ce_{t}" for t in TARGETS]].sum()
    for row in rows["targets"].to_dict("records"):
        found = sums.loc[tuple(row[key] for key in keys), f"ce_{row['target']}"]
        assert found == pytest.approx(row["cross_entropy"], rel=1e-9)


# ---------------------------------------------------------------------- the exact oracle


def test_the_oracles_own_text_is_cut_and_read_exactly():
    """Every token's loss is the posterior's, asked directly."""
    from mdlm_probe import models
    from mdlm_probe.engine.engine import Engine
    from mdlm_probe.engine.queries import Query, Readout

    engine = Engine(models.load(models.resolve("oracle")))
    cells = alignment.plan(lexicon="small", tasks=("prose",), limit=1, length=6, shares=(1.0,))
    rows = planted.measured(alignment, engine, cells)
    (answer,) = rows["answers"].to_dict("records")
    text = next(t for t in alignment.texts.load("decay", "small") if t.id == answer["prompt"])
    prompt = engine.border.encode(text.prompt)
    ids = engine.border.pieces(answer["answer"])
    assert (len(ids), answer["tail_begins"]) == (6, 3)
    canvas = (*prompt, *ids[:3], *[engine.entry.mask_id] * 4)
    places = tuple(range(len(prompt) + 3, len(canvas)))
    (found,) = engine.ask([Query(canvas, places, (Readout("whole"),))])
    told = rows["tokens"].set_index("from_point")
    for number, token in enumerate(ids[3:], 1):
        for target, slot in (("unmoved", number - 1), ("right", number), ("left", number - 2)):
            if slot >= 0:
                own = -float(found["whole"][slot, token])
                assert told.loc[number, f"ce_{target}"] == pytest.approx(own, rel=1e-5)
    by = rows["targets"].set_index("target")
    assert by.loc["right", "flexible"] == pytest.approx(by.loc["unmoved", "flexible"])
    assert by.loc["unmoved", "flexible"] <= by.loc["unmoved", "cross_entropy"] + math.log(4)


# ---------------------------------------------------------------------- what is refused


def test_short_texts_have_a_row_and_no_tail(tmp_path, known):
    path = tmp_path / "short.jsonl"
    texts = {"short": " moon king", "single": " moon", "long": " moon king ship coin"}
    lines = [{"id": i, "prompt": " the pale wind", "continuation": c} for i, c in texts.items()]
    path.write_text("\n".join(map(json.dumps, lines)))
    rows = measured(str(path), lambda ids, at: {})
    assert rows["answers"]["tail_begins"].isna().tolist() == [True, True, False]
    assert set(rows["targets"]["prompt"]) == {"long"}
    assert report.notes(rows) == ["m: 2 of 3 texts are too short to have a tail."]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"point": 0}, "point"),
        ({"shares": (0.0,)}, "shares"),
        ({"shares": (0.5, 0.5)}, "shares"),
        ({"length": 2}, "length"),
        ({"prompts": "open", "source_text": "continuation", "lexicon": "full"}, "source_text"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ProbeError) as error:
        alignment.plan(**options)
    assert error.value.option == named


def test_models_in_blocks_are_refused_with_the_reason():
    from mdlm_probe import models

    (cell,) = alignment.plan(lexicon="small", tasks=("prose",), limit=1)
    assert "later" in alignment.refuse(cell, models.resolve("oracle-block"))
    assert alignment.refuse(cell, models.resolve("oracle")) == ""
