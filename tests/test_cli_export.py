"""`vrsky dlq export` as a user runs it: a message that failed becomes a test that `vrsky test` runs."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vrsky_fast.control import server_config, streams

from .conftest import MINIMAL, MINIMAL_TESTS, Background, Running, Vrsky, Write, post
from .end_to_end.streams import put

Start = Callable[..., Running]
WITHOUT_TOTAL = b"<order>\n  <id>1</id>\n</order>\n"
MENDED = MINIMAL.replace("order.total > 100.0", "has(order.total) && order.total > 100.0")


def died(start: Start, file: Path, *bodies: bytes) -> None:
    """A run that leaves a dead letter for each of these."""
    run = start(file)
    url = run.ready() + "/in/acme/orders"
    for body in bodies:
        assert post(url, body)[0] == 202
        run.kind("dead")
    assert run.stop() == 0


def run_tests(vrsky: Vrsky) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = json.loads(vrsky("test", "orders.yaml", "--json").stdout)["tests"]
    return tests


def test_a_letter_becomes_a_test_that_passes_until_the_pipeline_is_mended(
    start: Start, write: Write, vrsky: Vrsky
) -> None:
    text = f"# Ours.\n{MINIMAL}{MINIMAL_TESTS}  # the last comment\n"
    file = write("orders.yaml", text)
    file.chmod(0o640)
    died(start, file, WITHOUT_TOTAL)
    done = vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml")
    assert done.returncode == 0, done.stderr
    assert "added the test `dead letter 1: filter/missing-field`; the message still fails like that" in done.stdout
    assert file.read_text().startswith(text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    (added,) = [one for one in run_tests(vrsky) if one["name"].startswith("dead letter")]
    assert added["passed"]
    file.write_text(file.read_text().replace("order.total > 100.0", "has(order.total) && order.total > 100.0"))
    (added,) = [one for one in run_tests(vrsky) if one["name"].startswith("dead letter")]
    assert (added["passed"], added["differences"]) == (
        False,
        [{"reason": "expected the error filter/missing-field, got it was dropped by step 1:filter"}],
    )
    assert not list(file.parent.glob(".orders*"))


def test_a_pipeline_that_is_mended_already_is_said_so(start: Start, write: Write, vrsky: Vrsky) -> None:
    file = write("orders.yaml", MINIMAL)
    died(start, file, WITHOUT_TOTAL, b"<order>")
    file.write_text(MENDED)
    told = json.loads(vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml", "--json").stdout)
    assert (told["expects"], told["gives"], told["line"]) == ("filter/missing-field", None, 11)
    other = vrsky("dlq", "export", "2", "--as-test", "--into", "orders.yaml", "--name", "torn")
    assert "the message still fails like that" in other.stdout, other.stderr
    assert [(one["name"], one["passed"]) for one in run_tests(vrsky)] == [
        ("dead letter 1: filter/missing-field", False),
        ("torn", True),
    ]


def test_what_cannot_be_added_is_refused_and_the_file_stays(start: Start, write: Write, vrsky: Vrsky) -> None:
    file = write("orders.yaml", MINIMAL)
    died(start, file, WITHOUT_TOTAL)
    other = write("other.yaml", MINIMAL.replace("pipeline: orders", "pipeline: invoices"))
    assert vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml").returncode == 0
    before = file.read_bytes()
    for arguments, said in (
        (("1", "--as-test", "--into", "orders.yaml"), "there is a test `dead letter 1: filter/missing-field` already"),
        (("1", "--as-test", "--into", "other.yaml"), "dead letter 1 is of acme/orders, not of acme/invoices"),
        (("1", "--as-test", "--into", "none.yaml"), "none.yaml: config/file-not-found: cannot be read"),
        (("9", "--as-test", "--into", "orders.yaml"), "there is no dead letter 9"),
    ):
        done = vrsky("dlq", "export", *arguments)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert said in done.stderr
    assert vrsky("dlq", "export", "1", "--into", "orders.yaml").returncode == 2
    assert vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml", "--output", "x").returncode == 2
    assert file.read_bytes() == before
    assert "dead letter" not in other.read_text()


def test_a_payload_that_is_no_text_goes_into_a_file_beside_the_pipeline(
    start: Start, write: Write, vrsky: Vrsky
) -> None:
    file = write("orders.yaml", MINIMAL)
    large = b"<order><id>" + b"1" * 20_000 + b"</id></order>"
    died(start, file, b"\xff\xfe<order/>", large)
    printed = vrsky("dlq", "export", "1", "--as-test")
    assert (printed.returncode, printed.stdout) == (1, "")
    assert "config/cannot-export: its payload is no text of at most 16 KiB" in printed.stderr
    for number, body in ((1, b"\xff\xfe<order/>"), (2, large)):
        told = json.loads(vrsky("dlq", "export", str(number), "--as-test", "--into", "orders.yaml", "--json").stdout)
        assert told["payload_file"] == f"orders.dead-letter-{number}.payload"
        assert (file.parent / told["payload_file"]).read_bytes() == body
    assert [one["passed"] for one in run_tests(vrsky)] == [True, True]
    refused = vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml", "--name", "again")
    assert refused.returncode == 1
    assert "orders.dead-letter-1.payload: config/cannot-export: cannot be written: File exists" in refused.stderr


def test_without_a_file_the_test_is_printed_and_without_a_test_the_letter(
    start: Start, write: Write, vrsky: Vrsky
) -> None:
    file = write("orders.yaml", MINIMAL)
    died(start, file, WITHOUT_TOTAL)
    printed = vrsky("dlq", "export", "1", "--as-test", "--name", "printed")
    assert printed.returncode == 0, printed.stderr
    write("printed.yaml", MINIMAL.replace("pipeline: orders", "pipeline: printed") + printed.stdout)
    assert "1 passed, 0 failed" in vrsky("test", "printed.yaml").stdout
    letter = json.loads(vrsky("dlq", "export", "1").stdout)
    assert (letter["code"], letter["payload"]) == ("filter/missing-field", WITHOUT_TOTAL.decode())
    assert vrsky("dlq", "export", "1", "--output", "letter.json").stdout == ""
    assert json.loads((file.parent / "letter.json").read_text()) == letter


def test_secrets_are_left_out_and_letters_of_outs_are_no_tests(
    start: Start, write: Write, vrsky: Vrsky, background: Background, tmp_path: Path
) -> None:
    run = start(write("orders.yaml", MINIMAL.replace("http: {path: /orders}", "nats: {subject: orders}")))
    run.ready()
    recorded = server_config.recall(server_config.Layout(tmp_path / ".vrsky"))
    assert recorded is not None
    named = {"Vrsky_Code": "filter/missing-field", "Vrsky_Id": "acme.1", "Authorization": "Bearer hunter2"}
    named |= {"Content_Type": "application/xml", "X_Shop": "a: 1", "X_Place": "Zürich"}
    subject = streams.dead_subject("acme", "orders").removesuffix(">")
    background(put(recorded[1], f"{subject}1-filter", "<order><id>1</id></order>", Vrsky_Step="1:filter", **named))
    background(put(recorded[1], f"{subject}out", "{}", Vrsky_Step="out:erp", **named))
    background(put(recorded[1], f"{subject}part", "{}", Vrsky_Step="1:filter", Vrsky_Original="acme.1", **named))
    background(put(recorded[1], f"{subject}big", "", Vrsky_Step="in", Vrsky_Omitted_Bytes="9000000", **named))
    added = vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml")
    assert added.returncode == 0, added.stderr
    assert "the header Authorization is left out" in added.stderr
    text = (tmp_path / "orders.yaml").read_text()
    assert "hunter2" not in text + added.stdout + added.stderr + vrsky("dlq", "export", "1").stdout
    assert "Vrsky-" not in text
    assert "X-Shop: 'a: 1'" in text
    # A test's header is ASCII.
    assert "the header X-Place is left out" in added.stderr
    assert [one["passed"] for one in run_tests(vrsky)] == [True]
    for number, said in (
        (2, "it died at out:erp, behind the steps"),
        (3, "it is a part of a message, and the whole message is not kept"),
        (4, "its payload was too large to be kept"),
    ):
        refused = vrsky("dlq", "export", str(number), "--as-test", "--into", "orders.yaml")
        assert refused.returncode == 1
        assert f"dead letter {number}: config/cannot-export: {said}" in refused.stderr
    assert (tmp_path / "orders.yaml").read_text() == text
    assert run.stop() == 0


def test_of_a_part_the_whole_message_becomes_the_test(start: Start, write: Write, vrsky: Vrsky) -> None:
    steps = "steps:\n  - script: {code: 'export default (msg) => msg.items'}\n  - filter: n > 1\n"
    file = write("orders.yaml", MINIMAL.partition("steps:")[0] + steps + "out:\n  file: {path: orders.ndjson}\n")
    run = start(file)
    url = run.ready() + "/in/acme/orders"
    assert post(url, b'{"items":[{"n":2},{"m":1}]}', "application/json")[0] == 202
    run.kind("dead")
    assert run.stop() == 0
    done = vrsky("dlq", "export", "1", "--as-test", "--into", "orders.yaml")
    assert "the message still fails like that" in done.stdout, done.stderr
    assert '{"items":[{"n":2},{"m":1}]}' in file.read_text()
    assert [one["passed"] for one in run_tests(vrsky)] == [True]


def test_a_file_that_cannot_be_written_is_named(start: Start, write: Write, vrsky: Vrsky) -> None:
    died(start, write("orders.yaml", MINIMAL), WITHOUT_TOTAL)
    refused = vrsky("dlq", "export", "1", "--output", "none/letter.json")
    assert refused.returncode == 1
    assert "none/letter.json: config/cannot-export: cannot be written: No such file or directory" in refused.stderr
