"""The error tree: one class a stage, the table of the core, places in words."""

from __future__ import annotations

import json
import pickle

import pytest

from vrsky_fast import Message, Pipeline, Place, VrskyError, _native, errors

TABLE = json.loads(_native.error_table())


def test_every_stage_has_a_class_and_every_class_a_stage() -> None:
    stages = {row["stage"] for row in TABLE}
    classes = {each.__name__.removesuffix("Error").lower() for each in VrskyError.__subclasses__()}
    assert classes - {"invalidconfig"} == stages


def test_the_drawn_tree_names_every_class() -> None:
    tree = errors.__doc__ or ""
    for each in VrskyError.__subclasses__():
        if each.__module__ == errors.__name__:
            assert f"── {each.__name__} " in tree
            assert each.__name__ in errors.__all__


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row["code"]))
def test_a_code_finds_its_class(row: dict[str, str]) -> None:
    error = errors.error_for(row["code"], "why")
    assert type(error).__name__.lower() == f"{row['stage']}error"
    assert (error.code, error.reason, str(error)) == (row["code"], "why", f"{row['code']}: why")
    assert row["summary"].endswith(".")
    assert row["advice"].endswith(".")


def test_a_place_says_what_it_knows() -> None:
    place = Place(file="net.ts", step="3:script", pointer="/steps/3", field="a.b", line=2, column=7, offset=9)
    assert str(place) == "net.ts, step 3:script, /steps/3, field a.b, line 2, column 7, byte 9"
    assert not Place()
    assert Place(offset=0)


def test_python_and_the_core_word_a_place_alike() -> None:
    pipeline = Pipeline.from_json(
        json.dumps(
            {
                "customer": "a",
                "pipeline": "p",
                "in": {"nats": {"subject": "s"}},
                "steps": [{"filter": "order.total > 1"}],
                "out": {"stdout": {}},
            }
        )
    )
    message = Message(b'{"order": {}}')
    (_, _, verdict), *_ = pipeline.dry_run(message)
    result = pipeline.process([message])[0]
    assert verdict == f"failed: {result.code}: {result.reason} ({result.place})"


def test_an_error_survives_pickling() -> None:
    error = errors.error_for("xml/too-deep", "257 levels", Place(offset=3))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.reason, again.place) == (
        errors.XmlError,
        error.code,
        error.reason,
        error.place,
    )
