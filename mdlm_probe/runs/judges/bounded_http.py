"""An HTTP client whose replies end: in time, and below a size."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

LARGEST = 8 * 2**20
"""Bytes of a reply's body."""


def bounded_client(seconds: float) -> Any:
    """A client for the SDK that gives a reply's whole body so many seconds, and `LARGEST` bytes.

    Limits of HTTP libraries are about each read: a body that trickles, or never ends, passes them.
    What goes beyond is an error of the connection, which is closed; the SDK asks again.
    """
    import openai

    def bound(response: Any) -> None:
        response.stream = _bounded(response, seconds)

    return openai.DefaultHttpxClient(event_hooks={"response": [bound]})


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
