"""A node that is killed while it parks what waits for an out."""

from __future__ import annotations

from vrsky_fast.control.server import Server

from .conftest import BrokerOf, StartNode
from .node import a_number, eventually, settled
from .proxy import in_between
from .servers import Behaviour, Gate, Request, answer, serving, taken_numbers

ORDERS = """\
customer: acme
pipeline: orders
in: {{nats: {{subject: in.orders}}}}
out: {{http: {{url: 'http://127.0.0.1:{port}/', timeout: 60s}}}}
limits: {{backlog: 10000}}
"""
OUTGOING, PARKED = "VRSKY_OUTGOING_T10000_0", "VRSKY_PARKED"
# Publishes that wait for their PubAcks, and requests.
IN_FLIGHT = 300


def test_a_kill_while_an_out_parks_doubles_at_most_what_was_in_flight(
    start_node: StartNode, server: Server, broker_of: BrokerOf
) -> None:
    gate, operator = Gate(), broker_of(server)
    sent = {a_number() for _ in range(1_000)}

    def fails_later(request: Request) -> Behaviour:
        gate(request)
        return answer(500)

    with serving(rule=fails_later) as receiver:
        files = {"orders.yaml": ORDERS.format(port=receiver.port)}
        with in_between(operator.port) as proxy:
            node = start_node(files, "--nats", operator.url_on(proxy.port))
            node.hears("ready")
            operator.publish("in.orders", [b'{"n": %d}' % number for number in sent])
            eventually(lambda: operator.in_hand(OUTGOING) == len(sent), "all of them wait for the out")
            # They are parked, and the node does not learn that they are stored.
            proxy.hold_answers()
            gate.open()
            eventually(lambda: operator.stored(PARKED), "the first one is parked")
            settled(lambda: operator.stored(PARKED), "what is parked", 3.0, 2 * IN_FLIGHT)
            node.kill()
        operator.expire(OUTGOING, "outgoing")
        receiver.rule = lambda _: None
        start_node(files, "--nats", operator.url)
        eventually(lambda: operator.stored(PARKED) + operator.stored(OUTGOING) == 0, "all are taken")
        taken = taken_numbers(receiver)
        assert set(taken) == sent
        assert taken.total() - len(sent) <= IN_FLIGHT
