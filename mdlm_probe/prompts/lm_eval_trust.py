"""Whose code lm-eval may run for a task: its own and ours, and a user's only with --trust-tasks.

A task's YAML can name Python functions (`!function file.name`), and metrics that are downloaded and
run (`hf_evaluate`, or any name that lm-eval doesn't know). What is installed is trusted already;
files from elsewhere are not. Jinja templates of all tasks are rendered in a sandbox. Ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped

OPTION = "trust_tasks"

_trusting = ContextVar("trusting", default=False)
_downloads = ContextVar("downloads", default=False)


@contextmanager
def trusting() -> Iterator[None]:
    """Lets tasks from anywhere run code: the user said so."""
    token = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(token)


def is_trusting() -> bool:
    """Whether tasks from anywhere may run code."""
    return _trusting.get()


@contextmanager
def loading(path: Path | None, include_path: str) -> Iterator[None]:
    """Lets lm-eval make a task from a file.

    Args:
        path: of its YAML; None for a tag, which stands for several.
        include_path: the user's folder of tasks, which may take the place of lm-eval's own.
    """
    _guard()
    own = not include_path if path is None else is_installed(path) and not include_path
    token = _downloads.set(own or _trusting.get())
    try:
        yield
    finally:
        _downloads.reset(token)


def is_installed(path: Path) -> bool:
    """Whether a file is lm-eval's or ours."""
    import lm_eval.tasks

    homes = (Path(lm_eval.tasks.__file__).parent, shipped.folder() / "lm_eval")
    return any(path.resolve().is_relative_to(home.resolve()) for home in homes)


def _guard() -> None:
    """Puts checks where lm-eval imports functions and finds metrics, and a sandbox in its place."""
    import lm_eval.api.metrics  # noqa: F401  registers them
    from lm_eval import utils
    from lm_eval.api import registry
    from lm_eval.api import task as tasks
    from lm_eval.tasks import _yaml_loader

    from mdlm_probe.core.templates import Sandbox

    if isinstance(utils.env, Sandbox):
        return
    old = utils.env
    utils.env = Sandbox(
        loader=old.loader, undefined=old.undefined, keep_trailing_newline=old.keep_trailing_newline
    )
    utils.env.filters["regex_replace"] = old.filters["regex_replace"]
    _yaml_loader._import_func_in_yml = _checked_function(_yaml_loader._import_func_in_yml)
    tasks.get_metric = _checked_metric(tasks.get_metric, registry)


def _checked_function(imported: Callable[[str, Path], Any]) -> Callable[[str, Path], Any]:
    def checked(spec: str, base_dir: Path) -> Any:
        if not _trusting.get() and not is_installed(base_dir):
            raise _untrusted(f"a task file in {base_dir} runs code: !function {spec}")
        return imported(spec, base_dir)

    return checked


def _checked_metric(found: Callable[..., Any], registry: Any) -> Callable[..., Any]:
    def checked(name: str, hf_evaluate_metric: bool = False) -> Any:
        known = name in registry.metric_registry and not hf_evaluate_metric
        if not known and not _downloads.get():
            raise _untrusted(f"a task has the metric {name}, whose code would be downloaded")
        return found(name, hf_evaluate_metric)

    return checked


def _untrusted(found: str) -> ProbeError:
    return ProbeError(
        found,
        expected="templates, and metrics that lm-eval has: the code of what is installed alone",
        hint="--trust-tasks runs it; read the file first",
        option=OPTION,
    )
