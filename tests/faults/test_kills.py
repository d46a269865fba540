"""Each node type, killed at random moments while it has messages in hand.

`FAULT_ROUNDS` is how often each is killed in such a moment: 50 by `make test-faults`, fewer in CI.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from ..conftest import Background
from .books import close, more_than_once
from .deployment import TYPES, Deployment
from .load import Load, under_load
from .publishes import watched

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "50"))

# Of one message, at most.
OUTPUTS = 6

Kill = Callable[[Load], int]


@pytest.mark.parametrize("node_type", TYPES["fused"])
def test_kill_9_at_any_moment_loses_and_alters_nothing(
    deployment: Deployment, background: Background, node_type: str
) -> None:
    kill_at_any_moment(deployment, background, node_type)


@pytest.mark.parametrize("node_type", TYPES["split"])
def test_kill_9_of_nodes_that_share_the_steps_loses_and_alters_nothing(
    split: Deployment, background: Background, node_type: str
) -> None:
    kill_at_any_moment(split, background, node_type)


def kill_at_any_moment(deployment: Deployment, background: Background, node_type: str) -> None:
    """And accounts for every message."""
    moments = random.Random(f"{node_type} {ROUNDS}")
    with (
        watched(deployment.servers, background) as publishes,
        under_load(deployment.port, deployment.customers) as load,
    ):
        hits = tries = 0
        while hits < ROUNDS:
            load.wait_for(moments.randint(1, 20))
            hits += kill(deployment, node_type, load) > 0
            tries += 1
            assert tries < 10 * ROUNDS + 20, f"of {tries} kills {hits} were in a moment with messages in hand"
        load.wait_for(5)
        came = close(deployment, load, lambda: publishes.stored_again("dead"))
    repeated, stored_again = more_than_once(came), publishes.stored_again("outgoing")
    print(f"{repeated} of {came.total()} came again; {stored_again} were stored again after the window of their ids")
    # What outgoing nodes had in hand they may have delivered. What others publish again has the id that it had.
    assert repeated <= deployment.in_flight["outgoing"] + stored_again, came.most_common(5)
    assert repeated <= OUTPUTS * sum(deployment.in_flight.values()), "more than what was in flight at the kills"
    deployment.stop()


def kill(deployment: Deployment, node_type: str, load: Load) -> int:
    """How many messages it had in hand."""
    if node_type == "incoming":
        before = load.unanswered()
        return deployment.kill(node_type, lambda: load.unanswered() - before + load.in_flight())
    return deployment.kill(node_type, lambda: deployment.servers.in_hand(node_type))
