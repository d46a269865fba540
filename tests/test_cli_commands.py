"""The commands as a user runs them: output, exit codes, `--json`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import MINIMAL, ROOT, Vrsky, clean_environment, command

Write = Callable[[str, str], Path]

ORDERS = ROOT / "examples" / "orders"
GOOD = "<order><total>150</total></order>"
TESTS = """\
tests:
  - name: a large one passes
    in: {text: '<order><total>150</total></order>'}
    out: {default: {json: {order: {total: 150}}}}
  - name: a small one is dropped
    in: {text: '<order><total>50</total></order>'}
    dropped: true
  - name: one without a total fails
    in: {text: '<order><id>1</id></order>'}
    error: filter/missing-field
"""


def test_help_shows_examples_and_exit_codes(vrsky: Vrsky) -> None:
    shown = vrsky("--help")
    assert shown.returncode == 0
    assert "vrsky run orders.yaml" in shown.stdout
    assert "another run uses the data folder" in shown.stdout
    for verb in ("run", "lint", "check", "connectors", "test", "dry-run", "dlq"):
        help_of = vrsky(verb, "--help")
        assert help_of.returncode == 0
        assert f"vrsky {verb}" in help_of.stdout
        assert "Examples:" in help_of.stdout


def test_the_version_is_the_packages(vrsky: Vrsky) -> None:
    from importlib.metadata import version

    assert version("vrsky-fast") in vrsky("--version").stdout


@pytest.mark.parametrize("arguments", [["fly"], ["run"], ["lint"], ["run", "x", "--threads", "0"], ["--nope"]])
def test_a_wrong_command_line_is_exit_code_2(vrsky: Vrsky, arguments: list[str]) -> None:
    done = vrsky(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert done.stdout == ""


def test_lint_says_what_is_right_and_what_is_wrong(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    done = vrsky("lint", minimal)
    assert (done.returncode, done.stderr) == (0, "")
    assert "acme/orders" in done.stdout
    write("bad.yaml", MINIMAL.replace("filter", "fliter"))
    done = vrsky("lint", "bad.yaml", minimal)
    assert done.returncode == 1
    assert "bad.yaml:7:5: config/unknown-key" in done.stdout
    assert "did you mean `filter`" in done.stdout
    assert "1 problem" in done.stdout
    assert "\x1b" not in done.stdout


def test_lint_calls_no_file_right_of_which_it_reports_a_conflict(vrsky: Vrsky, write: Write) -> None:
    for name, text in [
        ("a", MINIMAL),
        ("b", MINIMAL),
        ("c", MINIMAL.replace("pipeline: orders", "pipeline: other")),
        ("d", MINIMAL.replace("pipeline: orders", "pipeline: fine").replace("/orders", "/fine")),
    ]:
        write(f"all/{name}.yaml", text)
    done = vrsky("lint", "all")
    assert done.returncode == 1
    right = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok")]
    assert [Path(one).name for one in right] == ["a.yaml", "d.yaml"]
    assert done.stdout.count("config/conflict") == 3
    report = json.loads(vrsky("lint", "all", "--json").stdout)
    assert [one["pipeline"] for one in report["pipelines"]] == ["orders", "fine"]


def test_lint_gives_json_for_programs(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    write("bad.yaml", "a: 1\na: 2\n")
    done = vrsky("lint", "bad.yaml", minimal, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert not report["ok"]
    assert [one["pipeline"] for one in report["pipelines"]] == ["orders"]
    (problem,) = report["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("config/duplicate-key", 2, 1)


@pytest.mark.parametrize("arguments", ["lint --json", "lint", "test", "dry-run", "check --json", "--help"])
@pytest.mark.parametrize("size", [1, 20_000])
def test_output_that_cannot_be_written_is_one_line_and_exit_code_3(
    write: Write, tmp_path: Path, arguments: str, size: int
) -> None:
    verb, *options = arguments.split()
    # Longer than what is held back before it is written, too.
    name = "x" * size
    path = write("orders.yaml", MINIMAL + TESTS.replace("a large one passes", name))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(verb, *options, *([] if verb == "--help" else [path])),
            cwd=tmp_path,
            input=GOOD,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=clean_environment(),
        )
    assert done.returncode == 3
    assert done.stderr == "vrsky: standard output cannot be written: No space left on device\n"


def test_a_reader_that_goes_early_makes_no_noise(minimal: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        arguments = command("lint", minimal)
        done = subprocess.run(
            arguments, cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, env=clean_environment()
        )
    assert done.stderr == ""


def test_test_runs_the_tests_of_a_file(vrsky: Vrsky, write: Write) -> None:
    write("orders.yaml", MINIMAL + TESTS)
    done = vrsky("test", "orders.yaml")
    assert done.returncode == 0, done.stderr
    assert "3 passed, 0 failed" in done.stdout
    assert "1 passed, 0 failed" in vrsky("test", "orders.yaml", "--only", "small").stdout


def test_only_tests_that_there_are_can_be_picked(vrsky: Vrsky, write: Write, minimal: Path) -> None:
    write("tested.yaml", MINIMAL + TESTS)
    done = vrsky("test", "tested.yaml", "--only", "nope")
    assert done.returncode == 2
    for shown in ("'nope'", "a large one passes", "a small one is dropped", "one without a total fails"):
        assert shown in done.stderr
    assert "0 passed" not in done.stdout
    assert vrsky("test", minimal, "--only", "nope").returncode == 2
    assert vrsky("test", minimal).returncode == 0


def test_a_failed_test_shows_expected_and_actual(vrsky: Vrsky, write: Write) -> None:
    write(
        "orders.yaml",
        MINIMAL + TESTS.replace("{total: 150}", "{total: 151, tax: 1}").replace("missing-field", "wrong-type"),
    )
    done = vrsky("test", "orders.yaml")
    assert done.returncode == 1
    assert "1 passed, 2 failed" in done.stdout
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = lines.index("out default: order.total")
    assert lines[at + 1 : at + 3] == ["expected 151", "got      150"]
    assert "expected the error filter/wrong-type, got the error filter/missing-field" in done.stdout
    report = json.loads(vrsky("test", "orders.yaml", "--json").stdout)
    assert (report["ok"], report["passed"], report["failed"]) == (False, 1, 2)


def test_the_examples_tests_pass(vrsky: Vrsky) -> None:
    done = vrsky("test", ORDERS)
    assert done.returncode == 0, done.stderr
    assert "5 passed, 0 failed" in done.stdout


def test_dry_run_shows_the_message_after_every_step(vrsky: Vrsky, minimal: Path) -> None:
    done = vrsky("dry-run", minimal, input=GOOD)
    assert done.returncode == 0, done.stderr
    for part in ("convert", "filter", '"total": 150', "to default"):
        assert part in done.stdout
    dropped = vrsky("dry-run", minimal, input=GOOD.replace("150", "50"))
    assert dropped.returncode == 0
    assert "dropped" in dropped.stdout


def test_dry_run_of_a_bad_message_is_exit_code_1_and_names_the_place(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    write("order.xml", "<order><total>1</order>")
    done = vrsky("dry-run", minimal, "order.xml")
    assert done.returncode == 1
    assert "xml/not-well-formed" in done.stdout


def test_dry_run_takes_many_messages_and_gives_json(vrsky: Vrsky, minimal: Path) -> None:
    lines = f"{GOOD}\n\n{GOOD.replace('150', '50')}\n<order><id>1</id></order>\n"
    done = vrsky("dry-run", minimal, "--ndjson", "--json", input=lines)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [report["status"] for report in reports] == ["ok", "dropped", "failed"]
    assert reports[2]["code"] == "filter/missing-field"
    assert [step["verdict"] for step in reports[0]["steps"]][-1] == "to default"


def test_dry_run_takes_a_folder_with_one_pipeline_and_names_them_when_there_are_more(
    vrsky: Vrsky, write: Write
) -> None:
    write("pipelines/orders.yaml", MINIMAL)
    done = vrsky("dry-run", "pipelines", input=GOOD)
    assert done.returncode == 0, done.stderr
    assert "to default" in done.stdout
    write("pipelines/returns.yaml", MINIMAL.replace("orders", "returns"))
    done = vrsky("dry-run", "pipelines", input=GOOD)
    assert (done.returncode, done.stdout) == (2, "")
    for shown in ("pipelines/orders.yaml  acme/orders", "pipelines/returns.yaml  acme/returns"):
        assert shown in done.stderr
    assert vrsky("dry-run", "nowhere", input=GOOD).returncode == 1


def test_what_a_message_holds_cannot_drive_the_terminal(vrsky: Vrsky, write: Write) -> None:
    head = "customer: a\npipeline: b\nin: {http: {path: /x}}\n"
    write("echo.yaml", head + "steps: [{convert: {from: json, to: json}}]\nout: {stdout: {}}\n")
    done = vrsky("dry-run", "echo.yaml", input='{"a": "\\u001b[2J\\u202e"}')
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


def test_a_secret_that_is_missing_is_exit_code_3_and_names_its_variable(vrsky: Vrsky, write: Write) -> None:
    write("orders.yaml", MINIMAL.replace("{path: /orders}", "{path: /orders, auth: {bearer: {secret: orders-token}}}"))
    done = vrsky("run", "orders.yaml")
    assert done.returncode == 3
    assert "VRSKY_SECRET_ACME__ORDERS_TOKEN" in done.stderr


def test_an_open_route_beyond_loopback_is_refused(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    done = vrsky("run", minimal, "--listen", "0.0.0.0:0")
    assert done.returncode == 1
    assert "config/needs-auth" in done.stderr
    assert "orders.yaml:4:3" in done.stderr
    report = json.loads(vrsky("run", minimal, "--listen", "0.0.0.0:0", "--json").stdout)
    assert report["problems"][0]["code"] == "config/needs-auth"


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1", "example.org:80", "127.0.0.1:99999"])
def test_an_address_to_listen_on_must_be_one(vrsky: Vrsky, minimal: Path, listen: str) -> None:
    done = vrsky("run", minimal, "--listen", listen)
    assert done.returncode == 2
    assert "127.0.0.1:8080" in done.stderr


def test_a_nats_server_that_is_not_there_is_exit_code_3(vrsky: Vrsky, minimal: Path) -> None:
    done = vrsky("run", minimal, "--nats", "nats://user:hidden@127.0.0.1:1")
    assert done.returncode == 3
    assert "nats/connect" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize(
    "verb", [["run", "orders.yaml"], ["dlq", "ls"], ["dlq", "show", "1"], ["dlq", "rm", "1", "--yes"]]
)
def test_a_data_folder_that_cannot_be_used_is_exit_code_3(vrsky: Vrsky, minimal: Path, verb: list[str]) -> None:
    done = vrsky(*verb, "--data", minimal / "data")
    assert done.returncode == 3
    assert "config/data-folder-unusable" in done.stderr
    assert "with --data" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_folder_of_secrets_has_to_be_there(vrsky: Vrsky, minimal: Path, verb: str) -> None:
    done = vrsky(verb, minimal, "--secrets", "nowhere")
    assert done.returncode == 3
    assert "secret/not-found: the folder of secrets nowhere is not there" in done.stderr


def test_errors_are_json_with_a_hint_for_programs(vrsky: Vrsky) -> None:
    done = vrsky("dlq", "ls", "--json")
    assert done.returncode == 3
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["code"] == "config/data-folder-unusable"
    assert problem["hint"].endswith(".")


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
