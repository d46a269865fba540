"""A run with several threads: one address for all of them, and each message once."""

from __future__ import annotations

from pathlib import Path

from .conftest import StartNode
from .load import ORDERS, under_load
from .node import Node, eventually


def test_what_three_threads_accept_is_delivered_once(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--threads", "3")
    # So many connections that each thread has some.
    with under_load(node.url("/orders"), clients=24) as load:
        load.wait_for(3_000)
        assert shards(node) == {"vrsky-shard-0", "vrsky-shard-1", "vrsky-shard-2"}
        accepted = load.stop()
    assert not load.refused
    counted = {"received": len(accepted), "emitted": len(accepted), "delivered": len(accepted), "refused": 0}
    eventually(lambda: counted.items() <= node.counters("orders").items(), f"the counters {counted}")
    node.delivers_once("orders.ndjson", accepted)


def shards(node: Node) -> set[str]:
    tasks = Path(f"/proc/{node.process.pid}/task").iterdir()
    return {name for task in tasks if (name := (task / "comm").read_text().strip()).startswith("vrsky-shard-")}
