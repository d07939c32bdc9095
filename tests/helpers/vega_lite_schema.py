"""Vega-Lite's own schema, compiled once: a whole chart is checked in milliseconds."""

import json
from functools import cache
from importlib.resources import files
from urllib.parse import quote

import jsonschema_rs


@cache
def validator():
    """Says whether a specification is Vega-Lite as altair's release of it defines it."""
    text = (files("altair") / "vegalite/v6/schema/vega-lite-schema.json").read_text()
    return jsonschema_rs.validator_for(json.loads(text, object_hook=_quoted))


def _quoted(part):
    """References as URIs: names such as `Dict<string>` aren't, and are refused."""
    if isinstance(part.get("$ref"), str):
        return part | {"$ref": "#" + quote(part["$ref"][1:])}
    return part
