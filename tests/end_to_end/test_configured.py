"""Nodes that are configured by the bucket: two of them on one server, and the commands that tell them what to run."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control.buckets import PIPELINES, put
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.subjects import ask

from ..certificates import Listening
from ..clusters import free_ports
from ..conftest import clean_environment, command
from .clock import Clock
from .conftest import write_pipelines
from .node import PATIENCE, Node, a_number, eventually

ORDERS = """\
customer: acme
pipeline: orders
in:
  http: {path: /orders, content_types: [json]}
steps:
  - set: {version: 1}
out:
  file: {path: orders.ndjson}
tests:
  - name: it has a version
    in: {json: {n: 1}}
    out: {default: {json_contains: {n: 1}}}
"""
BROKEN_HERE = ORDERS.replace("version: 1}", "version: 2}").replace(
    "file: {path: orders.ndjson}", "http: {url: https://erp.example/, auth: {bearer: {secret: nowhere}}}"
)


class Deployment:
    """A server and nodes of `vrsky node`, each with a data folder of its own."""

    def __init__(self, folder: Path, config: str = "", user: str = "") -> None:
        self.folder = folder
        self._config, self._user = config, user
        (self.port,) = free_ports(1)
        self._stack = ExitStack()
        self._server: Listening | None = None
        self.nodes: list[Node] = []
        self.start_server()

    def url(self, user: str | None = None) -> str:
        who = self._user if user is None else user
        return f"nats://{f'{who}@' if who else ''}127.0.0.1:{self.port}"

    def start_server(self) -> None:
        self._server = Listening(self.folder / "server", self._config, self.port)
        self._server.__enter__()

    def stop_server(self) -> None:
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None

    def node(self, *arguments: str, name: str | None = None, environment: dict[str, str] | None = None) -> Node:
        data = self.folder / (name or f"node-{len(self.nodes)}")
        node = Node(self.folder, *arguments, data=data, environment=environment, verb=["node", "--nats", self.url()])
        self.nodes.append(node)
        node.hears("ready")
        return node

    def vrsky(self, *arguments: str | Path, user: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=clean_environment() | {"VRSKY_NATS": self.url(user)},
        )

    def says(self, *arguments: str | Path, exits: int = 0) -> dict[str, Any]:
        """What a command reports with --json."""
        done = self.vrsky(*arguments, "--json")
        assert done.returncode == exits, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def applies(self, files: dict[str, str], *arguments: str, exits: int = 0) -> dict[str, Any]:
        shutil.rmtree(self.folder / "pipelines", ignore_errors=True)
        write_pipelines(self.folder, files)
        return self.says("apply", "pipelines", "--yes", *arguments, exits=exits)

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        self.stop_server()


Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Deploy]:
    made: list[Deployment] = []

    def make(config: str = "", user: str = "") -> Deployment:
        made.append(Deployment(tmp_path, config, user))
        return made[-1]

    yield make
    for one in made:
        one.close()


def version_of(node: Node, customer: str = "acme") -> Any:
    """By which version of the pipeline a message that is sent now is delivered, by whichever node."""
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)

    def delivered() -> list[dict[str, Any]]:
        places = [node.folder / f"node-{at}" / "files" / customer / "orders.ndjson" for at in range(4)]
        lines = [line for file in places if file.exists() for line in file.read_text().splitlines()]
        return [one for one in map(json.loads, lines) if one["n"] == number]

    return eventually(delivered, "the message")[0]["version"]


def states(report: dict[str, Any]) -> list[str]:
    return [one["state"] for one in report["nodes"]]


def test_apply_waits_until_both_nodes_serve_it(deploy: Deploy) -> None:
    deployment = deploy()
    one, other = deployment.node(), deployment.node()
    report = deployment.applies({"acme/orders.yaml": ORDERS})
    assert [(each["change"], each["file"]) for each in report["changes"]] == [("added", "acme/orders.yaml")]
    assert states(report) == ["applied", "applied"]
    assert [version_of(node) for node in (one, other)] == [1, 1]
    report = deployment.applies({"acme/orders.yaml": ORDERS.replace("version: 1", "version: 2")})
    assert states(report) == ["applied", "applied"]
    assert "+  - set: {version: 2}" in report["changes"][0]["diff"]
    assert [version_of(node) for node in (one, other)] == [2, 2]
    again = deployment.applies({"acme/orders.yaml": ORDERS.replace("version: 1", "version: 2")})
    assert [each["change"] for each in again["changes"]] == ["unchanged"]
    assert states(again) == ["applied", "applied"]


def test_a_refused_revision_leaves_the_one_before_running_and_rollback_puts_it_back(deploy: Deploy) -> None:
    deployment = deploy()
    node, other = deployment.node(), deployment.node()
    first = deployment.applies({"orders.yaml": ORDERS})["changes"][0]["revision"]
    report = deployment.applies({"orders.yaml": BROKEN_HERE}, exits=1)
    assert states(report) == ["refused", "refused"]
    refusal = report["nodes"][0]["refused"]["acme.orders"]
    assert (refusal["goes_on"], refusal["problems"][0]["code"]) == (True, "secret/not-found")
    assert (refusal["problems"][0]["file"], refusal["problems"][0]["line"]) == ("orders.yaml", 8)
    assert version_of(node) == 1
    shown = deployment.vrsky("status")
    assert shown.returncode == 1
    assert "runs on 0 of 2 nodes" in shown.stdout
    assert "secret/not-found" in shown.stdout
    back = deployment.says("rollback", "acme/orders", "--yes")
    assert back["revision"] == first
    assert states(back) == ["applied", "applied"]
    assert version_of(other) == 1
    history = deployment.says("history", "acme/orders")["revisions"]
    assert [each["revision"] for each in history] == [first, report["changes"][0]["revision"], first]
    assert "rollback to" in history[0]["note"]


def test_a_deleted_pipeline_runs_nowhere_and_can_be_put_back(deploy: Deploy) -> None:
    deployment = deploy()
    node = deployment.node()
    deployment.applies({"orders.yaml": ORDERS})
    assert version_of(node) == 1
    report = deployment.says("delete", "acme/orders", "--yes", "--note", "moved")
    assert states(report) == ["applied"]
    assert node.refuses("/orders", b"{}")["status"] == 404
    assert deployment.says("status")["pipelines"] == []
    again = deployment.says("delete", "acme/orders", "--yes", exits=1)
    assert again["problems"][0]["code"] == "config/unknown-pipeline"
    assert states(deployment.says("rollback", "acme/orders", "--yes")) == ["applied"]
    assert version_of(node) == 1
    assert [one["deleted"] for one in deployment.says("history", "acme/orders")["revisions"]] == [False, True, False]


def test_a_node_that_starts_again_serves_what_the_bucket_says(deploy: Deploy) -> None:
    deployment = deploy()
    node = deployment.node(name="node-0")
    deployment.applies({"orders.yaml": ORDERS})
    assert node.stop() == 0
    report = deployment.says("status")
    assert (report["nodes"], report["pipelines"][0]["nodes"]["applied"]) == ([], 0)
    deployment.applies({"orders.yaml": ORDERS.replace("version: 1", "version: 2")})
    node = deployment.node(name="node-0")
    assert version_of(node) == 2
    assert deployment.says("status")["pipelines"][0]["nodes"]["applied"] == 1


def test_nodes_outlive_their_server_and_take_up_what_changes_after(deploy: Deploy) -> None:
    deployment = deploy()
    node, _ = deployment.node(), deployment.node()
    deployment.applies({"orders.yaml": ORDERS})
    deployment.stop_server()
    eventually(lambda: any("cannot be watched" in str(one) for one in node.said), "it says that the bucket is away")
    deployment.start_server()
    eventually(lambda: len(deployment.says("status")["nodes"]) == 2, "both nodes are back")
    report = deployment.applies({"orders.yaml": ORDERS.replace("version: 1", "version: 3")}, "--wait", "50")
    assert states(report) == ["applied", "applied"]
    assert version_of(node) == 3


def test_apply_right_after_a_restart_of_the_server_waits_for_the_nodes_that_are_not_back(deploy: Deploy) -> None:
    deployment = deploy()
    deployment.node("incoming")
    deployment.node("logic", "outgoing")
    deployment.applies({"orders.yaml": ORDERS})
    names = {one["node"] for one in deployment.says("status")["nodes"]}
    for version in (2, 3):
        deployment.stop_server()
        deployment.start_server()
        report = deployment.applies({"orders.yaml": ORDERS.replace("version: 1", f"version: {version}")})
        assert {one["node"]: one["state"] for one in report["nodes"]} == dict.fromkeys(names, "applied")


def test_an_apply_that_writes_nothing_does_not_speak_of_nodes(deploy: Deploy) -> None:
    deployment = deploy()
    deployment.node()
    deployment.applies({"orders.yaml": ORDERS})
    done = deployment.vrsky("apply", "pipelines", "--yes")
    assert done.returncode == 0, done.stderr
    assert "no node answers" not in done.stdout + done.stderr


def test_the_user_of_the_server_is_who_applied_it(deploy: Deploy) -> None:
    users = 'authorization { users = [{user: nodes, password: "n"}, {user: ann, password: "a"}] }'
    deployment = deploy(users, "nodes:n")
    deployment.node()
    write_pipelines(deployment.folder, {"orders.yaml": ORDERS})
    done = deployment.vrsky("apply", "pipelines", "--yes", "--note", "because", user="ann:a")
    assert done.returncode == 0, done.stderr
    (revision,) = deployment.says("history", "acme/orders")["revisions"]
    assert revision["user"] == "ann"
    assert revision["note"].startswith("because (")
    refused = deployment.vrsky("status", user="eve:e")
    assert refused.returncode == 3
    assert "nats/authorization" in refused.stderr


def test_a_permission_that_is_missing_is_named(deploy: Deploy) -> None:
    reads = '{publish: ["$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.CREATE.*"], subscribe: "_INBOX.>"}'
    users = (
        'authorization { users = [{user: nodes, password: "n"},'
        f' {{user: reader, password: "r", permissions: {reads}}}] }}'
    )
    deployment = deploy(users, "nodes:n")
    deployment.node()
    deployment.applies({"orders.yaml": ORDERS})
    assert deployment.vrsky("status", user="reader:r").returncode == 0
    write_pipelines(deployment.folder, {"orders.yaml": ORDERS.replace("version: 1", "version: 2")})
    done = deployment.vrsky("apply", "pipelines", "--yes", user="reader:r")
    assert done.returncode == 3
    assert "nats/authorization" in done.stderr
    assert "$kv.vrsky_pipelines.acme.orders" in done.stderr.lower()


def test_what_is_not_in_the_folder_stays_unless_it_is_pruned(deploy: Deploy) -> None:
    deployment = deploy()
    bulk = ORDERS.replace("pipeline: orders", "pipeline: bulk").replace("/orders", "/bulk")
    zeta = ORDERS.replace("acme", "zeta")
    deployment.applies({"orders.yaml": ORDERS, "bulk.yaml": bulk, "zeta.yaml": zeta})
    only = {"orders.yaml": ORDERS}
    assert [one["change"] for one in deployment.applies(only)["changes"]] == ["unchanged"]
    assert deployment.says("diff", "pipelines")["ok"]
    assert not deployment.says("diff", "pipelines", "--prune", exits=1)["ok"]
    changes = deployment.applies(only, "--prune")["changes"]
    assert [(one["pipeline"], one["change"]) for one in changes] == [("orders", "unchanged"), ("bulk", "removed")]
    left = [(one["customer"], one["pipeline"]) for one in deployment.says("status")["pipelines"]]
    assert left == [("acme", "orders"), ("zeta", "orders")]


def test_nothing_is_written_unless_files_and_their_tests_are_right(deploy: Deploy) -> None:
    deployment = deploy()
    wrong = deployment.applies({"a.yaml": ORDERS, "b.yaml": "customer: acme\n"}, exits=1)
    assert wrong["problems"][0]["code"] == "config/missing-key"
    failing = ORDERS.replace("json_contains: {n: 1}", "json_contains: {n: 2}")
    failed = deployment.applies({"a.yaml": failing}, exits=1)
    assert failed["problems"][0]["code"] == "config/test-failed"
    asked = deployment.applies({"a.yaml": ORDERS}, "--dry-run")
    assert asked["dry_run"]
    assert deployment.vrsky("apply", "pipelines").returncode == 2
    found = deployment.says("status")
    assert (found["pipelines"], found["nodes"]) == ([], [])


def test_no_secret_enters_the_bucket_or_a_record(deploy: Deploy) -> None:
    deployment = deploy()
    secret = "s3cr3t-of-the-erp"
    deployment.node(environment={"VRSKY_SECRET_ACME__NOWHERE": secret})
    deployment.applies({"orders.yaml": BROKEN_HERE})
    deployment.says("status")
    for file in (deployment.folder / "server").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    assert secret not in json.dumps(deployment.nodes[0].said)


def test_a_value_written_by_hand_is_refused_alone(deploy: Deploy) -> None:
    deployment = deploy()
    node = deployment.node()
    deployment.applies({"orders.yaml": ORDERS})
    values = {"acme.bad": b"a: pipeline", "acme.newer": b'{"format": 99, "vrsky": "9.0"}', "zeta": b"{}"}

    async def by_hand() -> None:
        async with connect(endpoint_of(deployment.url())) as client:
            for key, value in values.items():
                await put(client, PIPELINES, key, value, {}, None)

    asyncio.run(by_hand())
    said = [one["problems"][0]["code"] for one in (node.hears("not-served", file=key) for key in values)]
    assert said == ["config/not-a-pipeline", "config/unsupported-version", "config/not-a-pipeline"]
    assert version_of(node) == 1
    assert states(deployment.applies({"orders.yaml": ORDERS.replace("version: 1", "version: 2")})) == ["applied"]


def test_what_the_engine_refuses_of_many_is_left_out_alone(deploy: Deploy) -> None:
    """The engine takes many in one step, and one by one when it refuses something of them."""
    deployment = deploy("max_payload: 300000")
    node = deployment.node()
    more = ORDERS.replace("pipeline: orders", "pipeline: more").replace("/orders", "/more")
    files = {f"{number}.yaml": more.replace("more", f"p{number}") for number in "123"}
    files["2.yaml"] += "limits: {bytes: 400000}\n"
    report = deployment.applies({"orders.yaml": ORDERS + "limits: {bytes: 200000}\n", **files}, exits=1)
    assert states(report) == ["refused"]
    refused = report["nodes"][0]["refused"]
    assert "acme.p2" in refused
    assert "max_payload" in refused["acme.p2"]["problems"][0]["reason"]
    assert version_of(node) == 1


def test_a_bucket_that_is_lost_stops_no_node(deploy: Deploy) -> None:
    deployment = deploy()
    node = deployment.node()
    deployment.applies({"orders.yaml": ORDERS})

    async def lose() -> None:
        async with connect(endpoint_of(deployment.url())) as client:
            await ask(client, f"STREAM.DELETE.{PIPELINES.stream}", {}, "bucket")

    asyncio.run(lose())
    eventually(lambda: any("1 pipelines go on" in str(one) for one in node.said), "it says so")
    assert version_of(node) == 1
    report = deployment.applies({"orders.yaml": ORDERS.replace("version: 1", "version: 2")})
    assert states(report) == ["applied"]
    assert version_of(node) == 2


def test_clocks_an_hour_apart_change_nothing(deploy: Deploy, tmp_path: Path) -> None:
    deployment = deploy()
    clock = Clock(tmp_path)
    clock.jump(-1)
    late, right = deployment.node(environment=clock.environment), deployment.node()
    before = time.time()
    report = deployment.applies({"orders.yaml": ORDERS})
    assert states(report) == ["applied", "applied"]
    found = deployment.says("status")
    assert found["pipelines"][0]["time_ms"] / 1000 > before - 60
    assert max(one["silent_seconds"] for one in found["nodes"]) < 15
    assert [version_of(node) for node in (late, right)] == [1, 1]


def test_a_killed_node_is_missing_and_gone_later(deploy: Deploy) -> None:
    deployment = deploy()
    killed, _ = deployment.node(), deployment.node()
    killed.kill()
    report = deployment.applies({"orders.yaml": ORDERS}, exits=3)
    assert sorted(states(report)) == ["applied", "missing"]
    assert states(deployment.applies({"orders.yaml": ORDERS})) == ["applied"]
