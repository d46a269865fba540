"""A sink that is away for a minute, and messages that their lane delivers again and again meanwhile."""

from __future__ import annotations

import os
import time

from vrsky_fast.facts import ACK_WAIT_SECONDS

from ..end_to_end.node import eventually
from ..end_to_end.servers import Gate, fails
from .books import close, more_than_once
from .deployment import Deployment
from .load import under_load

SECONDS = float(os.environ.get("FAULT_SECONDS", "60"))


def test_a_sink_that_is_down_gets_everything_once_it_is_back(deployment: Deployment) -> None:
    with under_load(deployment.port, deployment.customers) as load:
        load.wait_for(20)
        deployment.sink.rule = fails()
        down_until = time.monotonic() + SECONDS
        eventually(lambda: deployment.servers.stored("VRSKY_PARKED") > 0, "parked messages", 120)
        # How long it is down is the story; there is nothing to await.
        time.sleep(max(0.0, down_until - time.monotonic()))
        deployment.sink.rule = lambda _: None
        load.wait_for(20)
        came = close(deployment, load)
    # What the sink refused is no repetition: it never took it.
    assert more_than_once(came) == 0, came.most_common(5)
    eventually(lambda: deployment.servers.stored("VRSKY_PARKED") == 0, "nothing parked", 240)
    deployment.stop()


def test_a_storm_of_redeliveries_loses_nothing_and_repeats_what_was_delivered_again_alone(
    deployment: Deployment,
) -> None:
    """An `ack_wait` of a second on every lane, far less than the nodes count on, while the sink holds its answers."""
    gate = Gate()
    with under_load(deployment.port, deployment.customers) as load:
        load.wait_for(20)
        deployment.servers.set_ack_wait(1.0)
        deployment.sink.rule = gate
        again = deployment.servers.redelivered() + 20
        eventually(lambda: deployment.servers.redelivered() >= again, "redeliveries", 120)
        gate.open()
        deployment.servers.set_ack_wait(ACK_WAIT_SECONDS)
        came = close(deployment, load)
    again = deployment.servers.delivered_again("logic") + deployment.servers.delivered_again("outgoing")
    assert more_than_once(came) <= again, came.most_common(5)
    deployment.stop()
