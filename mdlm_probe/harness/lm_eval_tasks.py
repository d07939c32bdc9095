"""Tasks of lm-eval by name: made by lm-eval itself, with documents of the user's where given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Kind

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import lm_eval_data, lm_eval_documents, lm_eval_trust, shipped


class Loaded(NamedTuple):
    """Tasks ready to be asked.

    Attributes:
        top: tasks and groups as they were named, for lm-eval's evaluator.
        tasks, groups: all of them, by name.
        manager: what made them.
    """

    top: list[Any]
    tasks: dict[str, Any]
    groups: dict[str, Any]
    manager: TaskManager


def load(names: Sequence[str], include_path: str = "", data: str = "") -> Loaded:
    """Tasks, groups, tags and YAML files by name; `*` stands for any text.

    Args:
        names: ours in tasks/lm_eval, those of a folder, or lm-eval's own.
        include_path: a folder of task YAMLs.
        data: a file whose rows replace a task's documents; then there is one task.

    Raises:
        ProbeError: an unknown name, with the nearest ones; documents that can't be had, or that
            miss a column; several tasks for one file.
    """
    if include_path and not Path(include_path).is_dir():
        raise ProbeError(
            f"--include_path: no folder {include_path}",
            expected="one of task YAMLs",
            option="include_path",
        )
    if include_path:
        lm_eval_documents.check_folder(Path(include_path))
    manager = _manager(names, include_path)
    found = list(dict.fromkeys(one for name in names for one in _known(manager, name)))
    if data and len(found) > 1:
        raise ProbeError(
            f"--data is for one task, not for {len(found)}", expected="one --tasks", option="data"
        )
    top = []
    for name in found:
        entry = manager.task_index.get(name)
        path = Path(name) if entry is None else entry.yaml_path
        with lm_eval_trust.loading(path, include_path):
            top += _made(manager, name, path, data)
    try:
        loaded = manager.load(top)
    except ValueError as error:  # a task that is named twice, by itself and in a group
        raise ProbeError(f"--tasks: {error}", expected="each task once", option="tasks") from None
    return Loaded(top, loaded["tasks"], loaded.get("groups", {}), manager)


def _manager(names: Sequence[str], include_path: str) -> TaskManager:
    """All of lm-eval's thousands of files are read only where ours don't have a name."""
    folders = [shipped.folder() / "lm_eval", *([Path(include_path)] if include_path else [])]
    own = TaskManager(include_path=folders, include_defaults=False)
    if all(_is_file(name) or _needs_no_other(own, name) for name in names):
        return own
    return TaskManager(include_path=folders)


def _needs_no_other(own: TaskManager, name: str, above: frozenset[str] = frozenset()) -> bool:
    """Whether a name is a task's, or that of a group whose tasks are all there.

    Args:
        own: what there is.
        name: the name.
        above: groups that it is in.
    """
    entry = own.task_index.get(name)
    if entry is None or name in above:
        return False
    if entry.kind != Kind.GROUP:  # more tasks may have a tag
        return entry.kind in (Kind.TASK, Kind.PY_TASK)
    inner = (entry.cfg or {}).get("task") or ()
    return not isinstance(inner, str) and all(
        isinstance(one, str) and _needs_no_other(own, one, above | {name}) for one in inner
    )


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) and Path(name).is_file()


def _known(manager: TaskManager, name: str) -> list[str]:
    """The names that a name stands for."""
    if _is_file(name) or name in manager.task_index:
        return [name]
    if matching := (manager.match_tasks([name]) if "*" in name else []):
        return matching
    near = difflib.get_close_matches(name, manager.all_tasks, n=3, cutoff=0.6)
    raise ProbeError(
        f"unknown lm-eval task '{name}'",
        expected="one that `lm-eval ls tasks` names, one of --include_path, or a .yaml path",
        hint=f"did you mean {' or '.join(map(repr, near))}?" if near else "",
    )


def _made(manager: TaskManager, name: str, path: Path | None, data: str) -> list[Any]:
    """A task, a group, or the tasks of a tag; `path` is its file, which a tag has none of."""
    config = lm_eval_documents.read_yaml(name, path, resolve_func=False) if path else {}
    plain = "task" in config and "group" not in config and "class" not in config
    if data and not plain:
        raise ProbeError(
            f"--data: '{name}' is several tasks, or code", expected="one YAML task", option="data"
        )
    wanted: Any = name
    if plain and path:
        wanted = lm_eval_documents.read_yaml(name, path)
        read = lm_eval_data.own(name, data, wanted) if data else lm_eval_data.beside(path, wanted)
        wanted |= read
    try:
        loaded = manager.load([wanted])
    except ProbeError:
        raise
    except Exception as error:  # whatever its documents, the hub or its own functions raise
        raise lm_eval_documents.unmade(name, error) from None
    if plain and config.get("dataset_path") in lm_eval_data.FILES and not data:
        _check_columns(name, wanted, next(iter(loaded["tasks"].values())))
    inner = {child for names in loaded.get("group_map", {}).values() for child in names}
    groups = [group for title, group in loaded.get("groups", {}).items() if title not in inner]
    held = {task.task_name for group in groups for task in group.get_all_tasks()}
    return groups + [task for title, task in loaded["tasks"].items() if title not in held]


def _check_columns(name: str, config: dict[str, Any], task: Any) -> None:
    """lm-eval takes the name of a column that isn't there for a text."""
    missing = (
        [] if config.get("process_docs") else lm_eval_data.missing_columns(config, task.features)
    )
    if missing:
        raise ProbeError(
            f"the documents of task '{name}' have no column {', '.join(missing)}",
            expected="found " + ", ".join(task.features),
        )
