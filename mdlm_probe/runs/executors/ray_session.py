"""A session on Ray: who sits where, what each is asked, and who takes a dead worker's place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import differences
from mdlm_probe.core.threads import TURN
from mdlm_probe.core.version import __version__
from mdlm_probe.runs.executors.contract import EngineRequest, Found, GroupResult, Item, Note
from mdlm_probe.runs.executors.group_queue import DEATHS, GroupQueue
from mdlm_probe.runs.executors.ray_cluster import Cluster
from mdlm_probe.runs.executors.worker import Opened, Reply

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

WINDOW = 4
"""Groups for each worker that may be taken before the first of them is finished: enough that
nobody waits for one slow group, few enough that results fit into memory."""

LATE = 30
"""Seconds that others wait for a worker which finds no room in the cluster."""


SAME = ("weight_hash", "dtype", "files")
"""What must be equal of a model wherever it is loaded."""

ANSWER = 60
"""Seconds until a result that is there must have come."""

Stage = Literal["joining", "loading", "loaded", "opening", "ready", "working"]


@dataclass
class Seat:
    """A worker's place: whoever dies there is replaced.

    Attributes:
        number: from 1, for messages.
        actor: Ray's handle of who sits there.
        stage: what it does; "joining" until it has found room.
        ref: what is waited for; None: nothing.
        group: number of the group that it works on.
        batch: budgets of its batches, smaller than others' where its memory ran out.
        worker: its machine and device.
        deaths: how many died here one after another without a group.
    """

    number: int
    actor: Any
    stage: Stage = "joining"
    ref: Any = None
    group: int | None = None
    batch: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)
    deaths: int = 0

    @property
    def name(self) -> str:
        """What messages call it."""
        where = [str(self.worker[n]) for n in ("host", "device") if n in self.worker]
        return f"worker {self.number}" + (f" ({', '.join(where)})" if where else "")


class RaySession:
    """Workers over the same model.

    Args:
        request: what they load.
        note: told what a person should know.
        cluster: where they are.
        seats: theirs.
        actor: makes another one.

    Attributes:
        over: whether nobody wants its results any more, while another thread may wait for them.
    """

    def __init__(
        self,
        request: EngineRequest,
        note: Note,
        cluster: Cluster,
        seats: list[Seat],
        actor: Callable[[], Any],
    ) -> None:
        self._request, self._note, self._cluster = request, note, cluster
        self._seats, self._actor = seats, actor
        self._first: Opened | None = None
        self._queue: GroupQueue[Any] | None = None
        self._watch: Callable[[int], None] = lambda tokens: None
        self._events: list[str] = []
        self._told: set[str] = set()
        self.over = False

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What run.json records of the model and its scorer, as the first worker says."""
        return self._opened.facts

    @property
    def batch(self) -> dict[str, Any]:
        """The budgets of batches that all workers began with."""
        return self._opened.batch

    @property
    def workers(self) -> list[dict[str, Any]]:
        """The machine and device of each worker that is ready."""
        return [seat.worker for seat in self._seats if seat.stage in ("ready", "working")]

    @property
    def _opened(self) -> Opened:
        assert self._first is not None, "begun before"
        return self._first

    def join(self, seat: Seat) -> None:
        """Another worker, which takes groups as soon as it is ready."""
        self._seats.append(seat)
        self._ask(seat, "joining", seat.actor.hello)

    def begin(self) -> None:
        """Waits for all workers to be ready, but not for ever for those that find no room.

        Raises:
            ProbeError: as `models.load`, of any of them.
        """
        for seat in self._seats:
            seat.batch, seat.group, seat.deaths = {}, None, 0
            self._ask(seat, "joining", seat.actor.hello)
        late, told = time.monotonic() + LATE, False
        while True:
            stages = {seat.stage for seat in self._seats}
            if stages == {"ready"} or (told and stages == {"ready", "joining"}):
                return
            self._step()
            if not told and time.monotonic() > late:
                told = True
                self._tell_who_waits()

    def results(
        self,
        work: Callable[[Engine, Sequence[Item]], Found],
        groups: Iterable[Sequence[Item]],
        watch: Callable[[int], None],
    ) -> Iterator[GroupResult[Found]]:
        """What comes of each group, in their order.

        Raises:
            ProbeError: as `work`; a group that ends one worker after another; a lost cluster.
        """
        queue: GroupQueue[Item] = GroupQueue(groups, WINDOW * len(self._seats))
        self._queue, self._watch = queue, watch
        for seat in self._seats:  # what one still does for a caller who left is of no use
            seat.group = None
        while not queue.over:
            self._deal(queue, work)
            for result in queue.due():
                events, self._events = tuple(self._events), []
                yield replace(result, events=events + result.events)
                self._deal(queue, work)
            if not queue.over:
                self._step()

    def _deal(self, queue: GroupQueue[Item], work: Callable[..., Any]) -> None:
        """Gives groups to those who are ready."""
        for seat in self._seats:
            if seat.stage == "ready" and (taken := queue.take()):
                seat.group, group = taken
                self._ask(seat, "working", seat.actor.result, work, group)

    def _ask(self, seat: Seat, stage: Stage, method: Any, *given: Any) -> None:
        seat.stage, seat.ref = stage, method.remote(*given)

    def _step(self) -> None:
        """Waits a turn for replies, and does what follows from those that came."""
        ray, seats = self._cluster.ray, {s.ref: s for s in self._seats if s.ref is not None}
        came, _ = ray.wait(list(seats), timeout=TURN)
        if self.over:
            raise RuntimeError("nobody waits for these results any more")
        self._cluster.check()
        for ref in came:
            seat = seats[ref]
            seat.ref = None
            try:
                reply = ray.get(ref, timeout=ANSWER)
            except ray.exceptions.RayTaskError as error:  # what can't be sent, or understood
                said = str(error.cause).partition("\n")[0]
                reply = Reply(error=ProbeError(f"{seat.name} doesn't understand: {said}"))
            except ray.exceptions.RayError as error:
                self._replace(seat, error)
                continue
            if isinstance(reply, str):
                raise ProbeError(
                    f"mdlm-probe can't work {reply}",
                    expected=f"version {__version__} on every machine of the cluster",
                )
            self._take(seat, reply)

    def _take(self, seat: Seat, reply: Reply) -> None:
        """Does what follows from a reply."""
        for text in reply.notes:  # all say the same
            if text not in self._told:
                self._note(text)
                self._told.add(text)
        if seat.stage == "working":
            self._finish(seat, reply)
        elif reply.error:
            raise self._placed(seat, reply.error)
        elif seat.stage == "joining":
            seat.worker = reply.value
            self._ask(seat, "loading", seat.actor.load, self._request)
        elif seat.stage == "loading":
            seat.stage = "loaded"
        else:
            self._welcome(seat, reply.value)
        self._open_loaded()

    def _finish(self, seat: Seat, reply: Reply) -> None:
        number, seat.group, seat.stage = seat.group, None, "ready"
        if self._queue is None or number is None:
            return
        self._watch(reply.tokens)
        if reply.error:
            self._queue.finish(number, reply.error)
            return
        found: GroupResult[Any] = reply.value
        seat.batch = found.batch  # smaller ones where its memory ran out: nobody else's business
        events = tuple(f"{seat.name}: {event}" for event in found.events)
        self._queue.finish(number, replace(found, events=events, batch=self.batch))

    def _open_loaded(self) -> None:
        """Makes engines where models are: one at first, which finds the budgets of all others."""
        if self._first is None and any(seat.stage == "opening" for seat in self._seats):
            return
        for seat in self._seats:
            if seat.stage == "loaded":
                batch = seat.batch or (self._first.batch if self._first else self._request.batch)
                self._ask(seat, "opening", seat.actor.open, replace(self._request, batch=batch))
                if self._first is None:
                    return

    def _welcome(self, seat: Seat, opened: Opened) -> None:
        """A worker is ready.

        Raises:
            ProbeError: its files aren't those of the others.
        """
        if self._first is None:
            self._first = opened
            self._events += opened.events
        for role, facts in self.facts.items():
            own = {n: opened.facts[role].get(n) for n in SAME}
            if found := differences({n: facts.get(n) for n in SAME}, own):
                raise ProbeError(
                    f"'{facts['name']}' on {seat.worker['host']} is not what others have:\n"
                    + "\n".join(f"  {line}" for line in found),
                    expected="the same files on every machine",
                )
        seat.worker, seat.stage, seat.deaths = opened.worker, "ready", 0
        if self._queue is not None:
            self._events.append(f"{seat.name} began later than others")

    def _replace(self, seat: Seat, error: Exception) -> None:
        """Puts another worker in a dead one's place, and its group back.

        Raises:
            ProbeError: too many died there one after another, with no group to blame.
        """
        why = cause_of_death(error)
        kill(self._cluster, seat.actor)
        if seat.stage == "working":
            self._events.append(f"{seat.name} died: {why}")
            if self._queue is not None and seat.group is not None:
                self._queue.lost(seat.group, why)
        else:
            seat.deaths += 1
        if seat.deaths == DEATHS:
            raise ProbeError(
                f"{seat.name} died {DEATHS} times before it could work: {why}",
                expected="a machine with mdlm-probe and memory for the model",
                hint="fewer --workers share a machine's memory; --dtype and --quantize need less",
            )
        self._note(f"{seat.name} died: {why}; another takes its place")
        seat.group, seat.actor = None, self._actor()
        self._ask(seat, "joining", seat.actor.hello)
        self._open_loaded()

    def _placed(self, seat: Seat, error: Exception) -> Exception:
        """An error with the machine that it came from, where there are several."""
        if not isinstance(error, ProbeError) or len(self._cluster.nodes()) == 1:
            return error
        return ProbeError(
            f"on {seat.worker.get('host', 'a machine of the cluster')}: {error.found}",
            expected=error.expected,
            hint=error.hint,
            option=error.options,
        )

    def _tell_who_waits(self) -> None:
        waiting = sum(seat.stage == "joining" for seat in self._seats)
        if waiting:
            free = self._cluster.ray.available_resources()
            self._note(
                f"{waiting} of {len(self._seats)} workers find no room: free are"
                f" {free.get('GPU', 0):g} cards and {free.get('CPU', 0):g} cores of"
                f" {len(self._cluster.nodes())} machines; they begin when there is"
            )


def cause_of_death(error: Exception) -> str:
    """Why a worker died, as far as Ray knows, in a few words."""
    said = str(error).lower()
    if "low on memory" in said or type(error).__name__ == "OutOfMemoryError":
        return "its machine ran out of memory"
    if "node" in said and (
        "node has died" in said or "node died" in said or "node is dead" in said
    ):
        return "its machine is gone"
    return "its process was killed or crashed"


def kill(cluster: Cluster, actor: Any) -> None:
    """Ends a worker, if it is there."""
    with suppress(Exception):
        cluster.ray.kill(actor, no_restart=True)
