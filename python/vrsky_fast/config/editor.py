"""The pipeline file's JSON Schema as editors want it: with variables and snippets where they may stand, and only
words that JSON Schema itself has. What it cannot say, such as names and expressions, `vrsky lint` checks."""

from __future__ import annotations

import json
from collections.abc import Callable
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


_INCLUDE: Schema = {
    "description": "What the snippet holds, a file beside this one.",
    "type": "object",
    "properties": {
        "include": {"description": "Its path.", "type": "string", "pattern": "\\.snippet\\.ya?ml$"},
    },
    "required": ["include"],
    "additionalProperties": False,
}


def for_editors() -> Schema:
    root: Schema = json.loads(_native.json_schema())
    definitions = root["$defs"]
    holders, others = _parts(root, "in", "out", "limits"), _parts(root, "steps", "tables")
    for branch in definitions["Step"]["oneOf"]:
        if "set" in branch["properties"]:
            entries = branch["properties"]["set"]
            entries["additionalProperties"] = _or_variable(entries["additionalProperties"])
    for part in holders:
        _allow(root, part, _or_variable)
    for part in others:
        _allow(root, part, _as_it_is)
    for name in ("in", "out", "limits", "steps", "tables", "tests"):
        root["properties"][name] = _or_include(root["properties"][name])
    definitions |= {"Variable": _VARIABLE, "Include": _INCLUDE}
    _plain(root)
    return {"title": "A pipeline file of vrsky", **{key: value for key, value in root.items() if key != "title"}}


def _parts(root: Schema, *names: str) -> list[Schema]:
    """These parts of the file, with the definitions that they refer to."""
    parts = [root["properties"][name] for name in names]
    return [*parts, *_used(parts, root["$defs"], {}).values()]


def _used(part: Any, definitions: Schema, found: Schema) -> Schema:
    """The definitions that a part of the schema refers to, with those that they refer to."""
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _used(inner, definitions, found)
    name = part["$ref"].rpartition("/")[2] if isinstance(part, dict) and "$ref" in part else None
    if name is not None and name not in found:
        found[name] = definitions[name]
        _used(definitions[name], definitions, found)
    return found


Wrap = Callable[[Schema], Schema]


def _allow(root: Schema, schema: Schema, scalar: Wrap) -> None:
    """Lets a snippet stand for every mapping and list below this schema, which is no reference, and `scalar` wrap every
    scalar."""
    for word in ("anyOf", "oneOf"):
        for branch in schema.get(word, []):
            _allow(root, branch, scalar)
    properties = schema.get("properties", {})
    for name, inner in properties.items():
        properties[name] = _allowed(root, inner, scalar)
    for word in ("additionalProperties", "items"):
        if isinstance(schema.get(word), dict):
            schema[word] = _allowed(root, schema[word], scalar)


def _allowed(root: Schema, schema: Schema, scalar: Wrap) -> Schema:
    view = View(root, [schema])
    _allow(root, schema, scalar)
    if view.types is not None and not view.types.isdisjoint({"object", "array"}):
        schema = _or_include(schema)
    return scalar(schema) if view.takes_scalar else schema


def _as_it_is(schema: Schema) -> Schema:
    return schema


def _or_variable(schema: Schema) -> Schema:
    return _or(schema, "Variable")


def _or_include(schema: Schema) -> Schema:
    if isinstance(schema.get("items"), dict) and "anyOf" not in schema["items"]:
        schema["items"] = _or(schema["items"], "Include")
    return _or(schema, "Include")


def _or(schema: Schema, name: str) -> Schema:
    # Where an editor shows them, beside the key.
    shown: Schema = {word: schema.pop(word) for word in ("description", "default") if word in schema}
    return {**shown, "anyOf": [schema, {"$ref": f"#/$defs/{name}"}]}


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
