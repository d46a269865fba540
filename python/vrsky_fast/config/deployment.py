"""The settings of a whole deployment as one JSON document, which all of its nodes follow.

    vrsky settings set ──► DeploymentSettings ──encode──► the key `settings` of the bucket vrsky_deployment
                                                                     │
    every node         ◄── DeploymentSettings ◄──decode──────────────┘

`SCHEMA` says what may stand there. `decode` checks by it, so that a value written by hand is held to the same.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._native import __version__, is_name
from ..facts import TOPOLOGIES
from .pipeline import advice
from .problem import InvalidConfig, Problem

FORMAT = 1
"""The only one that is read and written. A later format is refused as made by a newer vrsky."""

PLACE = "vrsky_deployment/settings"
_MAX_BYTES = 64 * 1024
_MAX_PROBLEMS = 5

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Settings of a vrsky deployment",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "topology": {
            "description": "Whether all steps of a message are run in one go, or each row of steps of one kind from"
            " lanes of its own. A node that is started with --topology goes on with that one.",
            "enum": list(TOPOLOGIES),
        },
        "customers": {
            "description": "What is said of single customers.",
            "type": "object",
            "maxProperties": 100,
            "propertyNames": {"pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 40},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "lanes": {
                        "description": "Whether nodes of `vrsky node --customer NAME` serve the customer from lanes of"
                        " its own, or nodes that customers share.",
                        "enum": ["shared", "own"],
                    },
                },
            },
        },
    },
}
"""Of what an operator sets. The document has `format`, `vrsky`, `user` and `note` beside it, which are optional."""

_BESIDE = ("vrsky", "user", "note")


@dataclass(frozen=True)
class DeploymentSettings:
    """`values` as the schema has them. What is not there is as if nobody had said anything."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def topology(self) -> str | None:
        return self.values.get("topology")

    @property
    def own_lanes(self) -> frozenset[str]:
        """The customers that have lanes of their own."""
        customers: Mapping[str, Any] = self.values.get("customers", {})
        return frozenset(name for name, one in customers.items() if one.get("lanes") == "own")

    def with_values(self, given: Mapping[str, str], removed: Sequence[str] = ()) -> DeploymentSettings:
        """The same with some keys, such as `topology`, set and others removed. A dot leads into an object. Raises
        InvalidConfig for what the schema does not allow, and for a removed key that is not there."""
        values = copy.deepcopy(dict(self.values))
        for key in removed:
            _remove(values, key)
        for key, value in given.items():
            _set(values, key, value)
        _check(values)
        return DeploymentSettings(values)

    def lines(self) -> list[str]:
        """Such as `topology=split`: what `with_values` is given to make these of nothing."""
        return [f"{key}={value}" for key, value in _flat("", self.values)]

    def encode(self, user: str, note: str) -> bytes:
        """Canonical: the same settings by the same user give the same bytes."""
        whole = {"format": FORMAT, "vrsky": __version__, "user": user, "note": note} | dict(self.values)
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(data: bytes) -> tuple[DeploymentSettings, str, str]:
    """The settings, and the user and the note that the document has. Raises InvalidConfig `config/not-settings`, and
    `config/unsupported-version` for what a newer vrsky has made."""
    if len(data) > _MAX_BYTES:
        raise _wrong([("", f"has {len(data):,} bytes, more than {_MAX_BYTES:,}")])
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        raise _wrong([("", "is not JSON")]) from None
    if not isinstance(whole, dict):
        raise _wrong([("", "is no object")])
    version = whole.pop("format", FORMAT)
    if isinstance(version, bool) or not isinstance(version, int):
        raise _wrong([("/format", "is no number")])
    if version > FORMAT:
        made = str(whole.get("vrsky"))[:64]
        reason = f"was made by a newer vrsky ({made}): format {version}, and this one, {__version__}, reads {FORMAT}"
        raise _wrong([("/format", reason)], "config/unsupported-version")
    _, user, note = (_text(whole.pop(name, ""), f"/{name}") for name in _BESIDE)
    _check(whole)
    return DeploymentSettings(whole), user, note


def _text(value: object, pointer: str) -> str:
    if not isinstance(value, str):
        raise _wrong([(pointer, "is no text")])
    return value


def _check(values: dict[str, Any]) -> None:
    if faults := list(_faults(SCHEMA, values, "")):
        raise _wrong(faults)


def _faults(schema: Mapping[str, Any], value: object, pointer: str) -> Iterator[tuple[str, str]]:
    """Pointers and reasons, by the words of JSON Schema that `SCHEMA` uses."""
    if "enum" in schema:
        if value not in schema["enum"]:
            yield pointer, f"is {_short(value)}, and has to be {' or '.join(schema['enum'])}"
        return
    if not isinstance(value, dict):
        yield pointer, "is no object"
        return
    if len(value) > schema.get("maxProperties", len(value)):
        yield pointer, f"has {len(value)} entries, more than {schema['maxProperties']}"
        return
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, one in value.items():
        below = known.get(name) or others
        at = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')[:64]}"
        if not below:
            yield at, f"is not known; known are {', '.join(known)}"
        elif "propertyNames" in schema and not is_name(name):
            yield at, "is no name"
        else:
            yield from _faults(below, one, at)


def _set(values: dict[str, Any], key: str, value: str) -> None:
    *above, last = key.split(".")
    for name in above:
        below = values.setdefault(name, {})
        if not isinstance(below, dict):
            raise _wrong([(_pointer(key), "leads into what is no object")])
        values = below
    values[last] = value


def _remove(values: dict[str, Any], key: str) -> None:
    first, _, rest = key.partition(".")
    below = values.get(first)
    if first not in values or (rest and not isinstance(below, dict)):
        raise _wrong([(_pointer(key), "is not set")])
    if rest:
        _remove(values[first], rest)
    if not rest or not values[first]:
        del values[first]


def _flat(above: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(values.items()):
        if isinstance(value, dict):
            yield from _flat(f"{above}{name}.", value)
        else:
            yield f"{above}{name}", str(value)


def _pointer(key: str) -> str:
    return "/" + key.replace(".", "/")


def _wrong(faults: Sequence[tuple[str, str]], code: str = "config/not-settings") -> InvalidConfig:
    def problem(pointer: str, what: str) -> Problem:
        where = f"`{pointer.removeprefix('/').replace('/', '.')}`" if pointer else "the value"
        return Problem(code, f"{where} {what}", PLACE, hint=advice(code), pointer=pointer or None)

    return InvalidConfig([problem(pointer, what) for pointer, what in faults[:_MAX_PROBLEMS]])


def _short(value: object) -> str:
    return json.dumps(value)[:64]
