"""The executor on Ray: a worker for each card, or for some cores, on one machine or many.

Only this process plans and writes. A worker loads the model once and gets one group after another;
one that dies is replaced, and its group asked again. All have the budgets of batches that the first
one found, so that no batch depends on who works.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.version import __version__
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.prompts import lm_eval_trust
from mdlm_probe.runs.executors.contract import EngineRequest, Executor, Note
from mdlm_probe.runs.executors.ray_cluster import Cluster, share
from mdlm_probe.runs.executors.ray_session import RaySession, Seat, kill
from mdlm_probe.runs.executors.worker import Setting, actor_class
from mdlm_probe.runs.loaded_models import LoadedModels


@dataclass(frozen=True)
class Needs:
    """What a worker takes of a machine.

    Attributes:
        cards, cores: how many; no cores: whatever is free.
        threads: of torch.
    """

    cards: int
    cores: int
    threads: int


class RayExecutor:
    """Works on Ray, which is begun when the first model is wanted.

    Args:
        workers: how many; 0: one for each card of the cluster, or each machine if it has none.
        address: of a cluster; "": on this machine.
        whole: the executor that this one is a part of; None: it is no part.
    """

    def __init__(self, workers: int, address: str = "", whole: RayExecutor | None = None) -> None:
        self._wanted, self._address, self._whole = workers, address, whole
        self._borders = LoadedModels()
        self._cluster: Cluster | None = whole._cluster if whole else None
        self._needs: Needs | None = None
        self._seats: list[Seat] = []
        self._session: RaySession | None = None
        self._parts: list[RayExecutor] = []
        self._lock = threading.Lock()

    def border(self, entry: Checkpoint, load: LoadOptions) -> Any:
        """A checkpoint's tokenizer, in this process."""
        return self._borders.border(entry, load)

    def open(self, request: EngineRequest, note: Note) -> RaySession:
        """Lets all workers load what a request names; what they had before is put away."""
        if self._cluster is None:
            note("starting Ray" if not self._address else f"joining Ray at {self._address}")
        cluster, workers = self._begun()
        self._end_parts()
        needs = needed(cluster, request.load, self._whole._begun()[1] if self._whole else workers)
        with self._lock:
            workers = self._begun()[1]  # some may have joined
            if needs != self._needs or len(self._seats) != workers:
                self._end_workers()
                self._needs = needs
                self._seats = [Seat(n + 1, self._actor(needs)) for n in range(workers)]
            seats = self._seats
            session = RaySession(request, note, cluster, seats, lambda: self._actor(needs))
            self._session = session
        session.begin()
        return session

    def parts(self, number: int) -> Sequence[RayExecutor]:
        """Executors for as many models at once, with as equal numbers of workers as can be.

        They take over the workers that are there: a new one loads libraries for seconds.
        """
        _, workers = self._begun()
        count = min(number, workers)
        self._end_parts()
        if count < 2:
            return [self]
        shares = [workers // count + (at < workers % count) for at in range(count)]
        self._parts = [RayExecutor(one, self._address, self) for one in shares]
        actors = iter(self._handed_over())
        for part in self._parts:
            part._take(list(islice(actors, part._wanted)), self._needs)
        return self._parts

    def help(self, others: Sequence[Executor]) -> None:
        """Its workers go to the part that has fewest."""
        number, self._wanted = self._wanted, 0
        parts = [one for one in others if isinstance(one, RayExecutor)]
        least = min(parts, key=lambda one: one._wanted)
        least._join(number, self._handed_over(), self._needs)

    def close(self) -> None:
        """Ends all workers, and Ray where it was begun here."""
        self._end_parts()
        if self._session:
            self._session.over = True
        if self._cluster is not None:
            self._end_workers()
            if not self._whole:
                self._cluster.close()
            self._cluster = self._needs = None

    def _end_parts(self) -> None:
        """Ends the workers of its parts, which have the places of its own."""
        for part in self._parts:
            part.close()
        self._parts = []

    def _begun(self) -> tuple[Cluster, int]:
        """The cluster, and how many workers are wanted of it."""
        if self._cluster is None:
            self._cluster = Cluster(self._address)
        cards = sum(self._cluster.amounts("GPU"))
        return self._cluster, self._wanted or cards or len(self._cluster.nodes())

    def _handed_over(self) -> list[Any]:
        """Its workers, which are somebody else's from now on."""
        actors = [seat.actor for seat in self._seats]
        self._seats, self._session = [], None
        return actors

    def _take(self, actors: Sequence[Any], needs: Needs | None) -> None:
        """Begins with workers that are there."""
        self._seats = [Seat(n + 1, actor) for n, actor in enumerate(actors)]
        self._needs = needs

    def _join(self, number: int, actors: Sequence[Any], needs: Needs | None) -> None:
        """Takes more workers, which join in what is measured now.

        Args:
            number: how many.
            actors: those who are there; they end where it takes others.
            needs: what each of these has of its machine.
        """
        with self._lock:
            self._wanted += number
            if needs != self._needs:
                self._end(actors)
                actors = []
            if self._needs is None:
                return
            for at in range(number):
                actor = actors[at] if at < len(actors) else self._actor(self._needs)
                seat = Seat(len(self._seats) + 1, actor)
                if self._session is None:
                    self._seats.append(seat)
                else:
                    self._session.join(seat)

    def _actor(self, needs: Needs) -> Any:
        assert self._cluster is not None, "begun before"
        setting = Setting(
            __version__,
            str(Path.cwd()),
            lm_eval_trust.is_trusting(),
            needs.threads,
            needs.cards,
        )
        remote = self._cluster.ray.remote(actor_class()).options(
            num_cpus=needs.cores,
            num_gpus=needs.cards,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        return remote.remote(*astuple(setting))

    def _end_workers(self) -> None:
        self._end(self._handed_over())

    def _end(self, actors: Sequence[Any]) -> None:
        assert self._cluster is not None, "begun before"
        for actor in actors:
            kill(self._cluster, actor)


def needed(cluster: Cluster, load: LoadOptions, workers: int) -> Needs:
    """What each worker takes, so that all find room on the machines that are there.

    Raises:
        ProbeError: fewer cards than workers, or a device that only one of them can have.
    """
    kind, index = load.device.partition(":")[::2]
    if index:
        raise ProbeError(
            f"--device is '{load.device}', and every worker has a card of its own",
            expected="auto, cpu or cuda",
            option=("device", "workers"),
        )
    cores = share(cluster.amounts("CPU"), workers)
    threads = torch_threads() if "OMP_NUM_THREADS" in os.environ else max(1, cores)
    cards = cluster.amounts("GPU")
    if kind not in ("auto", "cuda") or (kind == "auto" and not sum(cards)):
        return Needs(0, cores, threads)
    each = share(cards, workers)
    if not each:
        where = "this machine has" if cluster.local else "the cluster has"
        raise ProbeError(
            f"{where} {sum(cards)} cards; --workers asks for {workers}",
            expected="a card for every worker",
            hint=f"--workers {sum(cards)}" if sum(cards) else "--device cpu works on cores",
            option=("workers", "device"),
        )
    return Needs(each if load.device_map == "auto" else 1, 0, threads)


def torch_threads() -> int:
    """Threads that torch has here, which the user said."""
    import torch

    return torch.get_num_threads()
