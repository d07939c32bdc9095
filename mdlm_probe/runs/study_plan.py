"""What a study is to run: tunings, measurements of probes on models, and verdicts on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mdlm_probe.runs import judges
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.shards import Shard
from mdlm_probe.tuning.request import Tuning


@dataclass(frozen=True)
class Verdicts:
    """What a judge is asked: by whom, of which run, about which pairs."""

    run: str
    by: judges.Judge
    choice: judges.Choice | judges.ModelChoice


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: a probe on its models, a judge of another run, or a tuning.

    Attributes:
        name: of the run, and of its folder.
        probe: the probe's name, "judge" or "tune".
        plans: what is to be measured, one plan per model.
        verdicts: what a judge is asked; then there are no plans.
        tuning: what is trained; likewise.
    """

    name: str
    probe: str
    plans: tuple[Plan, ...] = ()
    verdicts: Verdicts | None = None
    tuning: Tuning | None = None

    @property
    def models(self) -> list[str]:
        """Who is asked or trained, by name."""
        if self.tuning:
            return [self.tuning.model]
        return [self.verdicts.by.name] if self.verdicts else [p.entry.name for p in self.plans]


@dataclass(frozen=True)
class Study:
    """A study ready to run.

    Attributes:
        name: its file's name.
        source: its file's text.
        parts: its runs, as listed.
    """

    name: str
    source: str
    parts: tuple[StudyRun, ...]

    @property
    def adapters(self) -> set[str]:
        """Where the adapters are that the study trains."""
        return {str(part.tuning.output) for part in self.parts if part.tuning}

    def cut(self, shard: Shard) -> Study:
        """The same study, of which a part of every measurement's cells is measured."""
        parts = [
            replace(
                part,
                plans=tuple(replace(p, job=replace(p.job, shard=shard)) for p in part.plans),
            )
            for part in self.parts
        ]
        return replace(self, parts=tuple(parts))
