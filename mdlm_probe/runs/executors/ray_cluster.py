"""Ray on this machine alone, or a cluster that runs already: how it is begun, watched and ended."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from mdlm_probe.core.errors import ProbeError

EXTRA = "pip install 'mdlm-probe[ray]'"
OBJECTS = 128 * 2**20
"""Bytes of shared memory for what travels: cells and rows."""

PATIENCE = 5.0
"""Seconds until a machine of the cluster must have answered."""

SOCKET_PATH = 40
"""Characters that a folder may have for Ray to make sockets in it: the system allows 107 for the
whole path.
"""


class Cluster:
    """A connection to Ray.

    Args:
        address: HOST:PORT of a cluster, "auto" for the one that this machine belongs to, or "" for
            one of this machine alone, which ends with the connection. That listens on loopback
            only, and to nobody without a token that never leaves this process and its children.

    Attributes:
        local: whether it is this machine's alone.
        ray: the library.

    Raises:
        ProbeError: no Ray, or none at that address.
    """

    def __init__(self, address: str) -> None:
        self.local = not address
        self._folder: Path | None = None
        self._processes: list[psutil.Process] = []
        self._watched: list[str] = []
        if address not in ("", "auto"):
            _check(address)
        self.ray = _imported(self.local)
        how: dict[str, Any] = {"address": address}
        if self.local:
            self._folder = Path(tempfile.mkdtemp(prefix="mdlm-", dir=_short()))
            cores = usable_cores()
            how = {"address": "local", "num_cpus": cores, "include_dashboard": False}
            how |= {"object_store_memory": OBJECTS, "_temp_dir": str(self._folder)}
        before = set(psutil.Process().children(recursive=True))
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        try:
            self.ray.init(namespace="mdlm-probe", **quiet, **how)
            self._watched = self._own_addresses()
        except (OSError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            raise _no_cluster(address, error) from None
        finally:  # whatever came of it, Ctrl-C too
            if self.local:
                self._processes = [*set(psutil.Process().children(recursive=True)) - before]
            if not self._watched:
                self.close()
        self._looked = time.monotonic()

    def _own_addresses(self) -> list[str]:
        """Where the head answers, and this machine's part of Ray."""
        context = self.ray.get_runtime_context()
        node = next(n for n in self.nodes() if n["NodeID"] == context.get_node_id())
        return [context.gcs_address, f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"]

    def nodes(self) -> list[dict[str, Any]]:
        """The machines that are there, as Ray describes them."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def amounts(self, resource: str) -> list[int]:
        """How much each machine has of "CPU" or "GPU", whoever uses it."""
        return [int(node["Resources"].get(resource, 0)) for node in self.nodes()]

    def check(self) -> None:
        """Looks now and then whether the head and this machine's part of Ray are there.

        Ray itself would wait for a minute, and then end this process.

        Raises:
            ProbeError: they aren't.
        """
        if time.monotonic() - self._looked < 1:
            return
        for address in self._watched:
            if not _answers(address) and not _answers(address):  # a lost packet is no lost head
                head = address == self._watched[0]
                what = "the head of the Ray cluster" if head else "this machine's part of Ray"
                raise ProbeError(
                    f"{what}, {address}, is gone",
                    hint="what was measured is kept; the same command resumes"
                    + ("" if self.local else " once the cluster is there again"),
                )
        self._looked = time.monotonic()

    def close(self) -> None:
        """Ends what was begun; a cluster that ran before goes on."""
        with suppress(Exception):  # of a lost head, say: there is nothing left to end
            self.ray.shutdown()
        for process in self._processes:  # some outlive a lost head
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def usable_cores() -> int:
    """Cores that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(amounts: Sequence[int], workers: int) -> int:
    """How much each of some workers may have, the same for all, so that all find room; 0: less.

    Args:
        amounts: what each machine has; nobody can have parts from two of them.
        workers: how many they are.
    """
    most = max(amounts, default=0)
    fitting = (n for n in range(most, 0, -1) if sum(a // n for a in amounts) >= workers)
    return next(fitting, 0)


def _imported(local: bool) -> Any:
    """Ray, silenced: what it has to say of a worker is in our own words elsewhere."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not local and has_token():  # of itself Ray shows it to the address "auto" only
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if local:  # read on import: no address but loopback is looked for or listened on
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        # a journal of calls for the dashboard, which isn't there; ending it waits for a lost head
        os.environ |= {"RAY_task_events_report_interval_ms": "0"}
    try:
        import ray
    except ImportError:
        raise ProbeError(
            "several workers need the library ray", hint=EXTRA, option=("workers", "ray_address")
        ) from None
    # prints on stdout, whatever log_to_driver says
    vars(ray._private.worker)["print_to_stdstream"] = lambda *given, **named: None
    if local:
        _without_unused_parts(ray._private.node.Node)
    return ray


def _without_unused_parts(node: type) -> None:
    """Lets a cluster of this machine begin without processes that do nothing for it.

    The dashboard, which Ray starts and waits for even when none is asked for; the reader of logs
    for a driver that wants none; and the part that would start and stop machines. Each loads
    libraries for a second, and every start of Ray waits for the first.
    """
    for name in ("start_api_server", "start_log_monitor", "start_monitor"):
        setattr(node, name, lambda self, **named: None)


def has_token() -> bool:
    """Whether there is a token that a cluster may ask for."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()


def _short() -> str:
    """A folder for temporary files in which sockets can be."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= SOCKET_PATH or not Path("/tmp").is_dir() else "/tmp"


def _check(address: str) -> None:
    """Refuses what is no address, or where nobody is: Ray would wait for that."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal()) or "/" in host:
        raise ProbeError(
            f"--ray-address is '{address}'", expected="auto, or HOST:PORT", option="ray_address"
        )
    if not _answers(address):
        raise _no_cluster(address, ConnectionError("nobody answers there"))


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), PATIENCE):
        return True
    return False


def _no_cluster(address: str, error: Exception) -> ProbeError:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    if not address:
        return ProbeError(f"Ray can't start on this machine: {said}", option="workers")
    return ProbeError(
        f"no Ray cluster at '{address}': {said}",
        expected="a cluster that was begun with `ray start --head`, which prints its address; where"
        " it asks for a token, the same one in ~/.ray/auth_token",
        hint="without --ray-address, --workers are on this machine",
        option="ray_address",
    )
