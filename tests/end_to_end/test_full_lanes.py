"""A lane of the outgoing messages that is full: what is published again reaches no sink a second time."""

from __future__ import annotations

import json
from collections import Counter

from vrsky_fast.control.server import Server

from .conftest import BrokerOf, StartNode
from .node import a_number, eventually, settled
from .servers import Gate, serving, taken_numbers

# The lane holds 1,000 messages of each out.
LANE = "VRSKY_OUTGOING_T1000_0"
ROOM = 1_000
BOTH = """\
customer: acme
pipeline: both
in: {{nats: {{subject: in.both, mode: jetstream, stream: IN}}}}
steps:
  - route: [{{when: both, to: [quick, slow]}}, {{to: slow}}]
out:
  quick: {{file: {{path: quick.ndjson}}}}
  slow: {{http: {{url: 'http://127.0.0.1:{port}/', timeout: 60s}}}}
"""
SPLIT = """\
customer: acme
pipeline: split
in: {{http: {{path: /split, content_types: [json]}}}}
steps:
  - script: {{language: js, code: "export default (msg) => msg.parts"}}
out: {{http: {{url: 'http://127.0.0.1:{port}/', timeout: 60s}}}}
"""
# Seconds for which the lane's stream knows an id again, instead of 30: longer outages do not make longer tests.
WINDOW = 0.5


def test_an_out_that_has_its_messages_does_not_get_them_again_while_another_is_full(
    start_node: StartNode, server: Server, broker_of: BrokerOf
) -> None:
    gate, operator = Gate(), broker_of(server)
    operator.make_stream("IN", "in.both")
    alone, both = [a_number() for _ in range(ROOM - 100)], [a_number() for _ in range(300)]
    with serving(rule=gate) as receiver:
        node = start_node({"both.yaml": BOTH.format(port=receiver.port)}, "--nats", operator.url)
        node.hears("ready")
        operator.shorten_window(LANE, WINDOW)
        operator.publish("in.both", [b'{"n": %d, "both": false}' % number for number in alone])
        eventually(lambda: operator.stored(LANE) == len(alone), "there is room for 100")
        operator.publish("in.both", [b'{"n": %d, "both": true}' % number for number in both])
        eventually(lambda: operator.stored(LANE) >= ROOM, "there is no room")
        settled(lambda: len(node.lines("quick.ndjson")), "what the other out has", 4 * WINDOW, len(both) + 1)
        gate.open()
        eventually(lambda: set(taken_numbers(receiver)) == set(alone + both), "all are taken")
        node.delivers_all("quick.ndjson", set(both))
        assert node.stop() == 0
        assert Counter(line["n"] for line in node.lines("quick.ndjson")) == Counter(both)
        assert taken_numbers(receiver) == Counter(alone + both)


def test_a_split_into_a_small_lane_delivers_each_part_once(start_node: StartNode, broker_of: BrokerOf) -> None:
    gate = Gate()
    with serving(rule=gate) as receiver:
        node = start_node({"split.yaml": SPLIT.format(port=receiver.port)})
        operator = broker_of(node)
        operator.shorten_window(LANE, WINDOW)
        parts: list[int] = []
        # The first leaves room for 100 parts of the second.
        for count in (ROOM - 100, 1_000):
            parts += (more := [a_number() for _ in range(count)])
            node.accepts("/split", json.dumps({"parts": [{"n": number} for number in more]}).encode())
            stored = min(len(parts), ROOM)
            eventually(lambda wanted=stored: operator.stored(LANE) >= wanted, "they are in the lane")
        settled(lambda: operator.stored(LANE), "what the lane holds", 4 * WINDOW, ROOM + 1)
        gate.open()
        eventually(lambda: set(taken_numbers(receiver)) == set(parts), "all are taken")
        assert node.stop() == 0
        assert taken_numbers(receiver) == Counter(parts)
