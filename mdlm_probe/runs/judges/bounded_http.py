"""An HTTP client whose replies end: in time, and below a size."""

from __future__ import annotations

import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import DefaultHttpxClient as Base
else:
    Base = object  # the SDK is there only where it is asked for

LARGEST = 8 * 2**20
"""Bytes of a reply's body."""


class Ended(BaseException):
    """Ends a call of a client that was closed; of other errors the SDK would ask again."""


def bounded_client(seconds: float) -> Any:
    """A client for the SDK that gives a reply's whole body so many seconds, and `LARGEST` bytes.

    Limits of HTTP libraries are about each read: a body that trickles, or never ends, passes them.
    What goes beyond is an error of the connection, which is closed; the SDK asks again. Closing the
    client ends calls that are on the way, see `_EndsCalls`.
    """
    import openai

    class Client(_EndsCalls, openai.DefaultHttpxClient):
        pass

    def bound(response: Any) -> None:
        response.stream = _bounded(response, seconds)

    return Client(event_hooks={"response": [bound]})


class _EndsCalls(Base):
    """An HTTP client whose closing ends calls that are on the way in other threads, with `Ended`.

    A socket that is only closed lets who reads from it wait for as long as the read may take.
    """

    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock, self._ended, self._calls = threading.Lock(), False, 0

    def send(self, request: Any, **told: Any) -> Any:
        """A call's response, while the client isn't closed."""
        request.extensions |= {"trace": self._trace}
        self._count(1)
        try:
            return super().send(request, **told)
        except Exception as error:
            if self._ended:
                raise Ended from error
            raise
        finally:
            self._count(-1)

    def close(self) -> None:
        """Ends all calls; the last one closes what they read from."""
        with self._lock:
            self._ended = True
            opened = list(self._sockets)
        for one in opened:
            with suppress(OSError):  # closed already
                one.shutdown(socket.SHUT_RDWR)
        self._count(0)

    def _count(self, more: int) -> None:
        """The last call closes: a thread that reads must not find another file's number."""
        with self._lock:
            if self._ended and more > 0:
                raise Ended
            self._calls += more
            if self._ended and not self._calls:
                super().close()

    def _trace(self, name: str, info: dict[str, Any]) -> None:
        """Remembers the sockets of new connections, as httpcore tells of them."""
        if name not in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            return
        stream = info["return_value"]
        with self._lock:
            self._sockets.add(stream.get_extra_info("socket"))
        if self._ended:
            stream.close()
            raise Ended


def _bounded(response: Any, seconds: float) -> Any:
    http: Any = sys.modules[type(response).__module__.partition(".")[0]]  # as the SDK has it
    stream, until = response.stream, time.monotonic() + seconds
    request = response.request

    class Bounded(http.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise http.DecodingError("the reply is compressed", request=request)
            size = 0
            for chunk in stream:
                size += len(chunk)
                if size > LARGEST:
                    raise http.ReadError(f"more than {LARGEST >> 20} MiB", request=request)
                if time.monotonic() > until:
                    raise http.ReadTimeout(f"no whole reply in {seconds:g} s", request=request)
                yield chunk

        def close(self) -> None:
            stream.close()

    return Bounded()
