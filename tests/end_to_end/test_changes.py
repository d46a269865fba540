"""Files and secrets that change while messages flow, in every way that hurts: typed events, and all goes on."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control.server import Server

from ..certificates import Listening
from ..conftest import Background, post
from .conftest import BrokerOf, StartNode
from .load import under_load
from .node import Node, a_number, eventually
from .servers import Gate, closed_port, serving, taken_numbers
from .streams import call, waiting

# Both steps are of one revision, or a message was run by a mixture.
VERSION = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
steps:
  - set: {{v: '{version}'}}
  - script: {{language: js, code: "export default (msg) => ({{...msg, w: {version}}})"}}
out: {{file: {{path: orders.ndjson}}}}
limits: {{backlog: 10000}}
"""

QUICK = """\
customer: acme
pipeline: quick
in: {http: {path: /quick, content_types: [json]}}
out: {file: {path: quick.ndjson}}
"""

STORM = 200


def names(node: Node, code: str, *words: str) -> bool:
    """Whether something was said under a code that begins like this, and names all of these."""

    def is_it(said: dict[str, Any]) -> bool:
        return str(said.get("code")).startswith(code) and all(word in json.dumps(said) for word in words)

    return any(is_it(one) for said in list(node.said) for one in [said, *said.get("problems", [])])


def test_a_file_rewritten_100_times_a_second_ends_as_its_last_version(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node({"orders.yaml": VERSION.format(version=0), "quick.yaml": QUICK})
    file = tmp_path / "pipelines" / "orders.yaml"
    with under_load(node.url("/orders"), clients=2) as load:
        for version in range(1, STORM + 1):
            file.write_text(VERSION.format(version=version))
            time.sleep(0.01)
        load.wait_for(20)
        accepted = load.stop()
    assert not load.refused
    node.delivers_all("orders.ndjson", accepted)
    node.still_works("/quick", "quick.ndjson")
    assert [line for line in node.lines("orders.ndjson") if line["v"] != line["w"]] == []
    eventually(lambda: version_of(node) == STORM, "the last version")


def version_of(node: Node) -> int:
    """Of the revision that takes a message now."""
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    node.delivers_all("orders.ndjson", {number})
    return int(next(line["v"] for line in node.lines("orders.ndjson") if line["n"] == number))


RELOADS = 300
# The texts of the last 200 versions are four times as much.
MAX_GROWTH = 5 << 20
PADDING = "x" * 100_000


def resident(node: Node) -> int:
    """Memory of the process, bytes."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) << 10


def open_files(node: Node) -> int:
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_300_reloads_on_a_signal_leave_memory_and_open_files_as_they_were(
    start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node({"orders.yaml": VERSION.format(version=0), "quick.yaml": QUICK}, "--no-watch")
    node.still_works("/quick", "quick.ndjson")
    file, grown, opened = tmp_path / "pipelines" / "orders.yaml", [], []
    for version in range(1, RELOADS + 1):
        file.write_text(VERSION.format(version=version) + f"# {PADDING}\n")
        node.process.send_signal(signal.SIGHUP)
        eventually(lambda version=version: installs(node) == version, f"version {version} is installed")
        if version % 100 == 0:
            assert version_of(node) == version
            grown.append(resident(node))
            opened.append(open_files(node))
    assert grown[-1] - grown[0] < MAX_GROWTH, grown
    assert opened[-1] == opened[0], opened
    node.still_works("/quick", "quick.ndjson")


def installs(node: Node) -> int:
    return len([one for one in list(node.said) if one["kind"] == "installed"])


def test_a_file_replaced_by_a_folder_is_an_event_that_names_it(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node({"orders.yaml": VERSION.format(version=0), "quick.yaml": QUICK})
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    file = tmp_path / "pipelines" / "orders.yaml"
    file.unlink()
    file.mkdir()
    eventually(lambda: names(node, "config/", "orders.yaml"), "an event about the folder")
    node.delivers_all("orders.ndjson", {number})
    node.still_works("/quick", "quick.ndjson")


@pytest.mark.parametrize("becomes", [None, "", "\n"])
def test_a_secret_removed_or_emptied_while_it_is_used_is_an_event_and_the_old_revision_goes_on(
    start_node: StartNode, tmp_path: Path, becomes: str | None
) -> None:
    secret = tmp_path / "secrets" / "acme" / "token"
    secret.parent.mkdir(parents=True)
    secret.write_text("abc")
    guarded = QUICK.replace("path: /quick,", "path: /quick, auth: {bearer: {secret: token}},")
    other = QUICK.replace("quick", "other")
    node = start_node({"quick.yaml": guarded, "other.yaml": other}, "--secrets", tmp_path / "secrets")
    node.still_works("/other", "other.ndjson")
    if becomes is None:
        secret.unlink()
    else:
        secret.write_text(becomes)
    code = "secret/not-found" if becomes is None else "secret/empty"
    eventually(lambda: names(node, code, "token"), "an event about the secret")
    number = a_number()
    node.accepts("/quick", b'{"n": %d}' % number, Authorization="Bearer abc")
    node.delivers_all("quick.ndjson", {number})
    node.still_works("/other", "other.ndjson")


DOWN = """\
customer: {customer}
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
out: {{http: {{url: 'http://127.0.0.1:{port}/'}}}}
"""


def test_a_pipeline_renamed_to_another_customer_loses_nothing_of_the_first(
    start_node: StartNode, tmp_path: Path, background: Background
) -> None:
    port = closed_port()
    node = start_node({"orders.yaml": DOWN.format(customer="acme", port=port), "quick.yaml": QUICK})
    sent = {a_number() for _ in range(5)}
    for number in sent:
        node.accepts("/orders", b'{"n": %d}' % number)
    file = tmp_path / "pipelines" / "orders.yaml"
    file.write_text(DOWN.format(customer="zeta", port=port))
    eventually(lambda: post_to(node, "zeta") == 202, "the route of the other customer")
    assert post_to(node, "acme") == 404
    eventually(lambda: background(waiting(node.endpoint(), "*.acme.orders.*")) == len(sent), "all of the first wait")
    node.still_works("/quick", "quick.ndjson")
    file.write_text(DOWN.format(customer="acme", port=port))
    with serving(port=port) as server:
        eventually(lambda: {json.loads(one.body)["n"] for one in list(server.taken)} >= sent, "all of them")


def post_to(node: Node, customer: str) -> int:
    body = b'{"n": %d}' % a_number()
    return post(f"{node.base}/in/{customer}/orders", body, "application/json")[0]


FILES = 5_000


def test_of_5000_files_half_of_which_are_broken_the_others_run(start_node: StartNode) -> None:
    good = {f"good-{number}.yaml": QUICK.replace("quick", f"good-{number}") for number in range(FILES // 2)}
    bad = {f"bad-{number}.yaml": QUICK.replace("quick", f"bad-{number}") + "more: 1\n" for number in range(FILES // 2)}
    node = start_node(good | bad)
    node.hears("ready")
    eventually(lambda: blamed(node) >= set(bad), "an event for each broken file")
    node.still_works("/good-0", "good-0.ndjson")
    node.still_works(f"/good-{FILES // 2 - 1}", f"good-{FILES // 2 - 1}.ndjson")


def blamed(node: Node) -> set[str]:
    """The files that were said to be broken, with a line."""
    problems = [one for said in list(node.said) for one in [said, *said.get("problems", [])] if one.get("line")]
    return {Path(one["file"]).name for one in problems if one.get("code") == "config/unknown-key"}


def test_a_pipeline_that_asks_for_more_than_the_server_takes_is_refused_alone(
    start_node: StartNode, tmp_path: Path
) -> None:
    large = QUICK.replace("quick", "large") + "limits: {bytes: %d}\n"
    node = start_node({"large.yaml": large % 9_000_000, "quick.yaml": QUICK})
    (problem,) = node.hears("not-served", goes_on=None)["problems"]
    assert (problem["code"], problem["line"]) == ("config/invalid-value", 5)
    assert "max_payload" in problem["reason"]
    node.still_works("/quick", "quick.ndjson")

    # The same for a file that changes: what it said before goes on.
    file = tmp_path / "pipelines" / "large.yaml"
    file.write_text(large % 8_000_000)
    node.hears("installed", pipeline="large")
    file.write_text(large % 9_000_000)
    (problem,) = node.hears("not-served", goes_on={"customer": "acme", "pipeline": "large"})["problems"]
    assert (problem["code"], problem["line"]) == ("config/invalid-value", 5)
    node.still_works("/large", "large.ndjson")
    node.still_works("/quick", "quick.ndjson")


def test_of_a_foreign_server_with_a_small_max_payload_only_what_fits_is_served(
    start_node: StartNode, tmp_path: Path
) -> None:
    large = QUICK.replace("quick", "large") + "limits:\n  backlog: 100\n  bytes: 400000\n"
    small = QUICK + "limits: {bytes: 200000}\n"
    with Listening(tmp_path / "nats", "max_payload: 300000") as server:
        url = f"nats://127.0.0.1:{server.port}"
        node = start_node({"large.yaml": large, "quick.yaml": small}, "--nats", url)
        (problem,) = node.hears("not-served", goes_on=None)["problems"]
        assert (Path(problem["file"]).name, problem["code"]) == ("large.yaml", "config/invalid-value")
        assert (problem["line"], problem["column"]) == (7, 10)
        assert "max_payload" in problem["reason"]
        assert problem["hint"]
        node.still_works("/quick", "quick.ndjson")
        assert node.hears("ready")["pipelines"] == [{"customer": "acme", "pipeline": "quick"}]
        assert node.stop() == 0


EVENTS = """\
customer: acme
pipeline: events
in: {{nats: {{mode: jetstream, stream: EVENTS, subject: 'events.>'}}}}
out: {{http: {{url: '{url}/'}}}}
"""


def test_a_stream_deleted_in_the_middle_is_an_event_and_loses_nothing_that_was_taken(
    start_node: StartNode, server: Server, background: Background, broker_of: BrokerOf
) -> None:
    broker, gate = broker_of(server), Gate()
    broker.make_stream("EVENTS", "events.>")
    with serving(rule=gate) as out:
        node = start_node({"events.yaml": EVENTS.format(url=out.url), "quick.yaml": QUICK}, "--nats", broker.url)
        with under_load(node.url("/quick"), clients=2) as load:
            taken = [a_number() for _ in range(50)]
            broker.publish("events.new", [b'{"n": %d}' % number for number in taken])
            eventually(lambda: node.counters("events").get("received") == len(taken), "all are taken")
            eventually(lambda: gate.waiting, "some are on their way")
            background(call(server.endpoint, "STREAM.DELETE.EVENTS"))
            eventually(lambda: names(node, "nats/", "EVENTS"), "an event that names the stream")
            load.wait_for(20)
            gate.open()
            eventually(lambda: set(taken_numbers(out)) == set(taken), "all that were taken")
            broker.make_stream("EVENTS", "events.>")
            later = a_number()
            broker.publish("events.new", [b'{"n": %d}' % later])
            eventually(lambda: later in taken_numbers(out), "one of the stream that is there again")
            accepted = load.stop()
    assert load.refused == []
    node.delivers_all("quick.ndjson", accepted)
    assert broker.stored("VRSKY_DEAD") == 0
