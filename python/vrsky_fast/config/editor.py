"""The pipeline file's JSON Schema as editors want it: with variables where they may stand, and only words that JSON
Schema itself has. What it cannot say, such as names and expressions, `vrsky lint` checks."""

from __future__ import annotations

import json
from typing import Any

from .. import _native
from .schema import View

Schema = dict[str, Any]

_VARIABLE: Schema = {
    "description": "A value that the operator gives, with `--var NAME=VALUE` or as `VRSKY_VAR_NAME`.",
    "type": "object",
    "properties": {
        "var": {"description": "Its name.", "type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,63}$"},
        "then": {"description": "A text behind the value, such as a URL's path.", "type": "string"},
    },
    "required": ["var"],
    "additionalProperties": False,
}


def for_editors() -> Schema:
    root: Schema = json.loads(_native.json_schema())
    definitions = root["$defs"]
    holders = [root["properties"][name] for name in ("in", "out", "limits")]
    for part in [*holders, *_used(holders, definitions, {}).values()]:
        _allow(root, part)
    for branch in definitions["Step"]["oneOf"]:
        if "set" in branch["properties"]:
            entries = branch["properties"]["set"]
            entries["additionalProperties"] = _or_variable(entries["additionalProperties"])
    definitions["Variable"] = _VARIABLE
    _plain(root)
    return {"title": "A pipeline file of vrsky", **{key: value for key, value in root.items() if key != "title"}}


def _used(part: Any, definitions: Schema, found: Schema) -> Schema:
    """The definitions that a part of the schema refers to, with those that they refer to."""
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _used(inner, definitions, found)
    name = part["$ref"].rpartition("/")[2] if isinstance(part, dict) and "$ref" in part else None
    if name is not None and name not in found:
        found[name] = definitions[name]
        _used(definitions[name], definitions, found)
    return found


def _allow(root: Schema, schema: Schema) -> None:
    """Lets a variable stand for every scalar below this schema, which is no reference."""
    for word in ("anyOf", "oneOf"):
        for branch in schema.get(word, []):
            _allow(root, branch)
    properties = schema.get("properties", {})
    for name, inner in properties.items():
        properties[name] = _allowed(root, inner)
    for word in ("additionalProperties", "items"):
        if isinstance(schema.get(word), dict):
            schema[word] = _allowed(root, schema[word])


def _allowed(root: Schema, schema: Schema) -> Schema:
    _allow(root, schema)
    return _or_variable(schema) if View(root, [schema]).takes_scalar else schema


def _or_variable(schema: Schema) -> Schema:
    # Where an editor shows them, beside the key.
    shown: Schema = {word: schema.pop(word) for word in ("description", "default") if word in schema}
    return {**shown, "anyOf": [schema, {"$ref": "#/$defs/Variable"}]}


def _plain(part: Any) -> None:
    """Our formats mean nothing to an editor, and `time` means a time of day. Where a text is wanted, `8` and `NO` are
    one, whatever an editor takes them for."""
    if isinstance(part, dict):
        if isinstance(part.get("format"), str) and part.pop("format") == "time":
            part["pattern"] = "^[0-9]+(ms|s|m|h)$"
        if part.get("type") == "string" and not part.keys() & {"const", "enum"}:
            part["type"] = ["string", "number", "boolean"]
        for inner in part.values():
            _plain(inner)
    elif isinstance(part, list):
        for inner in part:
            _plain(inner)
