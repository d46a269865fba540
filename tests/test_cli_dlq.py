"""`vrsky dlq` as a user runs it; what it lists is tested with the control plane."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Running, Vrsky, clean_environment, command, post

Start = Callable[..., Running]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "999999999999999999999"], "not in the range"),
        (["show", "0"], "not in the range"),
        (["show", "1", "--payload", "--json"], "--json has the payload as text"),
        (["rm", "0", "--yes"], "not in the range"),
        (["rm", "--yes"], "name the dead letters"),
        (["rm", "1", "--all", "--yes"], "name the dead letters"),
        (["rm", "--customer", "acme", "--all", "--yes"], "name the dead letters"),
        (["rm", "--pipeline", "orders", "--yes"], "name the dead letters"),
        (["rm", "--pipeline", "orders", "--all", "--yes"], "--pipeline goes with --customer"),
        (["rm", "--customer", "*", "--yes"], "config/invalid-name: '*' is no name of a customer"),
        (["rm", "--all"], "no terminal to ask on; --yes"),
    ],
)
def test_what_cannot_be_asked_of_dead_letters_is_exit_code_2(vrsky: Vrsky, arguments: list[str], said: str) -> None:
    done = vrsky("dlq", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_message_that_fails_is_in_the_dead_letters_with_its_reason(start: Start, minimal: Path, vrsky: Vrsky) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    status, accepted = post(url, b"<order><id>1</id></order>")
    assert status == 202
    assert run.kind("dead")["code"] == "filter/missing-field"
    while_running = vrsky("dlq", "ls", "--json")
    assert run.stop(signal.SIGTERM) == 0
    afterwards = vrsky("dlq", "ls", "--json")
    assert while_running.stdout == afterwards.stdout, while_running.stderr + afterwards.stderr
    (letter,) = [json.loads(line) for line in afterwards.stdout.splitlines()]
    assert (letter["code"], letter["customer"], letter["pipeline"]) == ("filter/missing-field", "acme", "orders")
    assert letter["id"] == accepted["id"]
    shown = vrsky("dlq", "show", str(letter["sequence"]))
    assert "<order><id>1</id></order>" in shown.stdout
    assert vrsky("dlq", "show", str(letter["sequence"]), "--payload").stdout == "<order><id>1</id></order>"
    for number in ("99", str(2**64 - 1)):
        missing = vrsky("dlq", "show", number)
        assert (missing.returncode, missing.stdout) == (1, ""), missing.stderr
        told = json.loads(vrsky("dlq", "show", number, "--json").stdout)
        assert (told["ok"], told["problems"][0]["reason"]) == (False, f"there is no dead letter {number}")
    nobody = vrsky("dlq", "ls", "--customer", "*")
    assert nobody.returncode == 2
    assert "config/invalid-name: '*' is no name of a customer" in nobody.stderr


def test_a_summary_counts_letters_by_what_is_asked_for(start: Start, minimal: Path, vrsky: Vrsky) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    for body in (b"<order><id>1</id></order>", b"<order><id>2</id></order>", b"<order>"):
        assert post(url, body)[0] == 202
        run.kind("dead")
    usual = [json.loads(line) for line in vrsky("dlq", "summary", "--json").stdout.splitlines()]
    assert [(one["customer"], one["pipeline"], one["code"], one["count"]) for one in usual] == [
        ("acme", "orders", "filter/missing-field", 2),
        ("acme", "orders", "xml/not-well-formed", 1),
    ]
    shown = vrsky("dlq", "show", str(usual[1]["newest"]), "--json")
    assert json.loads(shown.stdout)["code"] == "xml/not-well-formed"
    line = vrsky("dlq", "summary", "--by", "code", "--code", "filter", "--limit", "1").stdout
    assert line.split()[:2] == ["2", "filter/missing-field"]
    assert vrsky("dlq", "summary", "--newer-than", "1s", "--customer", "nobody").stderr == "no dead letters\n"
    assert run.stop(signal.SIGTERM) == 0


def test_dead_letters_are_deleted_while_it_runs_and_afterwards(start: Start, minimal: Path, vrsky: Vrsky) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    for number in range(3):
        assert post(url, b"<order><id>%d</id></order>" % number)[0] == 202
        run.kind("dead")
    first, *others = [json.loads(line)["sequence"] for line in vrsky("dlq", "ls", "--json").stdout.splitlines()]
    unasked = vrsky("dlq", "rm", str(first))
    assert (unasked.returncode, unasked.stdout) == (2, "")
    assert "--yes" in unasked.stderr
    one = vrsky("dlq", "rm", str(first), str(first), "--yes")
    assert (one.returncode, one.stdout) == (0, "deleted 1 dead letter\n"), one.stderr
    gone = vrsky("dlq", "rm", str(first), str(others[0]), "--yes", "--json")
    assert gone.returncode == 1
    assert json.loads(gone.stdout) == {"deleted": 1, "missing": [first]}
    assert f"there is no dead letter {first}" in gone.stderr
    assert run.stop() == 0
    nobody = vrsky("dlq", "rm", "--customer", "other", "--yes")
    assert (nobody.returncode, nobody.stdout) == (0, "deleted 0 dead letters\n"), nobody.stderr
    rest = vrsky("dlq", "rm", "--customer", "acme", "--pipeline", "orders", "--yes", "--json")
    assert json.loads(rest.stdout) == {"deleted": 1, "missing": []}, rest.stderr
    assert vrsky("dlq", "ls", "--json").stdout == ""


@pytest.mark.parametrize(
    ("answer", "said", "left"), [("n", "", 1), ("", "", 1), ("y", "deleted 1 dead letter\n", 0)], ids=["no", "-", "yes"]
)
def test_on_a_terminal_it_is_asked_before_dead_letters_are_deleted(
    start: Start, minimal: Path, vrsky: Vrsky, tmp_path: Path, answer: str, said: str, left: int
) -> None:
    run = start(minimal)
    assert post(run.ready() + "/in/acme/orders", b"<order><id>1</id></order>")[0] == 202
    run.kind("dead")
    terminal, inside = os.openpty()
    os.write(terminal, f"{answer}\n".encode())
    asked = subprocess.run(
        command("dlq", "rm", "--all"),
        cwd=tmp_path,
        stdin=inside,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
    )
    os.close(terminal)
    os.close(inside)
    assert (asked.returncode, asked.stdout) == (0, said), asked.stderr
    assert "Delete all dead letters of all customers? [y/N]" in asked.stderr
    assert len(vrsky("dlq", "ls", "--json").stdout.splitlines()) == left
    assert run.stop() == 0


def test_a_payload_that_is_no_text_is_shown_as_base64_to_programs(start: Start, minimal: Path, vrsky: Vrsky) -> None:
    run = start(minimal)
    assert post(run.ready() + "/in/acme/orders", b"\xff\xfe<order/>")[0] == 202
    run.kind("dead")
    assert run.stop() == 0
    (letter,) = [json.loads(line) for line in vrsky("dlq", "ls", "--json").stdout.splitlines()]
    shown = json.loads(vrsky("dlq", "show", str(letter["sequence"]), "--json").stdout)
    assert base64.b64decode(shown["payload_base64"]) == b"\xff\xfe<order/>"
