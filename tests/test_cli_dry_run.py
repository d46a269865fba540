"""`vrsky dry-run` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import GOOD_ORDER, MINIMAL, Vrsky, Write


def test_dry_run_shows_the_message_after_every_step(vrsky: Vrsky, minimal: Path) -> None:
    done = vrsky("dry-run", minimal, input=GOOD_ORDER)
    assert done.returncode == 0, done.stderr
    for part in ("convert", "filter", '"total": 150', "to default"):
        assert part in done.stdout
    dropped = vrsky("dry-run", minimal, input=GOOD_ORDER.replace("150", "50"))
    assert dropped.returncode == 0
    assert "dropped" in dropped.stdout


def test_dry_run_of_a_bad_message_is_exit_code_1_and_names_the_place(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    write("order.xml", "<order><total>1</order>")
    done = vrsky("dry-run", minimal, "order.xml")
    assert done.returncode == 1
    assert "xml/not-well-formed" in done.stdout


def test_dry_run_takes_many_messages_and_gives_json(vrsky: Vrsky, minimal: Path) -> None:
    lines = f"{GOOD_ORDER}\n\n{GOOD_ORDER.replace('150', '50')}\n<order><id>1</id></order>\n"
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
    done = vrsky("dry-run", "pipelines", input=GOOD_ORDER)
    assert done.returncode == 0, done.stderr
    assert "to default" in done.stdout
    write("pipelines/returns.yaml", MINIMAL.replace("orders", "returns"))
    done = vrsky("dry-run", "pipelines", input=GOOD_ORDER)
    assert (done.returncode, done.stdout) == (2, "")
    for shown in ("pipelines/orders.yaml  acme/orders", "pipelines/returns.yaml  acme/returns"):
        assert shown in done.stderr
    assert vrsky("dry-run", "nowhere", input=GOOD_ORDER).returncode == 1


_SAYS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - script: orders.ts
out: {http: {url: "http://127.0.0.1:9/"}}
"""


def test_dry_run_shows_what_a_script_says_and_where(vrsky: Vrsky, write: Write) -> None:
    source = "export default async (msg: {qty: number}) => {\n  console.warn('negative', msg);\n  return msg;\n};\n"
    write("orders.ts", source)
    file = write("orders.yaml", _SAYS)
    done = vrsky("dry-run", file, "--json", input='{"qty":-2}')
    assert done.returncode == 0, done.stderr
    said = [step for step in json.loads(done.stdout)["steps"] if "console" in step["verdict"]]
    assert [step["verdict"] for step in said] == ["console.warn (orders.ts:2)"]
    assert "negative {qty: -2}" in json.dumps(said[0])
    assert "negative {qty: -2}" in vrsky("dry-run", file, input='{"qty":-2}').stdout
