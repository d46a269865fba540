"""What the pipeline model's JSON Schema wants at a place, so that scalars are read by it.

A view is the list of schemas that may apply to a place: `$ref`, `anyOf`, `oneOf` and `allOf` are
unfolded, and nothing is validated, since Rust does that. It only answers which types are wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from .. import _native

# A recursive model would unfold for ever; no real one nests references deeper than this.
_MAX_UNFOLD = 16
SCALARS = frozenset({"string", "integer", "number", "boolean"})
_TYPE_OF = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


class View:
    """The schemas that may apply to one place of the file."""

    __slots__ = ("_alternatives", "_known", "_root", "_views", "formats", "types")

    def __init__(self, root: dict[str, Any], alternatives: list[Any]) -> None:
        self._root = root
        self._alternatives = [s for each in alternatives for s in _unfold(root, each, _MAX_UNFOLD)]
        self._known = {name for schema in self._alternatives for name in schema.get("properties", {})}
        # Views below this one. Keys that the schema does not name share one, so that the names of a
        # file do not pile up here.
        self._views: dict[str | int | None, View] = {}
        self.types = _wanted(self._alternatives)
        """The JSON types wanted here; None when anything goes, or when nothing is known."""
        self.formats = frozenset(schema["format"] for schema in self._alternatives if "format" in schema)
        """What a text here may be, in the model's words: `expression`, `file`, `path` ..."""

    @property
    def takes_scalar(self) -> bool:
        """Whether a scalar of a certain type may stand here; not where anything goes."""
        return self.types is not None and not self.types.isdisjoint(SCALARS)

    @property
    def is_known(self) -> bool:
        """Whether the model says anything of this place."""
        return bool(self._alternatives)

    def key(self, name: str) -> View:
        slot = name if name in self._known else None
        if slot not in self._views:
            self._views[slot] = self._key(name)
        return self._views[slot]

    def item(self, index: int) -> View:
        slot = min(index, max((len(schema.get("prefixItems", [])) for schema in self._alternatives), default=0))
        if slot not in self._views:
            self._views[slot] = self._item(slot)
        return self._views[slot]

    def _key(self, name: str) -> View:
        found: list[Any] = []
        for schema in self._alternatives:
            properties = schema.get("properties", {})
            if name in properties:
                found.append(properties[name])
            elif isinstance(schema.get("additionalProperties"), dict):
                found.append(schema["additionalProperties"])
        return View(self._root, found)

    def _item(self, index: int) -> View:
        found: list[Any] = []
        for schema in self._alternatives:
            prefix = schema.get("prefixItems", [])
            if index < len(prefix):
                found.append(prefix[index])
            elif "items" in schema:
                found.append(schema["items"])
        return View(self._root, found)


def _wanted(alternatives: list[Any]) -> frozenset[str] | None:
    wanted: set[str] = set()
    for schema in alternatives:
        types = _types(schema)
        if not types:
            return None
        wanted |= types
    return frozenset(wanted) or None


def _types(schema: dict[str, Any]) -> set[str]:
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared}
    if isinstance(declared, list):
        return set(declared)
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    if values:
        return {_TYPE_OF.get(type(value), "object") for value in values}
    return {"object"} if "properties" in schema or "additionalProperties" in schema else set()


def _unfold(root: dict[str, Any], schema: Any, depth: int) -> Iterator[dict[str, Any]]:
    if schema is True:
        yield {}
        return
    if not isinstance(schema, dict) or depth == 0:
        return
    branches = [branch for word in ("anyOf", "oneOf", "allOf") for branch in schema.get(word, [])]
    if "$ref" in schema:
        branches.append(_resolve(root, schema["$ref"]))
    for branch in branches:
        yield from _unfold(root, branch, depth - 1)
    if not branches or "properties" in schema or "type" in schema:
        yield schema


def _resolve(root: dict[str, Any], reference: str) -> Any:
    target: Any = root
    for token in reference.removeprefix("#").split("/")[1:]:
        target = target.get(token.replace("~1", "/").replace("~0", "~"), {}) if isinstance(target, dict) else {}
    return target


@cache
def pipeline_file() -> View:
    """The root of the pipeline file's schema; it is the one that Rust derives from its model."""
    root = json.loads(_native.json_schema())
    return View(root, [root])
