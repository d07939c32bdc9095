"""Our model of lm-eval over an engine that a test has already."""

from mdlm_probe.harness import ProbeLM
from mdlm_probe.runs.executors.in_process import EngineSession


def lm_over(engine, settings=None, **more):
    """`ProbeLM` over the engine's model, with an engine of its own: `lm.session.engine`."""
    session = EngineSession(engine.model, None, {"tokens": engine.batch_tokens})
    return ProbeLM(session, engine.border, settings, **more)
