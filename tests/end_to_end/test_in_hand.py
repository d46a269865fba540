"""What a node has in hand, and asks the server for: bounded in messages and bytes, for each customer."""

from __future__ import annotations

import pytest

from vrsky_fast.control.server import Server

from .conftest import BrokerOf, StartNode
from .load import under_load
from .node import a_number, eventually, settled
from .servers import Gate, answer, closed_port, serving

# With room in its lanes for whatever a test sends.
ORDERS = """\
customer: acme
pipeline: {name}
in: {{nats: {{subject: in.orders}}}}
out: {{http: {{url: 'http://127.0.0.1:{port}/', timeout: 60s}}}}
limits: {{backlog: 10000}}
"""
QUIET = """\
customer: quiet
pipeline: quiet
in: {{{source}}}
out: {{file: {{path: quiet.ndjson}}}}
limits: {{backlog: {backlog}}}
"""
HTTP = "http: {path: /quiet, content_types: [json]}"
NATS = "nats: {subject: in.quiet}"
SLOW_SCRIPT = """\
customer: acme
pipeline: scripted
in: {{nats: {{subject: in.scripted}}}}
steps:
  - script:
      language: js
      code: "export default (msg) => {{ let n = 0; while (n < {loops}) n++; delete msg.text; return msg; }}"
out: {{file: {{path: scripted.ndjson}}}}
limits: {{script: {{cpu_ms: 100}}, backlog: 10000}}
"""
QUIET_SCRIPT = {
    "own.yaml": """\
customer: quiet
pipeline: own
in: {http: {path: /own, content_types: [json]}}
steps: [{script: {language: js, code: 'export default (msg) => msg'}}]
out: {file: {path: own.ndjson}}
"""
}
LARGE = """customer: acme
pipeline: large
in: {nats: {subject: in.large, mode: jetstream, stream: IN}}
out: {file: {path: large.ndjson}}
"""
OUTGOING, PARKED = "VRSKY_OUTGOING_T10000_0", "VRSKY_PARKED"
MEGABYTE = 1 << 20


def orders(port: int, *names: str) -> dict[str, str]:
    return {f"{name}.yaml": ORDERS.format(name=name, port=port) for name in names or ["orders"]}


def scripted(milliseconds: int) -> dict[str, str]:
    """About so long for each message, or longer on a machine that is busy."""
    return {"scripted.yaml": SLOW_SCRIPT.format(loops=milliseconds * 40_000)}


def quiet(source: str, backlog: int = 1_000) -> dict[str, str]:
    return {"quiet.yaml": QUIET.format(source=source, backlog=backlog)}


@pytest.mark.parametrize(
    ("count", "size", "requests", "most"),
    [
        pytest.param(4_000, 10, 32, 1_024, id="small"),
        # Parked messages are asked for while less than 4 MiB are in hand; some of these may be of the lane.
        pytest.param(300, 300_000, 4 * MEGABYTE // 300_000 + 1, 64 * MEGABYTE // 300_000, id="large"),
    ],
)
def test_parked_messages_are_pulled_within_a_bound(
    start_node: StartNode, broker_of: BrokerOf, count: int, size: int, requests: int, most: int
) -> None:
    port = closed_port()
    node = start_node(orders(port))
    server = broker_of(node)
    for sent in range(count // 4, count + 1, count // 4):
        server.publish("in.orders", [b"{}" + b" " * size] * (count // 4))
        # But for those that probe.
        eventually(lambda wanted=sent - 50: server.stored(PARKED) >= wanted, "they are parked")
    gate = Gate()
    with serving(answer(200), port=port, rule=gate) as receiver:
        eventually(lambda: gate.waiting >= requests, "the out has as many requests as it may")
        assert settled(lambda: server.in_hand(PARKED), "what is in hand", 2.0, most + 1) <= most
        gate.open()

        def all_are_taken() -> bool:
            assert server.in_hand(PARKED) <= most
            return len(receiver.taken) >= count - 1

        eventually(all_are_taken, "all are taken")


def test_a_hanging_sink_redelivers_nothing(start_node: StartNode, broker_of: BrokerOf) -> None:
    gate, count = Gate(), 200
    with serving(rule=gate) as receiver:
        node = start_node(orders(receiver.port))
        server = broker_of(node)
        # 60 MB: more than the out's queue holds. In parts, or the server would hang up on the node.
        for sent in range(40, count + 1, 40):
            server.publish("in.orders", [b"{}" + b" " * 300_000] * 40)
            eventually(lambda wanted=sent: server.stored(OUTGOING) + server.stored(PARKED) == wanted, "they are stored")
        eventually(lambda: gate.waiting >= 32, "the out has as many requests as it may")
        assert settled(lambda: server.redeliveries(OUTGOING), "what comes again", 5.0, 1) == 0
        gate.open()
        eventually(lambda: len(receiver.taken) >= count, "all are taken")
        assert len(receiver.taken) == count


@pytest.mark.parametrize("backlog", [1_000, 10_000], ids=["in a lane of its own", "in the same lane"])
def test_slow_outs_of_one_customer_with_a_large_backlog_do_not_delay_another(
    start_node: StartNode, broker_of: BrokerOf, backlog: int
) -> None:
    gate = Gate()
    with serving(rule=gate) as receiver:
        slow = orders(receiver.port, *(f"slow-{number}" for number in range(5)))
        node = start_node(slow | quiet(NATS, backlog))
        server = broker_of(node)
        # Each of the five pipelines gets all of them.
        server.publish("in.orders", [b"{}"] * 6_000)
        settled(lambda: server.deliveries(OUTGOING), "what the slow outs have", 3.0, 16_384)
        # The second time more than what the node had asked for before.
        for _ in range(2):
            sent = {a_number() for _ in range(800)}
            server.publish("in.quiet", [b'{"n": %d}' % number for number in sent])
            eventually(
                lambda wanted=sent: wanted <= node.numbers("quiet.ndjson", "quiet"), "all of the quiet customer's"
            )
        # The gate is still closed.
        assert not receiver.taken
        node.kill()


def test_messages_of_8_mb_that_wait_do_not_disconnect_the_node(
    start_node: StartNode, server: Server, broker_of: BrokerOf
) -> None:
    operator, numbers = broker_of(server), {a_number() for _ in range(24)}
    operator.make_stream("IN", "in.large")
    operator.publish("in.large", [b'{"n": %d%s}' % (number, b" " * 8_000_000) for number in numbers])
    node = start_node({"large.yaml": LARGE} | quiet(HTTP), "--nats", operator.url)
    with under_load(node.url("/quiet", "quiet"), clients=1) as load:

        def is_over() -> bool:
            return operator.disconnects() > 0 or numbers <= node.numbers("large.ndjson")

        eventually(is_over, "all are delivered, or the server has hung up")
    # What comes back after a disconnect takes its time.
    node.kill()
    assert operator.disconnects() == 0
    assert not load.refused
    assert sorted(line["n"] for line in node.lines("large.ndjson")) == sorted(numbers)


def test_a_slow_script_behind_a_core_nats_in_stops_nobody_else(start_node: StartNode, broker_of: BrokerOf) -> None:
    node = start_node(scripted(10) | quiet(HTTP) | QUIET_SCRIPT)
    # More than the node takes in hand of its lanes. In parts, so that all of them are there before the others' come.
    for sent in range(1, 21):
        broker_of(node).publish("in.scripted", [b'{"n": 1}'] * 1_000)
        eventually(lambda wanted=1_000 * sent: node.counters("scripted").get("received", 0) == wanted, "all are there")
    with (
        under_load(node.url("/quiet", "quiet"), clients=1) as load,
        under_load(node.url("/own", "quiet"), clients=1) as own,
    ):
        eventually(lambda: len(node.numbers("quiet.ndjson", "quiet")) >= 50, "messages without a script")
        eventually(lambda: len(node.numbers("own.ndjson", "quiet")) >= 20, "messages of the quiet customer's script")
    node.kill()
    # All of them take far longer.
    assert not load.refused
    assert not own.refused
    assert node.counters("scripted").get("emitted", 0) < 10_000


def test_core_nats_messages_that_wait_for_a_full_lane_stop_nobody_else(
    start_node: StartNode, broker_of: BrokerOf
) -> None:
    gate, count = Gate(), 20_000
    with serving(rule=gate) as receiver:
        slow = ORDERS.format(name="orders", port=receiver.port).replace("backlog: 10000", "backlog: 1000")
        node = start_node({"orders.yaml": slow} | quiet(HTTP))
        broker_of(node).publish("in.orders", [b"{}"] * count)
        eventually(lambda: node.counters("orders").get("received", 0) == count, "all are there")
        with under_load(node.url("/quiet", "quiet"), clients=1) as load:
            eventually(lambda: len(node.numbers("quiet.ndjson", "quiet")) >= 50, "messages of the quiet customer")
        gate.open()
        eventually(lambda: len(receiver.taken) >= 5_000, "the lane is read on")
        node.kill()
    assert not load.refused


def test_core_nats_messages_beyond_memory_are_counted_as_lost(start_node: StartNode, broker_of: BrokerOf) -> None:
    count = 2_000
    node = start_node(scripted(3))
    server = broker_of(node)
    # 200 MB, faster than the script takes them.
    server.publish("in.scripted", [b'{"n": 1, "text": "%s"}' % (b"x" * 100_000)] * count)

    def accounted() -> int:
        counters = node.counters("scripted")
        return counters.get("delivered", 0) + counters.get("lost", 0)

    eventually(lambda: accounted() >= count or server.disconnects(), "all are delivered or lost")
    assert accounted() == count
    assert node.counters("scripted")["lost"] > 0
