"""A small study of every probe: the bundled models and the oracle, few items of each."""

import json
from pathlib import Path

from progress import Silent

from mdlm_probe.runs import loaded_models, plan, runner
from mdlm_probe.runs.judges import Choice, LikelihoodJudge, judge

FEW_SHOT = {
    "shots": (2,),
    "distractors": (4,),
    "tasks": ("verb-smallest", "animal-largest"),
    "limit": 2,
}
ONE = {"shots": 2, "distractors": 4}
BOTH = ("tiny-mdlm", "tiny-arlm")
EXACT = ("tiny-mdlm", "oracle")
RUNS = {
    "locality": (BOTH, FEW_SHOT | ONE | {"positions": (0, 2, 4)}),
    "masks": (BOTH, FEW_SHOT | {"masks": ("0", "2", "8"), "filler": ("mask", "dot")}),
    "attribution": (BOTH, FEW_SHOT | ONE | {"masks": (0, 50), "orders": 2}),
    "decay": (EXACT, {"masks": 12, "limit": 2}),
    "joint": (EXACT[:1], {"limit": 2, "masks": 8, "spacing": (1, 2), "length": 8, "random": 1}),
    "needle": (BOTH, {"lengths": (64, 128), "depths": (0, 50, 100), "limit": 2}),
    "blocks": (BOTH[:1], {"length": (8,), "limit": 2}),
    "shift": (BOTH[:1], {"length": 16, "block": 8, "limit": 2, "frac": (0.1, 0.3)}),
    "cache": (BOTH[:1], {"length": 16, "block": (8,), "limit": 2}),
}
"""Models and options of each probe."""
HOSTILE = "</script><script>document.title = 'taken'</script>"


def make(folder: Path) -> Path:
    """A study's folder with every probe's run, verdicts, and a run that failed."""
    shelf = loaded_models.LoadedModels()
    folder.mkdir(exist_ok=True)
    for probe, (models, options) in RUNS.items():
        for model in models:
            job = plan.Job(probe, model, options, output=folder / probe)
            runner.run(plan.prepare(job), Silent(), shelf)
    judge(folder / "shift", LikelihoodJudge(), Choice(), Silent())
    state = {"status": "finished", "error": "", "models": ["tiny-mdlm"], "seconds": 1.0}
    runs = {name: {"probe": name, **state} for name in RUNS}
    runs["too-large"] = {"probe": "shift", **state, "status": "failed", "error": f"no <b>{HOSTILE}"}
    study = {"study": "small & <odd>", "source": f"# {HOSTILE}\n", "runs": runs}
    (folder / "study.json").write_text(json.dumps(study))
    return folder
