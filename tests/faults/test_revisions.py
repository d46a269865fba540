"""Two revisions of one pipeline, each on nodes of its own, while messages flow."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from ..conftest import Background
from ..end_to_end.conftest import write_pipelines
from ..end_to_end.load import under_load
from ..end_to_end.node import Node, eventually
from ..end_to_end.servers import serving
from .servers import Servers

# Two steps say which revision ran them: a mixture would show.
PIPELINE = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - set: {a: REVISION}
  - script: {language: js, code: "export default (msg) => { msg.b = REVISION; return msg; }"}
out: {http: {url: 'SINK/acme'}}
limits: {backlog: 10000}
"""


def test_each_message_is_run_by_one_of_two_revisions_and_never_by_a_mixture(
    tmp_path: Path, background: Background
) -> None:
    with Servers(tmp_path / "servers", background, 1) as servers, serving() as sink:
        nodes: list[Node] = []

        def text_of(revision: int) -> str:
            return PIPELINE.replace("REVISION", str(revision)).replace("SINK", sink.url)

        def start(revision: int, node_type: str) -> Node:
            folder = tmp_path / f"{node_type}-{len(nodes)}"
            write_pipelines(folder, {"orders.yaml": text_of(revision)})
            nodes.append(Node(folder, "--type", node_type, "--nats", servers.url))
            nodes[-1].hears("ready")
            return nodes[-1]

        incoming = start(1, "incoming")
        for revision in (1, 2):
            start(revision, "logic")
            start(revision, "outgoing")
        try:
            with under_load(incoming.url("/orders")) as load:
                load.wait_for(300)
                # The one that accepts is changed, too.
                write_pipelines(incoming.folder, {"orders.yaml": text_of(2)})
                incoming.hears("installed")
                load.wait_for(300)
                accepted = load.stop()
            eventually(lambda: accepted <= {json.loads(one.body)["n"] for one in list(sink.taken)}, "all", 120)
        finally:
            for node in nodes:
                node.close()
        came = [json.loads(one.body) for one in sink.taken]
    assert Counter((one["a"], one["b"]) for one in came).keys() == {(1, 1), (2, 2)}
    assert max(Counter(one["n"] for one in came).values()) == 1, "a message came twice"
