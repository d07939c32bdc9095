"""The report of attention: what prompts' rows become, where some of them have no sink."""

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis import stats
from mdlm_probe.probes.attention import charts, headlines, report

CELL = {"prompts": "decay", "lexicon": "small", "task": "prose", "epsilon": 3.0}
PROMPTS = ("a", "b", "c")
AT = {"progress": 0.0, "masks_left": 4, "steps_before": 0, "tokens": 20, "sink_heads": 0.5}


def layer(prompt, number, received, place, moved=None, kind="prompt", signs=0, **more):
    sinks = int(received > 4)
    found = {"layer": number, "received": received, "even_received": 1.0, "sinks": sinks}
    found |= {"sink_place": place, "sink_from_prompt": place - 12, "moved": moved}
    found |= {"sink_kind": kind, "sink_punctuation": signs}
    return {"model": "m", "prompt": prompt} | CELL | AT | found | more


LAYERS = pd.DataFrame(
    [
        layer("a", 1, 6.0, 3, moved=4, signs=1),
        layer("a", 2, 2.0, 19),
        layer("b", 1, 5.0, 15, kind="mask"),
        layer("b", 2, 7.0, 1, moved=0),
        layer("c", 1, 2.0, 19),
        layer("c", 2, 2.5, 19),
    ]
)


def removals(effects, progress=(0.0, 0.5)):
    """Rows by prompt and what is removed; `effects` are divergences."""
    rows = []
    for prompt, (strongest, control) in zip(PROMPTS, effects, strict=True):
        for at in progress:
            for name, value in (("strongest", strongest), ("control", control)):
                lost = value / 2 if not at else np.nan
                rows.append(
                    {"model": "m", "prompt": prompt, "removed": name, "progress": at}
                    | CELL
                    | {"masks_left": 4, "sink_layers": 1, "removed_kl": value + at}
                    | {"removed_tv": value / 4, "removed_top": 0.25, "truth_lost": lost}
                )
    return pd.DataFrame(rows)


EFFECTS = ((0.3, 0.1), (0.5, 0.1), (0.8, 0.2))
NOTHING = pd.DataFrame(
    columns=["model", *CELL, "prompt", "attended", "progress", "attended_distance", "attention"]
)
FRAME = {
    "layers": LAYERS,
    "groups": NOTHING,
    "distances": NOTHING,
    "removals": removals(EFFECTS),
}


def test_where_sinks_stand_is_said_of_those_that_have_one():
    (line,) = report.tables(FRAME)["steps"].to_dict("records")
    assert line["n"] == 3
    assert line["beyond_even"] == pytest.approx(np.mean([3.0, 5.0, 1.25]))
    assert line["sinks"] == pytest.approx(np.mean([0.5, 1, 0]))
    assert (line["n_sinks"], line["n_moved"]) == (2, 2)
    assert line["sink_from_prompt"] == pytest.approx(np.mean([-9, np.mean([3, -11])]))
    assert line["moved"] == pytest.approx(np.mean([4, 0]))
    # two prompts tell little: the interval ends where the text does
    assert (line["sink_from_prompt_low"], line["sink_from_prompt_high"]) == (-12, 8)
    assert 0 <= line["moved_low"] <= line["moved_high"] <= 20


def test_layers_are_apart():
    table = report.tables(FRAME)["layers"].set_index("layer")
    assert table["beyond_even"].tolist() == pytest.approx(
        [np.mean([5, 4, 1]), np.mean([1, 6, 1.5])]
    )
    assert table["n_sinks"].tolist() == [2, 1]


def test_kinds_are_those_of_sinks_alone():
    table = report.tables(FRAME)["kinds"].set_index("sink_kind")
    assert table["sink_share"].to_dict() == pytest.approx({"prompt": 0.75, "mask": 0.25})
    assert table["punctuation"].to_dict() == pytest.approx({"prompt": 0.5, "mask": 0.0})
    assert set(table["n"]) == {2}


def test_removal_is_compared_prompt_by_prompt():
    table = report.tables(FRAME)["removal"].set_index("removed")
    assert table.loc["strongest", "kl"] == pytest.approx(np.mean([0.3, 0.5, 0.8]) + 0.25)
    assert table.loc["control", "truth_lost"] == pytest.approx(np.mean([0.1, 0.1, 0.2]) / 2)
    gap = stats.mean(np.array([0.2, 0.4, 0.6]))
    (ours,) = report.tables(FRAME)["contrast"].to_dict("records")
    assert [ours["kl"], ours["kl_low"], ours["kl_high"]] == pytest.approx(
        [gap.mean, gap.low, gap.high]
    )
    assert ours["kl_p"] == pytest.approx(gap.p)
    assert ours["top_changed"] == 0
    (headline,) = headlines.HEADLINES
    (found,) = headline.find(report.tables(FRAME), FRAME)
    assert (found.model, found.n, found.value) == ("m", 3, pytest.approx(0.4))


def test_a_run_that_removes_nothing_has_no_such_table():
    frame = FRAME | {"removals": removals(EFFECTS)[:0]}
    tables = report.tables(frame)
    assert tables["removal"].empty
    assert tables["contrast"].empty
    assert list(headlines.HEADLINES[0].find(tables, frame)) == []
    for chart in charts.CHARTS:
        chart.rows(tables, frame)


def test_attention_is_set_against_even_attention_of_the_same_prompts():
    rows = pd.DataFrame(
        {"model": "m", "prompt": p, "attended": "masks", "progress": at, "attention": a}
        | CELL
        | {"even_attention": e}
        for p, at, a, e in [
            ("a", 0.0, 0.6, 0.3),
            ("b", 0.0, 0.4, 0.2),
            ("a", 0.5, 0.1, 0.1),
            ("b", 0.5, 0.3, 0.1),
        ]
    )
    table = report.attended(rows, ("progress", "attended")).set_index("progress")
    assert table["attention"].tolist() == pytest.approx([0.5, 0.2])
    assert table["even_attention"].tolist() == pytest.approx([0.25, 0.1])
    assert table["times_even"].tolist() == pytest.approx([2.0, 2.0])
