"""MQTT in and out of a whole node: nothing that a broker was told is stored is lost, whoever is killed."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ..conftest import Vrsky
from ..mosquitto import Mosquitto
from .conftest import StartNode
from .node import a_number, eventually

IN = """\
customer: acme
pipeline: sensors
in:
  mqtt:
    broker: {{url: '{url}', version: {version}}}
    topics: [sensors/#]
    qos: {qos}
steps:
  - filter: n > 0
out: {{file: {{path: sensors.ndjson}}}}
"""

OUT = """\
customer: acme
pipeline: commands
in: {{http: {{path: /commands, content_types: [json]}}}}
out:
  mqtt:
    broker: {{url: '{url}'}}
    topic: devices/{{device}}/commands
    qos: 1
"""

OTHER = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - filter: n > 0
out: {file: {path: orders.ndjson}}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    limits = "max_queued_messages 0\nmax_inflight_messages 0"
    broker = Mosquitto(tmp_path / "broker", f"allow_anonymous true\n{limits}")
    yield broker
    broker.close()


def published(broker: Mosquitto, count: int) -> set[int]:
    numbers = {a_number() for _ in range(count)}
    broker.publish("sensors/1/state", [json.dumps({"n": number}) for number in sorted(numbers)])
    return numbers


@pytest.mark.parametrize(("version", "qos"), [("v5", 1), ("v5", 2), ("v3.1.1", 1)])
def test_messages_arrive_also_while_broker_and_node_are_killed(
    start_node: StartNode, broker: Mosquitto, version: str, qos: int
) -> None:
    files = {"sensors.yaml": IN.format(url=broker.url, version=version, qos=qos)}
    node = start_node(files)
    node.hears("ready")
    # Kept for the subscription that is yet to come.
    first = a_number()
    broker.publish("sensors/0/state", [json.dumps({"n": first})], "-r")
    node.delivers_all("sensors.ndjson", {first})
    sent = published(broker, 500)
    broker.save()
    broker.kill()
    broker.start()
    sent |= published(broker, 500)
    node.delivers_all("sensors.ndjson", sent)
    node.kill()
    # The broker keeps them in the session.
    sent |= published(broker, 500)
    node = start_node(files)
    node.delivers_all("sensors.ndjson", sent)
    assert node.stop() == 0


def test_one_of_several_threads_reads(start_node: StartNode, broker: Mosquitto) -> None:
    node = start_node({"sensors.yaml": IN.format(url=broker.url, version="v5", qos=1)}, "--threads", "2")
    node.hears("ready")
    first = a_number()
    broker.publish("sensors/0/state", [json.dumps({"n": first})], "-r")
    node.delivers_all("sensors.ndjson", {first})
    sent = published(broker, 200) | {first}
    node.delivers_once("sensors.ndjson", sent)


def test_a_broker_that_comes_later_is_found_and_others_go_on_meanwhile(
    start_node: StartNode, broker: Mosquitto
) -> None:
    broker.stop()
    files = {"sensors.yaml": IN.format(url=broker.url, version="v5", qos=1), "orders.yaml": OTHER}
    node = start_node(files)
    node.still_works("/orders", "orders.ndjson")
    broker.start()
    first = a_number()
    broker.publish("sensors/0/state", [json.dumps({"n": first})], "-r")
    node.delivers_all("sensors.ndjson", {first})


def test_an_in_that_connects_for_the_first_time_is_not_said_to_have_lost_its_connection(start_node: StartNode) -> None:
    # It takes connections, and never answers CONNECT.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        node = start_node({"sensors.yaml": IN.format(url=url, version="v5", qos=1), "orders.yaml": OTHER})
        node.still_works("/orders", "orders.ndjson")
        node.hears("stats")
        said = [one for stats in node.said if stats.get("kind") == "stats" for one in stats["pipelines"]]
        ins = {one["pipeline"]: one.get("in") for one in said}
        assert ins["orders"]["state"] == "up"
        assert all((one.get("in") or {}).get("code") != "connector/not-connected" for one in said), said
        assert node.stop() == 0


def test_a_message_goes_to_the_topic_that_its_field_names(start_node: StartNode, broker: Mosquitto) -> None:
    node = start_node({"commands.yaml": OUT.format(url=broker.url)})
    node.hears("ready")
    arguments = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", "devices/#"]
    command = ["stdbuf", "-oL", *arguments, "-d", "-F", "%t %p"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stdout is not None
        lines = (line.strip() for line in subscriber.stdout)
        next(line for line in lines if line.startswith("Subscribed"))
        messages = (line for line in lines if not line.startswith("Client "))
        node.accepts("/commands", b'{"device": "d7", "on": true}')
        assert next(messages) == 'devices/d7/commands {"device": "d7", "on": true}'
        broker.stop()
        node.accepts("/commands", b'{"device": "d8"}')
        refused = node.accepts("/commands", b'{"device": "a/b"}')
        assert node.dead_letter(refused)["code"] == "mqtt/topic-invalid"
        broker.start()
        # The subscriber connects again, and may do so after the message has come: the node counts it.
        eventually(lambda: node.counters("commands").get("delivered", 0) >= 2, "the second command is delivered")
        subscriber.terminate()


class Liar:
    """Answers CONNECT and SUBSCRIBE as a broker of MQTT 5 does, then sends `bytes`; counts those who connect."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                with peer, suppress(OSError):
                    peer.recv(4096)
                    peer.sendall(b"\x20\x03\x00\x00\x00")
                    subscribe = peer.recv(4096)
                    peer.sendall(b"\x90\x04" + subscribe[2:4] + b"\x00\x01" + self._sent)
                    while peer.recv(4096):
                        pass

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        # A packet of 256 MB, and a length that is none.
        (b"\x32\xff\xff\xff\x7f\x00\x01a", "mqtt/packet-too-large"),
        (b"\x32\xff\xff\xff\xff\x01", "mqtt/malformed"),
    ],
)
def test_a_broker_that_lies_ends_its_own_connection_and_nothing_else(
    start_node: StartNode, sent: bytes, code: str
) -> None:
    liar = Liar(sent)
    node = start_node({"sensors.yaml": IN.format(url=liar.url, version="v5", qos=1), "orders.yaml": OTHER})
    node.still_works("/orders", "orders.ndjson")
    eventually(lambda: liar.connections >= 2, f"it connects again after {code}")
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    liar.close()


def test_what_cannot_work_is_refused_with_its_line(vrsky: Vrsky, tmp_path: Path) -> None:
    path = tmp_path / "sensors.yaml"
    path.write_text(IN.format(url="http://broker.example", version="v5", qos=1).replace("sensors/#", "sensors/#/x"))
    done = vrsky("lint", path)
    assert done.returncode != 0
    assert "config/invalid-value" in done.stdout + done.stderr
    assert "mqtts://" in done.stdout + done.stderr
