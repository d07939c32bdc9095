"""The shift probe: nothing changes nothing, counts add up, texts are what moves make of them."""

import dataclasses
import itertools

import oracles
import pytest
import reference
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.shift import probe as shift
from mdlm_probe.runs import runner
from mdlm_probe.runs.plan import Job, prepare

LENGTH = 12
END = 3
"""The letter d, where it ends a text."""


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """Four prompts of the letters a to d."""
    path = tmp_path_factory.mktemp("prompts") / "letters.txt"
    path.write_text("abca\ncab\nbb\nabcdabcd\n")
    return str(path)


def measured(prompts, engine=None, **options):
    """Rows by (prompt, intervention, frac), as the CSV has them."""
    options = {"length": LENGTH, "block": 6, "prompts": prompts, **options}
    cells = shift.plan(**options)
    found = dict(shift.measure(engine or oracles.engine(3), cells))
    assert list(found) == cells
    return {(c.prompt, c.intervention, c.frac): row for c, (row,) in found.items()}


def moves(row):
    """(step, place, to) of every change."""
    return [tuple(map(int, part.split(":"))) for part in row["moves"].split()]


def ending(seed=3):
    """An oracle whose letter d ends a text."""
    model = oracles.model(seed)
    model.entry = dataclasses.replace(model.entry, eos_ids=(END,))
    return Engine(model, batch_tokens=4096)


# ---------------------------------------------------------------------- plans


def test_all_answers_to_a_prompt_stand_together_the_unintervened_one_first(prompts):
    cells = shift.plan(prompts=prompts, frac=(0.01, 0.5), intervention=("shift", "hold"))
    assert [(c.prompt, c.intervention, c.frac) for c in cells[:6]] == [
        ("1", "none", 0.0),
        ("1", "shift", 0.01),
        ("1", "hold", 0.01),
        ("1", "shift", 0.5),
        ("1", "hold", 0.5),
        ("2", "none", 0.0),
    ]
    assert (cells[0].length, cells[0].steps, cells[0].block) == (512, 512, 32)
    assert (cells[0].order, cells[0].temperature) == ("low_confidence", 0.0)


def test_the_defaults_are_twenty_answers_beside_the_unintervened_one():
    cells = shift.plan(limit=1, tasks=("arithmetic",))
    assert len(cells) == 1 + 4 * 6
    assert {c.frac for c in cells} == {0.0, 0.005, 0.01, 0.02, 0.05, 0.1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frac": (1.5,)}, "--frac has 1.5"),
        ({"frac": (0.1, -0.01)}, "--frac has -0.01"),
        ({"frac": (float("nan"),)}, "--frac has nan"),
        ({"frac": (float("inf"),)}, "--frac has inf"),
        ({"frac": (0.1, 0.10)}, "--frac names a value twice"),
        ({"frac": (0.1, 0.10000001)}, "--frac names a value twice"),  # equal in the CSV
        ({"frac": (0.0, -0.0)}, "--frac names a value twice"),
        ({"intervention": ("hold", "hold")}, "--intervention names a value twice"),
        ({"limit": 0}, "--limit has 0"),
        ({"seed": -1}, "--seed has -1"),
        ({"length": 500, "block": 32}, "--block 32 does not divide --length 500"),
        ({"steps": 0}, "--steps has 0"),
        ({"tasks": ("poems",)}, "poems"),
        ({"guidance": 1.0, "cache": "dual"}, "--guidance and --cache"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        shift.plan(**options)


def test_keys_and_values_are_kept_by_networks_only(prompts):
    (cell, *_) = shift.plan(prompts=prompts, cache="prefix")
    assert "no keys and values" in shift.refuse(cell, models.resolve("oracle"))
    assert shift.refuse(cell, models.resolve("tiny-mdlm")) == ""


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_fraction_of_nothing_changes_nothing(prompts, temperature):
    found = measured(prompts, frac=(0.0, 0.4), temperature=temperature)
    counted = ("late", "to_right", "to_left", "refilled", "doubled")
    for prompt in "1234":
        plain = found[prompt, "none", 0.0]
        assert plain["offered"] == plain["passes"] == LENGTH
        for kind in ("shift", "post-hoc", "replace", "hold"):
            row = found[prompt, kind, 0.0]
            assert {k: v for k, v in row.items() if k not in counted} == {
                k: v for k, v in plain.items() if k not in counted
            }
            assert not any(row[name] for name in counted)
    # and the comparison can fail
    assert any(row["answer"] != found[p, "none", 0.0]["answer"] for (p, _, _), row in found.items())


def test_larger_fractions_hit_what_smaller_ones_hit(prompts):
    """Places are drawn beforehand: hits nest exactly, whatever the kind."""
    fracs = (0.1, 0.3, 0.6, 1.0)
    options = {"frac": fracs, "order": "left_to_right"}
    found = measured(prompts, intervention=("replace", "hold"), **options)
    for prompt in "1234":
        hits = [set(moves(found[prompt, "replace", frac])) for frac in fracs]
        assert all(a <= b for a, b in itertools.pairwise(hits))
        assert len(hits[0]) < len(hits[-1]) == LENGTH
        first = [moves(found[prompt, kind, 0.3])[:1] for kind in ("replace", "hold")]
        assert first[0] == first[1]  # other kinds have the same random numbers


def test_prompts_and_seeds_have_their_own_hits(prompts):
    hits = {
        (prompt, seed): measured(prompts, frac=(0.5,), intervention=("replace",), seed=seed)[
            prompt, "replace", 0.5
        ]["moves"]
        for prompt in "12"
        for seed in (0, 1)
    }
    assert len(set(hits.values())) == 4


@pytest.mark.parametrize("order", ["low_confidence", "random", "left_to_right"])
def test_counts_add_up(prompts, order):
    found = measured(prompts, frac=(0.3, 1.0), order=order, steps=8, temperature=1.0)
    shifted = [row for (_, kind, _), row in found.items() if kind == "shift"]
    doubled = sum(row["doubled"] for row in shifted)
    refilled = sum(row["refilled"] for row in shifted)
    # where the most confident goes first, this language fills the place with the same again
    assert 0 < doubled < refilled or (order == "low_confidence" and doubled == refilled > 0)
    for (_, kind, _), row in found.items():
        assert row["hits"] == row["changed"] + row["blocked"]
        assert row["changed"] == len(moves(row)) == row["visible"]
        assert row["realised"] == row["changed"] / row["offered"]
        assert row["answer_tokens"] == len(row["answer"]) == LENGTH
        assert row["offered"] == LENGTH
        if kind in ("shift", "post-hoc"):
            assert row["to_right"] + row["to_left"] == row["changed"]
            assert row["to_right"] == sum(to == place + 1 for _, place, to in moves(row))
            assert row["to_left"] == sum(to == place - 1 for _, place, to in moves(row))
        else:
            assert row["to_right"] is row["to_left"] is row["late"] is None
            assert all(to == place for _, place, to in moves(row))
        if kind == "shift":
            answer = row["answer"]
            assert row["refilled"] == row["changed"]  # the canvas ends without masks
            assert row["doubled"] == sum(answer[place] == answer[to] for _, place, to in moves(row))
        else:
            assert row["refilled"] is row["doubled"] is None
    every = [row for (_, kind, frac), row in found.items() if kind == "replace" and frac == 1]
    assert all(row["hits"] == LENGTH for row in every)


def test_post_hoc_moves_what_the_shift_moved(prompts):
    found = measured(prompts, frac=(0.3, 0.8), order="random")
    moved = 0
    for prompt in "1234":
        for frac in (0.3, 0.8):
            ours, shifted = (found[prompt, kind, frac] for kind in ("post-hoc", "shift"))
            assert ours["moves"] == shifted["moves"]
            plain = found[prompt, "none", 0.0]["answer"]
            text = list(plain)
            for _, place, to in moves(shifted):
                text[to] = plain[place]
            assert ours["answer"] == "".join(text)
            # the same dose: as many hits, moves, and places that were written
            for name in ("offered", "hits", "changed", "late", "blocked", "to_right", "to_left"):
                assert ours[name] == shifted[name]
            assert ours["cascade"] == 0
            assert ours["edit_distance"] <= ours["changed"]
            moved += ours["changed"]
    assert moved > 8


def test_differences_are_those_of_the_texts(prompts):
    found = measured(prompts, frac=(0.3, 0.8), temperature=1.0)
    ran_on = set()
    for (prompt, kind, _), row in found.items():
        plain, answer = found[prompt, "none", 0.0]["answer"], row["answer"]
        differ = {i for i in range(LENGTH) if plain[i] != answer[i]}
        assert row["divergence"] == min(differ, default=None)
        wrote = {to for _, _, to in moves(row)} if kind != "hold" else set()
        assert row["cascade"] == len(differ - wrote)
        ran_on |= {kind} if row["cascade"] else set()
        if differ:
            after = range(min(differ) + 1, min(min(differ) + 9, LENGTH))
            share = sum(i in differ for i in after) / len(after) if after else None
            assert row["parted_8"] == share
            assert 1 <= row["edit_distance"] <= len(differ)
        else:
            assert row["parted_8"] is None
            assert row["edit_distance"] == 0
    assert ran_on == {"shift", "replace", "hold"}


def test_what_stands_behind_an_end_is_nothing(tmp_path):
    prompts = tmp_path / "letters.txt"
    prompts.write_text("\n".join(map("".join, itertools.product("abcd", repeat=2))))
    found = measured(str(prompts), ending(), frac=(0.3, 0.8), order="random", temperature=1.0)
    lengths = {row["answer_tokens"] for row in found.values()}
    assert len(lengths) > 2
    hidden = 0
    for (prompt, kind, _), row in found.items():
        answer, plain = row["answer"], found[prompt, "none", 0.0]["answer"]
        assert "d" not in answer
        assert row["ended"] == (len(answer) < LENGTH)
        seen = [to for _, _, to in moves(row) if to <= len(answer)]
        assert row["visible"] == len(seen)
        hidden += row["changed"] - len(seen)
        ours, theirs = (text.ljust(LENGTH, "d") for text in (answer, plain))
        differ = {i for i in range(LENGTH) if ours[i] != theirs[i]}
        wrote = {to for _, _, to in moves(row)} if kind != "hold" else set()
        if kind == "post-hoc":
            assert differ <= wrote
        assert row["cascade"] == len(differ - wrote)
    assert hidden > 0


def test_ends_that_are_never_predicted_are_never_drawn_as_other_tokens(prompts):
    options = {"frac": (0.9,), "intervention": ("replace",)}
    free = measured(prompts, ending(), **options)
    never = measured(prompts, ending(), eos="eos_inf", **options)
    assert any(row["ended"] for row in free.values())
    assert not any(row["ended"] for row in never.values())


def test_right_answers_and_prompts_are_named(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text('{"prompt": "ab", "answer": "cd"}\n{"prompt": "abcd"}\n')
    first, second = (row for row in measured(str(path), frac=()).values())
    assert (first["right"], second["right"]) == ("cd", None)
    assert first["correct"] is (first["answer"] == "cd")
    assert second["correct"] is None
    assert (first["prompt_tokens"], second["prompt_tokens"]) == (2, 4)
    assert first["nll"] is first["scorer_tokens"] is None


@pytest.mark.slow
def test_a_cell_alone_gives_the_same_row(prompts):
    """Groups may be cut anywhere: what a cell needs beside it is decoded with it."""
    engine = oracles.engine(3)
    cells = shift.plan(prompts=prompts, length=LENGTH, block=6, frac=(0.2, 0.6), limit=2)
    together = dict(shift.measure(engine, cells))
    for cell in cells[::-1]:
        assert dict(shift.measure(engine, [cell])) == {cell: together[cell]}


def test_a_dry_run_counts_every_cell_once(prompts):
    engine = oracles.engine(3)
    counter = DryRun(engine.entry, engine.border)
    cells = shift.plan(prompts=prompts, length=LENGTH, block=6, frac=(0.2, 0.6))
    assert [cell for cell, _ in shift.measure(counter, cells)] == cells
    assert len(counter.lengths) == 4 * (1 + 3 * 2) * LENGTH


def test_a_dry_run_of_some_cells_counts_no_unintervened_answers_beside(prompts):
    """They are cells of the plan, and counted where they stand."""
    engine = oracles.engine(3)
    counter = DryRun(engine.entry, engine.border)
    cells = shift.plan(prompts=prompts, length=LENGTH, block=6, frac=(0.2,), limit=1)
    some = [cell for cell in cells if cell.intervention in ("replace", "hold")]
    assert [cell for cell, _ in shift.measure(counter, some)] == some
    assert len(counter.lengths) == len(some) * LENGTH


# ---------------------------------------------------------------------- runs


@pytest.mark.slow
def test_a_prompt_too_long_is_refused_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("loaded"))
    path = tmp_path / "long.txt"
    path.write_text("the cat " * 900 + "\n" + "the cat " * 800 + "\n")
    options = {"prompts": str(path), "length": 8, "block": 4}
    with pytest.raises(ProbeError, match=r"prompt '1' has \d+ tokens"):
        runner.run(prepare(Job("shift", "tiny-mdlm", options, output=tmp_path)), Silent())


def test_a_canvas_is_kept_place_by_place(prompts):
    """Texts make the answer up to the first end; moves are where and when they are said to be."""
    found = measured(prompts, ending(), frac=(0.4,))
    moved = {"shift": 0, "post-hoc": 0}
    for (prompt, kind, _), row in found.items():
        texts = row["canvas"]
        steps = list(map(int, row["unmasked"].split()))
        assert len(texts) == len(steps) == LENGTH
        assert "".join(texts).split("d")[0] == row["answer"]
        plain = list(map(int, found[prompt, "none", 0.0]["unmasked"].split()))
        if kind == "none":
            assert sorted(steps) == [*range(1, LENGTH + 1)]
        if kind == "shift":
            assert all(steps[to] == step for step, _, to in moves(row))
        if kind == "post-hoc":
            wrote = {to for _, _, to in moves(row)}
            late = [LENGTH + 1 if n in wrote else step for n, step in enumerate(plain)]
            assert steps == late
        if kind in moved:
            moved[kind] += len(moves(row))
    assert all(moved.values())


def test_a_mask_that_was_left_has_no_text():
    border = oracles.model(0).border
    left = answers.pieces(border, border.entry, (0, oracles.MASK, 2))
    assert left == ["a", "", "c"]


def test_where_nothing_is_changed_the_answer_and_its_likelihood_are_the_unshifted_ones():
    rows = reference.rows("shift", "tiny-mdlm")
    prompts = reference.entry("shift", "tiny-mdlm")["config"]["options"]["limit"]
    assert len(rows) == 2 * prompts * (1 + 4 * 3)
    plain = {row["prompt"]: row for row in rows if row["intervention"] == "none"}
    for row in rows:
        assert float(row["nll"]) > 0
        if row["frac"] == "0":
            assert row["nll"] == plain[row["prompt"]]["nll"]
            assert row["answer"] == plain[row["prompt"]]["answer"]
    assert {row["correct"] for row in rows if row["task"] == "prose"} == {""}
    assert {row["correct"] for row in rows if row["task"] == "question"} <= {"0", "1"}
