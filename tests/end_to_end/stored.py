"""What a program has left in its NATS server, as a file: recorded from a real run, and put into a server again.

    record:   servers, runs of each node type ──► streams, consumers, frames ──► stores/NAME.json
    restore:  stores/NAME.json ──► a server, byte for byte; the outs' address and the times moved to now

The file of a program that people have run is never recorded again: `test_taken_over.py` starts today's program on it.

    python -m tests.end_to_end.stored tests/end_to_end/stores/NAME.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint

from ..conftest import Background, post
from .conftest import write_pipelines
from .node import Node, eventually
from .servers import answer, closed_port, serving
from .streams import Frame, api, call, frames, held, make

STORES = Path(__file__).parent / "stores"

# UP, DOWN and REFUSES stand for servers that do so while the store is made.
PIPELINES = {
    "orders.yaml": """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - script: {language: js, code: "export default (msg) => ({...msg, seen: true})"}
  - route: [{to: [erp, audit]}]
out:
  erp: {http: {url: 'http://DOWN/orders/{n}', concurrency: 1, retry_for: 1h}}
  audit: {http: {url: 'http://UP/audit'}}
""",
    "bulk.yaml": """\
customer: acme
pipeline: eu-orders
in: {http: {path: /bulk}}
steps:
  - convert: {from: xml, numbers: [order.n]}
out: {http: {url: 'http://UP/bulk'}}
limits: {backlog: 10000}
""",
    "split.yaml": """\
customer: acme-eu
pipeline: orders
in: {http: {path: /split, content_types: [json]}}
steps:
  - script: {language: js, code: "export default (msg) => msg.parts"}
  - filter: n > 0
out: {http: {url: 'http://UP/split'}}
""",
    "strict.yaml": """\
customer: acme
pipeline: strict
in: {http: {path: /strict, content_types: [json]}}
out: {http: {url: 'http://REFUSES/strict', headers: {X-From: vrsky}}}
""",
    "events.yaml": """\
customer: acme
pipeline: events
in: {nats: {mode: jetstream, stream: EVENTS, subject: 'events.>'}}
out: {http: {url: 'http://UP/events'}}
""",
}


def pipelines(addresses: Mapping[str, str]) -> dict[str, str]:
    """The files. `addresses`: host and port of UP, DOWN and REFUSES."""
    files = dict(PIPELINES)
    for name, address in addresses.items():
        files = {file: text.replace(f"//{name}/", f"//{address}/") for file, text in files.items()}
    return files


@dataclass(frozen=True)
class Stored:
    """A stream with its messages. `read`: how many of them a consumer has acked, from the front, in a stream that
    keeps what was read."""

    config: dict[str, Any]
    frames: list[Frame]
    consumers: list[dict[str, Any]]
    read: dict[str, int]


@dataclass(frozen=True)
class Store:
    """All that a program has left, at `time_ms`."""

    time_ms: int
    streams: list[Stored] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Store:
        whole = json.loads(path.read_text(encoding="utf-8"))
        streams = [
            Stored(
                one["config"],
                [
                    Frame(frame["subject"], [(n, v) for n, v in frame["headers"]], frame["payload"])
                    for frame in one["frames"]
                ],
                one["consumers"],
                one["read"],
            )
            for one in whole["streams"]
        ]
        return cls(whole["time_ms"], streams)

    def frames(self, stream: str) -> list[Frame]:
        """Those of the streams whose name begins like this."""
        return [frame for one in self.streams if one.config["name"].startswith(stream) for frame in one.frames]

    async def restore(self, endpoint: Endpoint, address: str) -> None:
        """Makes a server's streams, consumers and messages what they were. `address`: host and port of the outs."""
        later = int(time.time() * 1000) - self.time_ms
        async with connect(endpoint) as client:
            for one in self.streams:
                await _restore(client, one, address, later)


async def _restore(client: Client, one: Stored, address: str, later: int) -> None:
    stream = one.config["name"]
    await api(client, f"STREAM.CREATE.{stream}", one.config)
    for frame in one.frames:
        headers = {name: _moved(name, value, address, later) for name, value in frame.headers}
        ack = await client.request(frame.subject, frame.payload.encode(), timeout=10, headers=headers)
        assert json.loads(ack.data).get("stream") == stream, ack.data
    for config in one.consumers:
        name, filtered = config["durable_name"], config.get("filter_subject")
        verb = f"CONSUMER.CREATE.{stream}.{name}" + (f".{filtered}" if filtered else "")
        await api(client, verb, {"stream_name": stream, "config": config})
        if count := one.read.get(name):
            reader = await client.jetstream().pull_subscribe_bind(name, stream)
            for message in await reader.fetch(count, timeout=10):
                await message.ack_sync()


def _moved(name: str, value: str, address: str, later: int) -> str:
    if name in {"Vrsky-Time", "Vrsky-Since"}:
        return str(int(value) + later)
    return value.replace("{address}", address)


# -- recording ----------------------------------------------------------------------------------


def record(folder: Path, background: Background) -> Store:
    """Runs today's program until something is in every stream, and takes it down."""
    (folder / "server" / "nats").mkdir(parents=True)
    server = Server(folder / "server")
    endpoint = background(server.start())
    try:
        with serving() as up, serving(answer(404)) as refusing:
            ports = {"UP": up.port, "REFUSES": refusing.port, "DOWN": closed_port()}
            addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
            write_pipelines(folder, pipelines(addresses))
            _fill(folder, endpoint, background)
        return background(_take_down(endpoint, addresses))
    finally:
        background(server.stop())


def _fill(folder: Path, endpoint: Endpoint, background: Background) -> None:
    """All of the way first, then what stops before the outs, then what stops before the steps."""
    background(make(endpoint, "EVENTS", "events.>"))
    background(_publish_events(endpoint, range(1, 6)))
    with _run(folder, endpoint) as node:
        for number in range(100, 112):
            _accept(node, "acme/orders", b'{"n": %d}' % number)
        node.hears("parking", pipeline="orders")
        _accept(node, "acme/bulk", b"<order><n>many</n></order>", "application/xml")
        _accept(node, "acme-eu/split", b'{"parts": [{"n": 1}, {"m": 2}, {"n": 3}]}')
        _accept(node, "acme/strict", b'{"n": 404}')
        for pipeline in ("eu-orders", "orders", "strict"):
            node.hears("dead", pipeline=pipeline)
        eventually(lambda: background(held(endpoint, "VRSKY_OUTGOING_T1000_0")) <= 1, "all but the probe are parked")
    with _run(folder, endpoint, "outgoing") as node:
        eventually(lambda: background(_consumers(endpoint)) == 1, "the consumer of what is parked")
        eventually(lambda: background(held(endpoint, "VRSKY_OUTGOING_T1000_0")) == 0, "the probe is parked as well")
    with _run(folder, endpoint, "incoming", "logic") as node:
        _one_of_each(node, 200)
        eventually(lambda: background(held(endpoint, "VRSKY_OUTGOING_T10000_0")) == 1, "the steps of bulk")
        eventually(lambda: background(held(endpoint, "VRSKY_LOGIC_T1000_0")) == 0, "the steps of the others")
    with _run(folder, endpoint, "incoming") as node:
        _one_of_each(node, 300)
    background(_publish_events(endpoint, range(6, 9)))


@contextmanager
def _run(folder: Path, endpoint: Endpoint, *types: str) -> Iterator[Node]:
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    node = Node(folder, "--nats", url, *(word for one in types for word in ("--type", one)))
    try:
        yield node
        assert node.stop() == 0
    finally:
        node.close()


def _accept(node: Node, path: str, body: bytes, content_type: str = "application/json") -> None:
    status, told = post(f"{node.base}/in/{path}", body, content_type, traceparent="00-1-2-01")
    assert status == 202, told


def _one_of_each(node: Node, number: int) -> None:
    _accept(node, "acme/orders", b'{"n": %d}' % number)
    _accept(node, "acme/bulk", b"<order><n>%d</n></order>" % number, "application/xml")
    _accept(node, "acme-eu/split", b'{"parts": [{"n": %d}, {"n": %d}]}' % (number, number + 1))
    _accept(node, "acme/strict", b'{"n": %d}' % number)


async def _publish_events(endpoint: Endpoint, numbers: range) -> None:
    async with connect(endpoint) as client:
        for number in numbers:
            await client.jetstream().publish(
                "events.new", b'{"n": %d}' % number, headers={"Content-Type": "application/json"}
            )


async def _consumers(endpoint: Endpoint) -> int:
    return int((await call(endpoint, "STREAM.INFO.VRSKY_PARKED"))["state"]["consumer_count"])


async def _take_down(endpoint: Endpoint, addresses: dict[str, str]) -> Store:
    store = Store(int(time.time() * 1000))
    async with connect(endpoint) as client:
        names = (await api(client, "STREAM.NAMES"))["streams"]
        for name in sorted(names):
            store.streams.append(await _stored(client, name, addresses))
    return store


async def _stored(client: Client, name: str, addresses: dict[str, str]) -> Stored:
    config = (await api(client, f"STREAM.INFO.{name}"))["config"]
    found = (await api(client, f"CONSUMER.LIST.{name}"))["consumers"]
    is_queue = config["retention"] == "workqueue"
    read = {} if is_queue else {one["name"]: one["ack_floor"]["stream_seq"] for one in found}
    consumers = [_own(one["config"]) for one in found]
    return Stored(_own(config), [_anywhere(one, addresses) for one in await frames(client, name)], consumers, read)


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """Without what the server adds."""
    return {name: value for name, value in config.items() if name != "metadata"}


def _anywhere(frame: Frame, addresses: dict[str, str]) -> Frame:
    """With `{address}` for each of them."""
    headers = frame.headers
    for address in addresses.values():
        headers = [(name, value.replace(address, "{address}")) for name, value in headers]
    return replace(frame, headers=headers)


if __name__ == "__main__":
    background = Background()
    with tempfile.TemporaryDirectory() as folder:
        made = record(Path(folder), background)
    background.close()
    Path(sys.argv[1]).write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")
