"""Pipelines that take addresses and consumers over from each other; what is refused of one is nothing to the others."""

from __future__ import annotations

import json
import signal

from ..conftest import Background, post
from .conftest import StartNode
from .load import Load, under_load
from .node import Node, a_number, eventually
from .streams import make, put, waiting

PIPELINE = """\
customer: {customer}
pipeline: {name}
in: {{http: {{path: /{path}, content_types: [json]}}}}
out: {{file: {{path: {name}.ndjson}}}}
limits: {{backlog: 10000{more}}}
"""
# More than the server takes.
HUGE = ", bytes: 60000000"


def pipeline(name: str, path: str = "", customer: str = "acme", more: str = "") -> str:
    return PIPELINE.format(customer=customer, name=name, path=path or name, more=more)


def changed(node: Node, files: dict[str, str | None]) -> None:
    """Writes files and removes those that are None, then asks for a reload and waits for what it says of it."""
    for name, text in files.items():
        file = node.folder / "pipelines" / name
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
    node.process.send_signal(signal.SIGHUP)


def status(node: Node, path: str) -> int:
    body = b'{"n": %d}' % a_number()
    return post(node.url(path), body, "application/json")[0]


def test_a_renamed_pipeline_is_served_whatever_is_refused_of_another_customer(start_node: StartNode) -> None:
    evil = pipeline("evil", customer="evil", more=HUGE)
    node = start_node({"orders.yaml": pipeline("orders"), "evil.yaml": evil, "quick.yaml": pipeline("quick")})
    node.hears("not-served")
    changed(node, {"orders.yaml": pipeline("orders-2", "orders")})
    node.hears("removed", pipeline="orders")
    node.still_works("/orders", "orders-2.ndjson")
    # Now all of it in one go.
    changed(node, {"orders.yaml": None, "next.yaml": pipeline("next", "orders"), "evil.yaml": evil + "# again\n"})
    node.hears("removed", pipeline="orders-2")
    node.still_works("/orders", "next.ndjson")


def test_of_a_swap_of_which_one_half_is_refused_both_go_on_as_they_were(start_node: StartNode) -> None:
    node = start_node({"a.yaml": pipeline("one"), "b.yaml": pipeline("two")})
    node.still_works("/one", "one.ndjson")
    changed(node, {"a.yaml": pipeline("one", "two"), "b.yaml": pipeline("two", "one", more=HUGE)})
    for key in ("one", "two"):
        node.hears("not-served", goes_on={"customer": "acme", "pipeline": key})
        node.still_works(f"/{key}", f"{key}.ndjson")
    # And so it does once it is right.
    changed(node, {"b.yaml": pipeline("two", "one")})
    eventually(lambda: len([one for one in list(node.said) if one["kind"] == "installed"]) == 2, "the swap")
    node.still_works("/one", "two.ndjson")
    node.still_works("/two", "one.ndjson")


def test_addresses_pass_from_one_to_another_without_a_refused_request(
    start_node: StartNode, background: Background
) -> None:
    files = {"a.yaml": pipeline("one", "x"), "b.yaml": pipeline("two", "y"), "c.yaml": pipeline("name-0", "z")}
    node = start_node(files)
    loads: list[Load] = []
    with under_load(node.url("/x"), clients=1) as x, under_load(node.url("/z"), clients=1) as z:
        loads += [x, z]
        for turn in range(1, 13):
            paths = ("x", "y") if turn % 2 == 0 else ("y", "x")
            name = f"name-{turn}"
            changed(
                node,
                {
                    "a.yaml": pipeline("one", paths[0]),
                    "b.yaml": pipeline("two", paths[1]),
                    "c.yaml": pipeline(name, "z"),
                },
            )
            node.hears("removed", pipeline=f"name-{turn - 1}")
            for load in loads:
                load.wait_for(5)
        accepted = [load.stop() for load in loads]
    assert [load.refused for load in loads] == [[], []]
    eventually(lambda: node.numbers("one.ndjson") | node.numbers("two.ndjson") >= accepted[0], "all of /x")
    names = [f"name-{turn}.ndjson" for turn in range(13)]

    def accounted() -> bool:
        """What was accepted under a name that is gone waits for it."""
        delivered = set[int]().union(*map(node.numbers, names))
        return len(delivered & accepted[1]) + background(waiting(node.endpoint(), "*.acme.name-*")) == len(accepted[1])

    eventually(accounted, "all of /z, delivered or waiting")


STREAM = """\
customer: acme
pipeline: read
in: {{nats: {{subject: {subject}, mode: jetstream, stream: ORDERS, durable: reader}}}}
steps:
  - set: {{by: "'{subject}'"}}
out: {{file: {{path: read.ndjson}}}}
limits: {{backlog: 10000{more}}}
"""


def test_what_is_refused_leaves_the_consumer_of_the_earlier_revision_alone(
    start_node: StartNode, background: Background
) -> None:
    node = start_node({"quick.yaml": pipeline("quick")})
    node.hears("ready")
    background(make(node.endpoint(), "ORDERS", "orders.>"))
    changed(node, {"read.yaml": STREAM.format(subject="orders.first", more="")})
    node.hears("installed", pipeline="read")
    changed(node, {"read.yaml": STREAM.format(subject="orders.second", more=HUGE)})
    node.hears("not-served", goes_on={"customer": "acme", "pipeline": "read"})
    for subject in ("orders.second", "orders.first"):
        background(put(node.endpoint(), subject, json.dumps({"n": a_number(), "on": subject})))
    eventually(lambda: node.lines("read.ndjson"), "what comes on the first subject")
    assert [(line["on"], line["by"]) for line in node.lines("read.ndjson")] == [("orders.first", "orders.first")]


def test_a_chain_that_moves_on_by_one_address_is_one_step(start_node: StartNode) -> None:
    names = [f"p{number}" for number in range(20)]
    node = start_node({f"{name}.yaml": pipeline(name) for name in names})
    node.hears("ready")
    moved = dict(zip(names, [*names[1:], "free"], strict=True))
    changed(node, {f"{name}.yaml": pipeline(name, path) for name, path in moved.items()})
    eventually(lambda: status(node, "/free") == 202, "the free address")
    assert status(node, "/p0") == 404
    node.still_works("/p1", "p0.ndjson")
    assert not [one for one in list(node.said) if one["kind"] == "not-served"]
