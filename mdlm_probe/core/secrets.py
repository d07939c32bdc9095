"""Keys and passwords: taken out of whatever is kept or printed."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import unquote, urlsplit

HIDDEN = "***"

SHORTEST = 4
"""Characters of a secret that can be told from ordinary text."""

USERINFO = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
QUERY = re.compile(
    r"([?&](?:[\w-]*(?:key|token|secret|password|signature)|pw|pwd|sig|auth)=)([^\s&#'\"<>]+)", re.I
)


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A text without names, passwords and keys in its URLs, and without these secrets."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return QUERY.sub(rf"\1{HIDDEN}", USERINFO.sub(f"{HIDDEN}@", text) if "@" in text else text)


def redacted_json(value: Any, secrets: tuple[str, ...]) -> Any:
    """A value as JSON has it, without these secrets in any text."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, list):
        return [redacted_json(inner, secrets) for inner in value]
    if isinstance(value, dict):
        named = {redacted_json(name, secrets): inner for name, inner in value.items()}
        return {name: redacted_json(inner, secrets) for name, inner in named.items()}
    return value


def secrets_of(url: str, key: str) -> tuple[str, ...]:
    """What must not be seen of an endpoint's URL and key, in every spelling, longest first."""
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    plain = unquote(userinfo)
    found = {key, userinfo, plain, base64.b64encode(plain.encode()).decode()}
    found |= {spelling.partition(":")[2] for spelling in (userinfo, plain)}
    found |= {match[2] for match in QUERY.finditer(f"?{parts.query}")}
    return tuple(sorted((s for s in found if len(s) >= SHORTEST), key=len, reverse=True))
