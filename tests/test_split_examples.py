"""The examples' messages, as nodes make them that each run some of the steps."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast import Message, Result, config

NOW = re.compile(rb"%d-\d\d-\d\dT[\d:.]+Z" % datetime.now(UTC).year)
ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted(one.name for one in (ROOT / "examples").iterdir())


GIVEN = {"BROKER": "mqtt://broker.example", **dict.fromkeys(("CONTROL", "ERP", "WAREHOUSE"), "https://one.example")}
# Those that are no messages of most examples.
OTHERS = (b"", b"{}", b"[1, {}]", b"<a b='1'>x</a>", b"a,b\n1,2\n")


def message(folder: Path, source: dict[str, Any]) -> Message:
    """That of a test in a pipeline file."""
    if "file" in source:
        payload = (folder / source["file"]).read_bytes()
    else:
        payload = source["text"].encode() if "text" in source else json.dumps(source["json"]).encode()
    return Message(payload, source.get("headers"), "test")


def whole(result: Result) -> object:
    """Without the time of the run, which `ctx.now` is here."""
    outputs = [(one.out, NOW.sub(b"NOW", one.payload), one.content_type, one.url) for one in result.outputs]
    return result.status, outputs, result.code, result.reason, repr(result.place)


@pytest.mark.parametrize("example", EXAMPLES)
def test_messages_of_an_example_become_the_same_where_its_steps_are_cut_into_runs(example: str) -> None:
    looked_at = 0
    for file in config.load_all(ROOT / "examples" / example, GIVEN):
        messages = [message(file.path.parent, test["in"]) for test in file.model["tests"]]
        messages += [Message(payload, None, "test") for payload in OTHERS]
        one_run, several = file.compiled.process(messages), file.compiled.process(messages, split=True)
        assert [whole(one) for one in several] == [whole(one) for one in one_run]
        looked_at += len(messages)
    assert looked_at > len(OTHERS)
