"""Documents of lm-eval's tasks: found, loaded and rendered by lm-eval itself. No torch.

Each is rendered as lm-eval does: doc_to_text, doc_to_choice, doc_to_target, delimiters, prefixes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.yaml_file import Document, check_text
from mdlm_probe.prompts import lm_eval_data, lm_eval_trust
from mdlm_probe.prompts.few_shot_sets import LETTERS, Example, Joined
from mdlm_probe.prompts.shipped import folder

FIELDS: dict[str, Any] = {
    "task": str | list,
    "num_fewshot": int,
    "description": str,
    "gen_prefix": str,
    "target_delimiter": str,
    "fewshot_delimiter": str,
    "output_type": str,
}
"""Kinds of a task's fields that are read before lm-eval checks any."""


class Documents:
    """The documents of a task of lm-eval, rendered by the task itself.

    Raises:
        ProbeError: the task asks in a way that has no few-shot question with choices.
    """

    def __init__(self, task: Any) -> None:
        self.task, self.name = task, task.config.task.rpartition("/")[2]
        self.asked = task.eval_docs
        self._pools: dict[int, list[Any]] = {}
        self.choices = len(self.example(self.asked[0]).options)
        given = task.config.description or ""
        some = [self.asked[i] for i in range(min(64, len(self.asked)))]
        found = {task.resolve_field(doc, given) or "" for doc in some}
        if len(found) > 1:
            raise self._error("its description differs between documents", "one for all")
        self.description = found.pop()

    def metric(self, wanted: str, known: Iterable[str]) -> str:
        """The metric that a user wants, or the task's first of those that are known."""
        has = [name for name in known if name in self.task.aggregation()]
        if self.task.config.process_results is not None or not has:
            raise self._error("it has metrics of its own", "one of " + ", ".join(known))
        if wanted and wanted not in has:
            raise self._error(f"it has no metric {wanted}", "one of " + ", ".join(has))
        return wanted or has[0]

    @cached_property
    def ending(self) -> tuple[str, str]:
        """What follows an example: what touches its answer closes it, the rest joins turns."""
        end = self.task.fewshot_cfg.fewshot_delimiter
        closing = "" if end[:1].isspace() else end.rstrip()
        return closing, end.removeprefix(closing)

    def example(self, doc: Any) -> Example:
        """A document as it is asked."""
        task = self.task
        with self._columns(doc):
            choices = task.doc_to_choice(doc) if task.config.doc_to_choice else None
            text, gold = task.doc_to_text(doc), task.doc_to_target(doc)
            prefix = task.doc_to_prefix(doc)
        if not isinstance(choices, list) or not isinstance(text, str) or isinstance(gold, list):
            raise self._error("it asks no single question", "one question, choices, one answer")
        choices = [str(choice) for choice in choices]
        right = choices.index(gold) if gold in choices else gold
        if isinstance(right, str) or not 0 <= int(right) < len(choices):
            found = f"the right answer of a document is {gold!r}"
            raise self._error(found, f"one of {choices}, or its number from 0")
        if not all(choices) or not 2 <= len(choices) <= len(LETTERS):
            raise self._error(f"a document has the choices {choices}", "2 to 26 texts")
        messages = task.build_qa_turn(
            q=text, gen_prefix=prefix, tgt_delim=task.config.target_delimiter, few_delim=""
        )
        return Example(tuple(choices), int(right), "".join(m.to_text() for m in messages))

    def shot(self, doc: Any) -> Joined:
        """A document as an example, with its answer."""
        task, own = self.task, self.task.fewshot_cfg
        with self._columns(doc):
            asked, answered = task.build_qa_turn(
                q=task.doc_to_text(doc, own.doc_to_text),
                c=task.doc_to_choice(doc, own.doc_to_choice),
                a=task.doc_to_target(doc, own.doc_to_target),
                gen_prefix=task.resolve_field(doc, own.gen_prefix),
                tgt_delim=own.target_delimiter,
                few_delim=own.fewshot_delimiter,
            )
        closing, end = self.ending
        return Joined((asked.content, answered.content + closing), asked._delimiter, end)

    def pool(self, seed: int) -> list[Any]:
        """All documents that may be shots, in the order of the task's sampler."""
        sampler = getattr(self.task, "sampler", None)
        if not sampler or not sampler.df:
            return []
        if seed not in self._pools:
            self._pools[seed] = list(sampler.set_rnd(seed).sample(len(sampler.df)) or [])
        return self._pools[seed]

    @contextmanager
    def _columns(self, doc: Any) -> Iterator[None]:
        import jinja2

        try:
            yield
        except (KeyError, jinja2.UndefinedError) as error:
            raise self._error(f"a document has no {error}", "columns " + ", ".join(doc)) from None
        except jinja2.TemplateError as error:
            raise self._error(f"its template fails: {error}", "a template of its columns") from None
        except ProbeError:
            raise
        except Exception as error:  # whatever its own fields make of lm-eval
            said = f"{type(error).__name__}: {error}"
            raise self._error(
                f"a document can't be asked: {said:.300}", "a task as lm-eval's"
            ) from None

    def _error(self, found: str, expected: str) -> ProbeError:
        return ProbeError(f"lm-eval task '{self.name}': {found}", expected=expected)


class TaskFile(Document):
    """A user's task file, as lm-eval will read it, and the files that it includes."""

    def __init__(self, path: Path, within: tuple[Path, ...] = ()) -> None:
        super().__init__(path)
        if path.resolve() in within:
            raise self.error(("include",), "includes itself", "files that end somewhere")
        found = self.data.get("include", [])
        for name in found if isinstance(found, list) else [found]:
            inner = path.parent / str(name)
            if not lm_eval_trust.is_installed(inner):
                TaskFile(inner, (*within, path.resolve()))

    def _build(self, node: yaml.Node | None, at: tuple[Any, ...]) -> Any:
        function = isinstance(node, yaml.ScalarNode) and node.tag == "!function"
        return node.value if node and function else super()._build(node, at)


# ---------------------------------------------------------------------- lm-eval's own folder


def read(name: str, data: str, include_path: str) -> Any:
    """A task of lm-eval, made: from a folder of the user's, from ours, or from its own."""
    path = _yaml(name, include_path)
    with lm_eval_trust.loading(path, include_path):
        return _read(name, data, path)


def _read(name: str, data: str, path: Path) -> Any:
    from lm_eval.tasks import TaskManager

    config = read_yaml(name, path, resolve_func=False)
    if "group" in config or "class" in config or config.get("output_type") != "multiple_choice":
        what = "a group" if "group" in config else config.get("output_type", "code of its own")
        hint = f"one of its tasks: {str(config.get('task'))[:80]}" if "group" in config else ""
        raise ProbeError(
            f"lm-eval task '{name}' is {what}", expected="a task of multiple_choice", hint=hint
        )
    config = read_yaml(name, path)
    config.pop("tag", None)
    config |= lm_eval_data.own(name, data, config) if data else lm_eval_data.beside(path, config)
    try:
        made = TaskManager(include_defaults=False).load([config])["tasks"]
    except ProbeError:
        raise
    except Exception as error:  # whatever its documents, the hub or its own functions raise
        raise unmade(name, error) from None
    return next(iter(made.values()))


def read_yaml(name: str, path: Path, *, resolve_func: bool = True) -> dict[str, Any]:
    """The configuration that a task's file and those it includes hold.

    Args:
        name: the task's.
        path: its file.
        resolve_func: whether its functions are imported, too.

    Raises:
        ProbeError: it can't be read, or has functions of nobody we trust.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        if not lm_eval_trust.is_installed(path):
            TaskFile(path)
        config: dict[str, Any] = load_yaml(path, resolve_func=resolve_func)
    except ProbeError:
        raise
    except Exception as error:  # whatever the file, or the modules of its functions, raise
        raise unmade(name, error) from None
    for field, kind in FIELDS.items():
        value = config.get(field)
        wrong = not isinstance(value, kind) or isinstance(value, bool)
        if field in config and wrong and not callable(value) and (value or field == "task"):
            found = f"{path}, field '{field}': found {value!r:.80}"
            raise ProbeError(found, expected="what lm-eval takes there: a text, or a whole number")
    return config


def check_folder(include_path: Path) -> None:
    """Refuses a folder of tasks with a file that lm-eval's reader of YAML would crash at."""
    for path in sorted(include_path.rglob("*.yaml")):
        check_text(path)


def unmade(name: str, error: Exception) -> ProbeError:
    """The error for a task that lm-eval can't make."""
    said = (str(error).splitlines() or [""])[0]
    return ProbeError(
        f"lm-eval task '{name}' can't be made: {type(error).__name__}: {said}",
        expected="its documents, with the columns that its templates name",
        hint="--data FILE gives it documents of this machine",
    )


def _yaml(name: str, include_path: str) -> Path:
    """The file of a task; lm-eval's thousands are looked through only where ours have none."""
    from lm_eval.tasks import TaskManager

    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    if include_path and not Path(include_path).is_dir():
        raise ProbeError(
            f"--include-path: no folder {include_path}",
            expected="one of task YAMLs",
            option="include_path",
        )
    if include_path:
        check_folder(Path(include_path))
    folders = (folder() / "lm_eval", *([Path(include_path)] if include_path else []))
    index = TaskManager(include_path=list(folders), include_defaults=False).task_index
    if name not in index:
        index = shipped() | index
    if name in index:
        if index[name].yaml_path:
            return Path(index[name].yaml_path)
        members = ", ".join(sorted(index[name].tags))
        raise ProbeError(f"'{name}' is several lm-eval tasks", expected=f"one: {members}")
    near = get_close_matches(name, index, n=3, cutoff=0.6)
    raise ProbeError(
        f"unknown lm-eval task '{name}'",
        expected="one that `lm-eval ls tasks` names, one of --include-path, or a .yaml path",
        hint=f"did you mean {' or '.join(map(repr, near))}?" if near else "",
    )


@cache
def shipped() -> dict[str, Any]:
    """Everything that lm-eval itself has, by name."""
    from lm_eval.tasks import TaskManager

    return dict(TaskManager().task_index)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps lm-eval's log and the progress of downloads off the screen."""
    import datasets

    logs, shown = logging.getLogger("lm_eval"), datasets.is_progress_bar_enabled()
    level = logs.level
    logs.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logs.setLevel(level)
        if shown:
            datasets.enable_progress_bars()
