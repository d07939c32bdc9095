"""A worker: the executor of a process, asked from another one. What goes wrong is an answer."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.version import __version__
from mdlm_probe.prompts import lm_eval_trust
from mdlm_probe.runs.executors.contract import EngineRequest, GroupResult
from mdlm_probe.runs.executors.in_process import EngineSession, InProcess

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine


@dataclass(frozen=True)
class Setting:
    """What a worker takes over from who asks it.

    Attributes:
        version: of the tool.
        folder: where relative paths begin.
        trusting: whether code of task files may run; see `lm_eval_trust`.
        threads: of torch.
        cards: how many it owns.
    """

    version: str
    folder: str
    trusting: bool
    threads: int
    cards: int


@dataclass(frozen=True)
class Opened:
    """A worker that is ready.

    Attributes:
        facts, batch: as a session's.
        events: what happened on the way that a reader of the results should know.
        worker: its machine and device.
    """

    facts: dict[str, dict[str, Any]]
    batch: dict[str, Any]
    events: tuple[str, ...]
    worker: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a worker says: a value or an error, and what it has to note.

    Attributes:
        value, error: one of them.
        notes: for whoever looks on.
        tokens: that went through a network.
    """

    value: Any = None
    error: Exception | None = None
    notes: tuple[str, ...] = ()
    tokens: int = 0


class Worker:
    """Holds models and an engine, and works on groups.

    Args:
        setting: what it takes over.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._executor = InProcess()
        self._session: EngineSession | None = None
        self._notes: list[str] = []
        self._tokens = 0
        with suppress(OSError):  # on another machine it may not be there; what misses it will say
            os.chdir(setting.folder)

    def hello(self) -> Reply:
        """The value is where it is."""
        return self._reply(self._hello)

    def load(self, request: EngineRequest) -> Reply:
        """Loads the models of a request."""
        return self._reply(self._load, request)

    def open(self, request: EngineRequest) -> Reply:
        """Makes an engine, with all budgets that it may need; the value is `Opened`."""
        return self._reply(self._open, request)

    def result(self, work: Callable[[Engine, Sequence[Any]], Any], group: Sequence[Any]) -> Reply:
        """What comes of a group; the value is `GroupResult`."""
        return self._reply(self._result, work, group)

    def _hello(self) -> dict[str, Any]:
        host = socket.gethostname()
        if self.setting.version != __version__:
            raise ProbeError(
                f"mdlm-probe {__version__} on {host}",
                expected=f"{self.setting.version} on every machine",
            )
        return {"host": host}

    def _load(self, request: EngineRequest) -> None:
        import torch

        torch.set_num_threads(self.setting.threads)
        self._session = None
        self._executor.load(request, self._notes.append)

    def _open(self, request: EngineRequest) -> Opened:
        self._session = session = self._executor.open(request, self._notes.append)
        session.engine.watch = self._count
        session.engine.find_budgets(gradients=request.gradients)
        device = session.engine.model.device
        return Opened(
            session.facts, session.batch, tuple(session.engine.events), self._described(device)
        )

    def _result(
        self, work: Callable[[Engine, Sequence[Any]], Any], group: Sequence[Any]
    ) -> GroupResult[Any]:
        assert self._session is not None, "opened before"
        return self._session.result(work, group)

    def _count(self, tokens: int) -> None:
        self._tokens += tokens

    def _described(self, device: str) -> dict[str, Any]:
        import torch

        kind = torch.device(device)
        cuda = kind.type == "cuda"
        found = {
            "host": socket.gethostname(),
            "device": torch.cuda.get_device_name(kind) if cuda else kind.type,
            "threads": self.setting.threads,
        }
        return found | ({"cards": self.setting.cards} if self.setting.cards else {})

    def _reply(self, do: Callable[..., Any], *given: Any) -> Reply:
        self._notes.clear()
        self._tokens, value, fault = 0, None, None
        try:
            with ExitStack() as stack:
                if self.setting.trusting:
                    stack.enter_context(lm_eval_trust.trusting())
                value = do(*given)
        except Exception as error:
            fault = portable_error(error)
        return Reply(value, fault, tuple(self._notes), self._tokens)


def actor_class() -> type:
    """The class of Ray's actors, each of which has a `Worker`.

    It travels whole, by value, so that a machine which lacks the tool, or has another version of
    it, can say so: Ray would only say that a process has died.
    """

    class Worker:  # what Ray calls its process
        def __init__(self, *setting: Any) -> None:
            from importlib import import_module

            self.fault = ""
            try:
                module = import_module("mdlm_probe.runs.executors.worker")
                self.worker = module.Worker(module.Setting(*setting))
            except Exception as error:
                self.fault = f"{type(error).__name__}: {error}"

        def hello(self) -> Any:
            """Where it is; a text says why it can't work."""
            from socket import gethostname

            return f"on {gethostname()}: {self.fault}" if self.fault else self.worker.hello()

        def load(self, request: Any) -> Any:
            return self.worker.load(request)

        def open(self, request: Any) -> Any:
            return self.worker.open(request)

        def result(self, work: Any, group: Any) -> Any:
            return self.worker.result(work, group)

    return Worker


def portable_error(error: Exception) -> Exception:
    """An error as it can travel: itself where it can, else one that says the same."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a class of some library does
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
