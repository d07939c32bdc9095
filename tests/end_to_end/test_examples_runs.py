"""Examples of real runs: every probe has some, and their prompts are what the models were asked."""

import json
import re
from functools import cache

import pandas as pd
import probe_cases
import pytest
from loaded_once import remembering
from probe_cases import WRITTEN
from progress import Silent

from mdlm_probe import models
from mdlm_probe.analysis import frames
from mdlm_probe.analysis.examples.parts import CanvasPart, DifferencePart, TextPart
from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.engine.engine import Engine
from mdlm_probe.prompts.prompt import MASK
from mdlm_probe.prompts.texts import load
from mdlm_probe.reports.html import examples
from mdlm_probe.runs import plan, runner

MODELS, OPTIONS = probe_cases.gathered("MODELS"), probe_cases.gathered("OPTIONS")
RUNS = {probe: (MODELS[probe], OPTIONS[probe]) for probe in MODELS}


BATCH = 2000
"""Tokens of a batch: how many would fit is no matter here, and takes a search for each model."""


class Watched:
    """Run folders, each measured once, with all that each model was asked.

    A model is loaded once for all probes.
    """

    def __init__(self, base):
        self._base, self.asked, self._load = base, {}, remembering()

    def folder(self, probe):
        folder = self._base / probe
        if probe not in self.asked:
            self.asked[probe] = set()
            with pytest.MonkeyPatch.context() as patch:
                for name in ("ask", "attribute"):
                    self._watch(patch, name, self.asked[probe])
                patch.setattr(models, "load", self._load)
                named, options = RUNS[probe]
                for model in named:
                    job = plan.Job(probe, model, options, output=folder, batch_tokens=BATCH)
                    runner.run(plan.prepare(job), Silent())
        return folder

    def _watch(self, patch, name, asked):
        plain = getattr(Engine, name)

        def watched(engine, queries, *rest):
            asked.update((engine.entry.name, tuple(query.ids)) for query in queries)
            return plain(engine, queries, *rest)

        patch.setattr(Engine, name, watched)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Watched(tmp_path_factory.mktemp("runs"))


@cache
def rows(folder, probe):
    """The frame of a probe."""
    return frames.frames(folder)[0][probe]


def of(folder, probe, limit=8, change=None):
    """Examples of a probe; `change` may change its frame."""
    frame = rows(folder, probe)
    frame = frame if change is None else change(frame)
    return examples.of(folder, probe, frame, read_run(folder), limit)


def texts(example):
    return {part.label: part.text for part in example.parts if isinstance(part, TextPart)}


def masked(text):
    """A prompt with its masks as a model's border reads them."""
    return re.sub(r"\[MASK\](?: × (\d+))?", lambda found: MASK * int(found[1] or 1), text)


def test_every_probe_has_examples_and_a_run_here():
    assert set(RUNS) == set(catalog.names("probe"))
    assert set(catalog.names("examples")) == {*RUNS, "judge"}


@pytest.mark.parametrize("probe", RUNS)
def test_every_model_has_examples_and_no_more_than_asked_for(runs, probe):
    folder, (named, _) = runs.folder(probe), RUNS[probe]
    found = of(folder, probe)
    counts = {name: sum(example.model == name for example in found) for name in named}
    assert all(1 <= count <= 8 for count in counts.values())
    assert {example.model for example in found} == set(named)
    assert len({(example.title, example.model) for example in found}) == len(found)
    assert all(example.task for example in found)
    assert found == of(folder, probe)
    assert of(folder, probe, limit=0) == []
    few = [example.model for example in of(folder, probe, limit=1)]
    assert len(few) == len(set(few)) > 0


@pytest.mark.parametrize("probe", RUNS)
def test_prompts_are_what_the_models_were_asked(runs, probe):
    found = of(runs.folder(probe), probe)
    for example in found:
        border = models.load_border(models.resolve(example.model))
        before, shown = COUNTED.fullmatch(masked(texts(example)["prompt"])).groups()
        ids = border.encode(shown)
        asked = [asked for name, asked in runs.asked[probe] if name == example.model]
        assert any(holds(one, ids, before) for one in asked), example.title
    # and the check can fail
    assert not any(holds(one, (*ids, 0)[1:], before) for one in asked)


COUNTED = re.compile(r"(\[\.\.\. \d+ examples \.\.\.\]\s+)?(.*)", re.DOTALL)
"""A prompt, and what stands in place of examples that are only counted."""


def holds(asked, ids, before):
    """Whether what was asked begins with these tokens, or ends with them after something else."""
    return (
        len(asked) > len(ids) and asked[-len(ids) :] == ids if before else asked[: len(ids)] == ids
    )


@pytest.mark.parametrize("probe", ["locality", "masks", "attribution", "needle"])
def test_titles_mark_the_wrong_answers(runs, probe):
    for example in of(runs.folder(probe), probe):
        told = texts(example)
        (answer,) = (text for label, text in told.items() if label.startswith("model's answer"))
        right = answer.split("]")[0].strip() == told["right answer"]
        assert example.title.endswith("(wrong)") is not right


@pytest.mark.parametrize("probe", ["locality", "masks", "needle", "decay", "blocks"])
def test_models_have_the_same_items(runs, probe):
    by_model = {}
    for example in of(runs.folder(probe), probe):
        title = example.title.removesuffix(" (wrong)")
        by_model.setdefault(example.model, set()).add(title)
    first, second = (by_model[name] for name in RUNS[probe][0])
    # a causal model can't be asked all settings
    assert second == first if probe in ("needle", "decay", "blocks") else second < first


def test_the_options_have_their_probabilities(runs):
    for example in of(runs.folder("locality"), "locality"):
        told = texts(example)
        lines = told["options, with the model's probabilities"].split("\n")
        assert [line[:2] for line in lines] == ["A.", "B.", "C."]
        (right,) = (line for line in lines if line.endswith(" (right)"))
        assert right[3:].startswith(told["right answer"] + ": ")
        shares = [float(re.search(r": (\S+) %", line)[1]) for line in lines]
        assert 0 < sum(shares) <= 100.1
        (sure,) = re.findall(r"answer \((\S+) %\)", "".join(told))
        assert float(sure) >= max(shares)


# ---------------------------------------------------------------------- answers


def test_a_shifted_answer_and_its_canvas_are_the_ones_of_the_row(runs):
    folder = runs.folder("shift")
    frame = frames.frames(folder)[0]["shift"]
    found = of(folder, "shift")
    assert any(example.model == "oracle" for example in found)
    for example in found:
        kind = example.title.split(", ")[1].split()[0]
        row = frame[(frame["model"] == example.model) & (frame["intervention"] == kind)]
        row = row[row["prompt"] == example.title.split(", ")[0]].iloc[0]
        (differs,) = (part for part in example.parts if isinstance(part, DifferencePart))
        (canvas,) = (part for part in example.parts if isinstance(part, CanvasPart))
        read = ("".join(t for k, t in differs.pieces if k in kinds) for kinds in PIECES)
        plain, shifted = read
        assert plain == texts(example)["unshifted answer"]
        assert shifted == "".join(text for _, text in canvas.places)  # no end of text in it
        assert len(canvas.places) == row["length"] == 16
        assert sum(k == "gone" for k, _ in differs.pieces) <= row["edit_distance"]
        last = max(step for step, _ in canvas.places)
        assert last == row["passes"] + (kind == "post-hoc" and row["changed"] > 0)


PIECES = (("same", "gone"), ("same", "new"))


def test_a_canvas_of_blocks_fills_in_as_the_schedule_says(runs):
    for example in of(runs.folder("blocks"), "blocks"):
        (canvas,) = (part for part in example.parts if isinstance(part, CanvasPart))
        assert sorted(step for step, _ in canvas.places) == [*range(1, 17)]
        assert "".join(text for _, text in canvas.places) == texts(example)["answer"]


def test_a_cached_answer_differs_from_the_exact_one_as_marked(runs):
    for example in of(runs.folder("cache"), "cache"):
        (differs,) = (part for part in example.parts if isinstance(part, DifferencePart))
        before = "".join(text for kind, text in differs.pieces if kind != "new")
        assert before == texts(example)["exact answer"]
        edits = int(re.search(r"(\d+) edit", example.title)[1])
        assert (edits == 0) == all(kind == "same" for kind, _ in differs.pieces)


def test_every_mask_of_decay_is_in_a_stretch(runs):
    label = "most probable token, by the masks' places"
    for example in of(runs.folder("decay"), "decay"):
        ends = [
            re.match(r"(\d+)(?: to (\d+))?:", line) for line in texts(example)[label].split("\n")
        ]
        places = [n for end in ends for n in range(int(end[1]), int(end[2] or end[1]) + 1)]
        assert places == [*range(1, 9)]


def test_attribution_shows_every_example_of_the_prompt(runs):
    for example in of(runs.folder("attribution"), "attribution"):
        lines = texts(example)["each example's score, the largest being 1"].split("\n")
        sides = [line.split(" ")[1] for line in lines]
        assert sorted(sides) == ["distractor:"] * 4 + ["question:"] + ["relevant:"] * 2
        assert max(float(line.split()[-1]) for line in lines if "question" not in line) == 1


def test_an_lm_eval_tasks_prompts_are_what_the_model_was_asked(runs, tmp_path):
    options = {"lm_eval_task": "suite_verb_words", "shots": 2, "distractors": 2, "limit": 1}
    asked = set()
    with pytest.MonkeyPatch.context() as patch:
        runs._watch(patch, "ask", asked)
        job = plan.Job("locality", "tiny-mdlm", options | {"positions": (0,)}, output=tmp_path)
        runner.run(plan.prepare(job), Silent())
    border = models.load_border(models.resolve("tiny-mdlm"))
    found = of(tmp_path, "locality")
    assert found
    for example in found:
        told = texts(example)
        assert ("tiny-mdlm", border.encode(masked(told["prompt"]))) in asked
        lines = told["options, with the model's probabilities"].split("\n")
        best = max(lines, key=lambda line: float(re.search(r": (\S+) %", line)[1]))
        assert best[0] == told["model's answer"]


# ---------------------------------------------------------------------- what isn't there


def test_old_rows_without_a_canvas_give_the_rest(runs, tmp_path):
    for probe in ("shift", "blocks", "needle"):
        frame = frames.frames(runs.folder(probe))[0][probe]
        new = ["canvas", "unmasked", "sentences", "fact_after"]
        kept = frame.drop(columns=new, errors="ignore")
        found = examples.of(tmp_path, probe, kept, read_run(runs.folder(probe)))
        assert [e.title for e in found] == [e.title for e in of(runs.folder(probe), probe)]
        assert not any(isinstance(part, CanvasPart) for e in found for part in e.parts)
        assert ("no prompt" in texts(found[0])) == (probe == "needle")


@pytest.mark.parametrize("probe", RUNS)
def test_changed_files_take_the_prompt_only(runs, probe):
    folder = runs.folder(probe)
    entries = json.loads((folder / "run.json").read_text())
    for entry in entries.values():
        entry["config"]["sources"] = {"suite": "another"}
    found = examples.of(folder, probe, rows(folder, probe), entries)
    assert len(found) == len(of(folder, probe))
    for example in found:
        assert example.parts[0].label == "no prompt"
        assert len(example.parts) > 1


def test_rows_that_can_not_be_read_have_no_examples(runs, tmp_path):
    assert of(runs.folder("locality"), "locality", change=lambda f: f[:0]) == []
    for probe in (*RUNS, "judge", "generate"):
        said = []
        assert not examples.of(
            tmp_path, probe, pd.DataFrame({"model": ["m"]}), {}, note=said.append
        )
        assert not said or said[0].startswith(f"{probe} has no examples"), said


def test_texts_pass_through_as_they_are(tmp_path):
    hostile = '<script>alert("x")</script>\\n & \u202e'
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"id": "007", "prompt": f" the wind {hostile}\nthe hill"}) + "\n")
    options = WRITTEN | {
        "prompts": str(path),
        "tasks": ("all",),
        "frac": (0.3,),
        "intervention": ("shift",),
    }
    job = plan.Job("shift", "tiny-mdlm", options, output=tmp_path / "run")
    runner.run(plan.prepare(job), Silent())
    (found,) = of(tmp_path / "run", "shift")
    assert texts(found)["prompt"] == f" the wind {hostile}\nthe hill"
    assert found.title.startswith("007, shift 0.3: ")
    path.unlink()
    load.cache_clear()
    (found,) = of(tmp_path / "run", "shift")
    assert texts(found)["no prompt"].startswith("cannot read")
