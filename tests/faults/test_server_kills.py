"""nats-servers that are killed under load and come back: one alone, the leader of a lane, any of a cluster."""

from __future__ import annotations

import os
import random

from .books import close, more_than_once
from .deployment import Deployment
from .load import under_load

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "50")) // 5 + 1


def test_a_server_alone_that_is_killed_and_started_again_loses_nothing(deployment: Deployment) -> None:
    moments = random.Random(ROUNDS)
    with under_load(deployment.port, deployment.customers) as load:
        for _ in range(ROUNDS):
            load.wait_for(moments.randint(5, 40))
            deployment.servers.kill()
            deployment.servers.start()
            deployment.servers.wait()
        load.wait_for(5)
        came = close(deployment, load)
    print(f"{more_than_once(came)} of {sum(came.values())} came again")
    deployment.stop()


def test_a_cluster_that_loses_the_leaders_of_lanes_and_whole_servers_loses_nothing(clustered: Deployment) -> None:
    moments, servers = random.Random(ROUNDS), clustered.servers
    with under_load(clustered.port, clustered.customers) as load:
        for turn in range(ROUNDS):
            load.wait_for(moments.randint(5, 20))
            stream = ("VRSKY_LOGIC_T1000_0", "VRSKY_OUTGOING_T10000_0")[turn % 2]
            lost = servers.leader(stream) if turn % 3 else turn % len(servers.ports)
            servers.kill(lost)
            # The two others go on.
            load.wait_for(10)
            servers.start(lost)
            servers.wait()
        came = close(clustered, load)
    print(f"{more_than_once(came)} of {sum(came.values())} came again")
    clustered.stop()
