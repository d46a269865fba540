"""`vrsky messages` as a user runs it; what it finds is tested with the control plane."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vrsky_fast.control import server_config

from .conftest import MINIMAL, Background, Running, Vrsky, Write, clean_environment, command, post
from .end_to_end.streams import put

Start = Callable[..., Running]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ls", "*"], "config/invalid-name: '*' is no name of a customer"),
        (["ls", "acme/"], "config/invalid-name: '' is no name of a pipeline"),
        (["ls", "acme/orders/x"], "config/invalid-name: 'orders/x' is no name of a pipeline"),
        (["ls", "--type", "dead"], "'dead' is not one of"),
        (["ls", "--limit", "0"], "not in the range"),
        (["show", "X:1", "--raw", "--json"], "--raw writes the payload alone"),
        (["show", "X:1", "--raw", "--headers"], "--raw writes the payload alone"),
    ],
)
def test_what_cannot_be_asked_of_messages_is_exit_code_2(
    start: Start, minimal: Path, vrsky: Vrsky, arguments: list[str], said: str
) -> None:
    start(minimal).ready()
    done = vrsky("messages", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr


def test_what_waits_beside_a_run_is_listed_and_shown(
    start: Start, minimal: Path, vrsky: Vrsky, background: Background, tmp_path: Path
) -> None:
    run = start(minimal)
    run.ready()
    assert vrsky("messages", "ls").stderr == "nothing waits\n"
    recorded = server_config.recall(server_config.Layout(tmp_path / ".vrsky"))
    assert recorded is not None
    named = {"Vrsky_Id": "acme.1", "Authorization": "Bearer hunter2", "Content_Type": "text/plain"}
    background(put(recorded[1], "vrsky.parked.acme.orders.gone", "one\x1b[31m\ntwo", **named))
    for is_running in (True, False):
        if not is_running:
            assert run.stop() == 0
        (line,) = vrsky("messages", "ls", "acme/orders").stdout.splitlines()
        assert line.startswith("VRSKY_PARKED:1  acme/orders  for out gone  parked, nobody reads it  for ")
        assert line.endswith(r"  12 bytes  acme.1  one\x1b[31m\ntwo")
        told = json.loads(vrsky("messages", "ls", "--json").stdout)
        assert (told["place"], told["bytes"], told["delivered"]) == ("VRSKY_PARKED:1", 12, None)
        assert 0 <= told["age_ms"] < 60_000
    shown = vrsky("messages", "show", "acme.1")
    assert r"one\x1b[31m" in shown.stdout
    assert "Content-Type: text/plain" in shown.stdout
    assert "\x1b" not in shown.stdout
    in_json = vrsky("messages", "show", "VRSKY_PARKED:1", "--json")
    assert json.loads(in_json.stdout)["payload"] == "one\x1b[31m\ntwo"
    only_headers = vrsky("messages", "show", "VRSKY_PARKED:1", "--headers")
    assert "Content-Type: text/plain" in only_headers.stdout
    assert "two" not in only_headers.stdout
    for done in (shown, in_json, only_headers):
        assert "hunter2" not in done.stdout + done.stderr
        assert "Authorization" in done.stdout
    assert vrsky("messages", "show", "VRSKY_PARKED:1", "--raw").stdout == "one\x1b[31m\ntwo"
    missing = vrsky("messages", "show", "VRSKY_PARKED:9")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no message VRSKY_PARKED:9 waits" in missing.stderr
    told = json.loads(vrsky("messages", "show", "acme.9", "--json").stdout)
    assert (told["ok"], told["problems"][0]["reason"]) == (False, "no message acme.9 waits")


def test_a_payload_that_is_no_text_comes_out_as_it_is(start: Start, write: Write, vrsky: Vrsky, tmp_path: Path) -> None:
    """No file is its out: what it was posted waits in the lane, parked or not."""
    closed = "out:\n  http: {url: 'http://127.0.0.1:1/', retry_for: 1h}\n"
    file = write("orders.yaml", MINIMAL.partition("steps:")[0] + closed)
    run = start(file, "--allow", "127.0.0.1")
    url = run.ready() + "/in/acme/orders"
    body = b"\x00\xff\xfe\r\nbinary\n"
    assert post(url, body, "application/octet-stream")[0] == 202
    run.kind("retried")
    (one,) = [json.loads(line) for line in vrsky("messages", "ls", "acme", "--json").stdout.splitlines()]
    assert (one["step"], one["bytes"]) == ("default", len(body))
    raw = subprocess.run(
        command("messages", "show", one["place"], "--raw"), cwd=tmp_path, capture_output=True, env=clean_environment()
    )
    assert raw.stdout == body
    told = json.loads(vrsky("messages", "show", one["id"], "--json").stdout)
    assert base64.b64decode(told["payload_base64"]) == body
