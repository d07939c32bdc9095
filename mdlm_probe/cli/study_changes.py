"""What a command line changes in a study's file: its models, and single options."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mdlm_probe.core import catalog
from mdlm_probe.core.catalog import JUDGE
from mdlm_probe.core.errors import ProbeError


@dataclass(frozen=True)
class StudyChanges:
    """What is to be different from a study's file.

    Attributes:
        models: in place of all models that runs measure or train; (): as the file says.
        options: NAME=VALUE, for every run that has such an option.
    """

    models: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def apply(
        self, data: dict[str, Any], probes: dict[str, str], known: Callable[[str], Collection[str]]
    ) -> None:
        """Changes a file's fields.

        Args:
            data: of the file.
            probes: of every run.
            known: the options that a run may have, by its name.

        Raises:
            ProbeError: an option that no run has.
        """
        if self.models:
            data["model"] = list(self.models)
            for run, probe in probes.items():
                if probe != JUDGE:
                    data["runs"][run].pop("model", None)
            _check_trainings(self.models, probes)
            for run, probe in probes.items():
                if probe == catalog.TUNE:
                    data["runs"][run]["model"] = self.models[0]
        for text in self.options:
            name, value = _parts(text)
            having = [run for run in probes if name in known(run)]
            if not having:
                every = sorted({option for run in probes for option in known(run)})
                error = catalog.unknown("option", name, every)
                raise ProbeError(error.found, expected="an option of a run", hint=error.hint)
            for part in (data, *(data["runs"][run] for run in having)):
                for spelt in (name, name.replace("_", "-")):
                    part.pop(spelt, None)
            for run in having:
                data["runs"][run][name] = value

    def told(self) -> str:
        """What study.json has after the file's own text; "" where nothing is changed."""
        models = [f"# --model {name}" for name in self.models]
        return "\n".join([*models, *(f"# --set {text}" for text in self.options)])


def _check_trainings(models: Sequence[str], probes: dict[str, str]) -> None:
    if len(models) > 1 and catalog.TUNE in probes.values():
        raise ProbeError(
            f"--model names {len(models)} models, and a training has one",
            expected="one model, or runs that only measure: --only RUN,RUN",
            option="model",
        )


def _parts(text: str) -> tuple[str, Any]:
    """An option's name and value; a comma separates several values."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ProbeError(f"--set is '{text}'", expected="OPTION=VALUE", option="set")
    if "," in value and not value.startswith("["):
        return name.replace("-", "_"), [yaml.safe_load(part) for part in value.split(",")]
    try:
        return name.replace("-", "_"), yaml.safe_load(value)
    except yaml.YAMLError:
        return name.replace("-", "_"), value
