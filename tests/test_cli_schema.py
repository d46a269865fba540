"""`vrsky schema` as a user runs it: it takes every pipeline file of the repository, and refuses mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .conftest import MINIMAL, ROOT, Vrsky

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def faults(root: Schema, schema: Any, value: Any, path: str = "") -> Iterator[str]:
    """The part of JSON Schema that the printed one uses; an unknown word is a fault of the test."""
    known = {"$schema", "$defs", "title", "description", "default", "examples", "writeOnly"}
    for word, wanted in (schema if isinstance(schema, dict) else {}).items():
        if word not in known:
            yield from _WORDS[word](root, wanted, value, path, schema)


def _type(_root: Schema, wanted: Any, value: Any, path: str, _schema: Schema) -> Iterator[str]:
    names = wanted if isinstance(wanted, list) else [wanted]
    fits = any(
        isinstance(value, _TYPES[name])
        and (name == "boolean" or value not in (True, False) or not isinstance(value, bool))
        for name in names
    )
    if not fits:
        yield f"{path}: no {wanted}"


def _properties(root: Schema, wanted: Schema, value: Any, path: str, schema: Schema) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key in wanted:
            yield from faults(root, wanted[key], inner, f"{path}/{key}")


def _others(root: Schema, wanted: Any, value: Any, path: str, schema: Schema) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key not in schema.get("properties", {}):
            if wanted is False:
                yield f"{path}: unknown {key}"
            yield from faults(root, wanted, inner, f"{path}/{key}")


def _required(_root: Schema, wanted: list[str], value: Any, path: str, _schema: Schema) -> Iterator[str]:
    yield from (f"{path}: lacks {key}" for key in wanted if isinstance(value, dict) and key not in value)


def _items(root: Schema, wanted: Any, value: Any, path: str, _schema: Schema) -> Iterator[str]:
    for at, item in enumerate(value if isinstance(value, list) else []):
        yield from faults(root, wanted, item, f"{path}/{at}")


def _reference(root: Schema, wanted: str, value: Any, path: str, _schema: Schema) -> Iterator[str]:
    yield from faults(root, root["$defs"][wanted.removeprefix("#/$defs/")], value, path)


def _branches(exactly: bool) -> Any:
    def check(root: Schema, wanted: list[Any], value: Any, path: str, _schema: Schema) -> Iterator[str]:
        fitting = sum(not list(faults(root, branch, value, path)) for branch in wanted)
        if fitting == 0 or (exactly and fitting > 1):
            yield f"{path}: {fitting} branches fit"

    return check


def _bound(says: Any) -> Any:
    def check(_root: Schema, wanted: Any, value: Any, path: str, _schema: Schema) -> Iterator[str]:
        if not says(value, wanted):
            yield f"{path}: {value!r} against {wanted!r}"

    return check


def _sized(*kinds: type) -> Any:
    return lambda compare: _bound(lambda value, wanted: not isinstance(value, kinds) or compare(len(value), wanted))


_number = lambda compare: _bound(  # noqa: E731
    lambda value, wanted: isinstance(value, bool) or not isinstance(value, int) or compare(value, wanted)
)

_WORDS: dict[str, Any] = {
    "type": _type,
    "properties": _properties,
    "additionalProperties": _others,
    "propertyNames": lambda root, wanted, value, path, schema: iter(()),
    "required": _required,
    "items": _items,
    "$ref": _reference,
    "anyOf": _branches(exactly=False),
    "oneOf": _branches(exactly=True),
    "enum": _bound(lambda value, wanted: value in wanted),
    "const": _bound(lambda value, wanted: value == wanted),
    "pattern": _bound(lambda value, wanted: not isinstance(value, str) or re.search(wanted, value)),
    "minimum": _number(int.__ge__),
    "maximum": _number(int.__le__),
    "minLength": _sized(str)(int.__ge__),
    "maxLength": _sized(str)(int.__le__),
    "minItems": _sized(list)(int.__ge__),
    "maxItems": _sized(list)(int.__le__),
    "minProperties": _sized(dict)(int.__ge__),
    "maxProperties": _sized(dict)(int.__le__),
}


@pytest.fixture
def schema(vrsky: Vrsky) -> Schema:
    printed = vrsky("schema")
    assert printed.returncode == 0, printed.stderr
    read: Schema = json.loads(printed.stdout)
    return read


def _files() -> dict[str, str]:
    """Every pipeline file of the repository, and the whole ones on its pages."""
    found = {
        str(path): path.read_text() for path in (ROOT / "examples").rglob("*.y*ml") if ".snippet." not in path.name
    }
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for at, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)):
            if re.search(r"^customer:", block, re.MULTILINE):
                found[f"{page}:{at}"] = block
    return found


def test_every_pipeline_file_of_the_repository_is_one_by_the_schema(schema: Schema) -> None:
    files = _files() | {"minimal": MINIMAL}
    assert len(files) > 2
    for name, text in files.items():
        assert list(faults(schema, schema, yaml.safe_load(text))) == [], name


@pytest.mark.parametrize(
    ("part", "is_right"),
    [
        ("out: {http: {url: {var: ERP, then: /x}, concurrency: {var: N}}}", True),
        ("out: {a: {file: {path: x}}, b: {nats: {subject: {var: S}}}}", True),
        ("out: {stdout: {}}\nsteps: [{set: {a: 1, b: {var: B}, c: x + 1}}]", True),
        ("out: {stdout: {}}\nlimits: {rate: {var: RATE}, script: {cpu_ms: 7}}", True),
        ("out: {http: {url: http://a/, timeout: 10s, headers: {X-A: {secret: s}, X-B: {var: B}}}}", True),
        ("out: {include: erp.snippet.yaml}\nsteps: {include: a/steps.snippet.yml}", True),
        ("out: {stdout: {}}\nsteps: [{include: a.snippet.yaml}, {route: [{include: b.snippet.yaml}]}]", True),
        ("out: {http: {url: http://a/, headers: {include: a.snippet.yaml}, auth: {include: b.snippet.yaml}}}", True),
        (
            "out: {stdout: {}}\ntests: [{include: tests.snippet.yaml}]\nlimits: {script: {include: a.snippet.yaml}}",
            True,
        ),
        ("out: {stdout: {}}\ntables: {c: {file: c.csv, key: a, delimiter: ';'}, d: {include: a.snippet.yaml}}", True),
        ("out: {stdout: {}}\nsteps: {include: steps.yaml}", False),
        ("out: {stdout: {}}\nsteps: [{include: a.snippet.yaml, filter: a}]", False),
        ("out: {stdout: {}}\ntables: {c: {key: a}}", False),
        ("out: {http: {url: {var: erp}}}", False),
        ("out: {http: {url: http://a/, timeout: 10x}}", False),
        ("out: {http: {ulr: http://a/}}", False),
        ("out: {http: {url: http://a/, concurrency: 0}}", False),
        ("out: {stdout: {}}\nsteps: [{filter: {var: F}}]", False),
        ("out: {stdout: {}}\nsteps: [{fliter: a}]", False),
        ("out: {stdout: {}}\ncustomers: a", False),
    ],
)
def test_the_schema_takes_what_lint_takes(schema: Schema, part: str, is_right: bool) -> None:
    text = f"customer: acme\npipeline: orders\nin: {{http: {{path: /orders}}}}\n{part}\n"
    assert (list(faults(schema, schema, yaml.safe_load(text))) == []) == is_right


def test_the_schema_has_only_words_that_editors_know(schema: Schema) -> None:
    # The text of a format; an option may be called so.
    assert not re.search(r'"format": "', json.dumps(schema))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_help_shows_the_line_for_editors(vrsky: Vrsky) -> None:
    assert "# yaml-language-server: $schema=" in vrsky("schema", "--help").stdout
