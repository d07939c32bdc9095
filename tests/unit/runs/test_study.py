"""The order of a study."""

from pathlib import Path

from mdlm_probe.runs import study as studies
from mdlm_probe.runs.plan import Job, prepare_all
from mdlm_probe.runs.study_plan import StudyRun


def test_runs_stand_by_model_then_by_scorer_then_as_listed():
    def part(name, probe, *options):
        jobs = [
            Job(probe, model, dict(options), output=Path(name))
            for model in ("tiny-mdlm", "tiny-arlm")
        ]
        return StudyRun(name, probe, tuple(prepare_all(jobs)[0]))

    few = ("limit", 1)
    parts = [
        part("a", "shift", few, ("scorer", "tiny-arlm")),
        part("b", "locality", few),
        part("c", "blocks", few, ("scorer", "oracle-causal")),
        part("d", "blocks", few, ("scorer", "tiny-arlm")),
        part("e", "needle", few),
    ]
    order = [(part.name, plan.entry.name) for part, plan in studies.order(parts)]
    assert order == [
        *[(name, "tiny-mdlm") for name in "becad"],
        *[(name, "tiny-arlm") for name in "be"],
    ]
