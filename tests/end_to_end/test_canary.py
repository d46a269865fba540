"""A canary beside the active revision: its share, its end by hand and by its rate, and the end of every message."""

from __future__ import annotations

import json
import math
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.cli.exit_codes import ENVIRONMENT, OK

from ..conftest import clean_environment, command, post
from ..siphash import is_chosen
from .conftest import write_pipelines
from .node import PATIENCE, Node, eventually
from .test_configured import Deploy, Deployment, deploy, states

__all__ = ["deploy"]

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - filter: n >= 0
  - script: {language: js, code: "export default (msg, ctx) => ({...msg, seen: true, id: ctx.id})"}
  - set: {version: 1}
out: {file: {path: orders.ndjson}}
limits: {backlog: 10000}
"""
NEXT = ORDERS.replace("version: 1", "version: 2")
FAILING = ORDERS.replace("({...msg, seen: true", "({...msg, seen: msg.nothing.at.all")
QUARTER = 250_000


def canary(deployment: Deployment, text: str, *arguments: str, exits: int = 0, share: str = "25%") -> dict[str, Any]:
    return deployment.applies({"orders.yaml": text}, "--canary", share, *arguments, exits=exits)


def posted(node: Node, numbers: range) -> dict[int, str]:
    """The ids of these messages, each accepted. An id is made of the key and the body."""

    def send(number: int) -> str:
        headers = {"Idempotency-Key": f"key-{number}"}
        status, answer = post(node.url("/orders"), b'{"n": %d}' % number, "application/json", **headers)
        assert status == 202, answer
        return str(answer["id"])

    with ThreadPoolExecutor(8) as clients:
        return dict(zip(numbers, clients.map(send, numbers), strict=True))


def lines(folder: Path) -> list[dict[str, Any]]:
    places = folder.glob("node-*/files/acme/orders.ndjson")
    whole = (line for file in places for line in file.read_bytes().split(b"\n")[:-1])
    return [one for one in map(json.loads, whole) if "version" in one]


def versions(folder: Path) -> dict[int, set[int]]:
    """By which versions each message was delivered."""
    found: dict[int, set[int]] = defaultdict(set)
    for one in lines(folder):
        found[one["n"]].add(one["version"])
    return found


def delivered(folder: Path, ids: dict[int, str]) -> dict[int, set[int]]:
    eventually(lambda: ids.keys() <= versions(folder).keys(), "every message is delivered")
    return versions(folder)


def shown(deployment: Deployment) -> dict[str, Any]:
    done = deployment.vrsky("status", "--json")
    assert done.returncode in (OK, ENVIRONMENT), done.stdout + done.stderr
    (row,) = json.loads(done.stdout)["pipelines"]
    return row  # type: ignore[no-any-return]


def letters(deployment: Deployment) -> list[dict[str, Any]]:
    done = deployment.vrsky("dlq", "ls", "--limit", "10000", "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def runs(deployment: Deployment) -> dict[str, dict[str, int]]:
    return shown(deployment)["canary_runs"]  # type: ignore[no-any-return]


Started = Callable[..., Deployment]
Watching = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def watching() -> Iterator[Watching]:
    """Starts the command that watches the canary."""
    with ExitStack() as started:

        def start(deployment: Deployment, *arguments: str) -> subprocess.Popen[str]:
            write_pipelines(deployment.folder, {"orders.yaml": FAILING})
            process = subprocess.Popen(
                command("apply", "pipelines", "--yes", "--canary", "25%", "--json", *arguments),
                cwd=deployment.folder,
                stdout=subprocess.PIPE,
                text=True,
                env=clean_environment() | {"VRSKY_NATS": deployment.url()},
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


@pytest.fixture
def started(deploy: Deploy) -> Started:
    def start(*arguments: str) -> Deployment:
        deployment = deploy()
        deployment.node(*arguments)
        deployment.applies({"orders.yaml": ORDERS})
        return deployment

    return start


def test_a_canary_runs_its_share_of_2000_messages_chosen_by_their_ids(started: Started) -> None:
    deployment = started()
    report = canary(deployment, NEXT)
    assert [one["change"] for one in report["changes"]] == ["canary"]
    assert states(report) == ["applied"]
    ids = posted(deployment.nodes[0], range(2_400))
    found = delivered(deployment.folder, ids)
    assert {number: {2 if is_chosen("orders", one, QUARTER) else 1} for number, one in ids.items()} == found
    chosen = sum(one == {2} for one in found.values())
    # Five standard deviations of a fair choice.
    assert abs(chosen - 600) < 5 * math.sqrt(2_400 * 0.25 * 0.75)
    figures = {"canary": {"messages": chosen, "failed": 0}, "active": {"messages": 2_400 - chosen, "failed": 0}}
    eventually(lambda: runs(deployment) == figures, "the figures in status")
    row = shown(deployment)
    assert (row["canary"]["share"], row["canary"]["revision"]) == (0.25, report["changes"][0]["canary"]["revision"])
    said = deployment.vrsky("status").stdout
    assert f"25 % of the messages  orders.yaml\n    0 of {chosen} failed" in said


@pytest.mark.parametrize("topology", ["fused", "split"])
def test_what_a_killed_node_had_in_hand_meets_the_same_revision_on_another(deploy: Deploy, topology: str) -> None:
    deployment = deploy()
    types = ("incoming,outgoing", "logic") if topology == "fused" else ("incoming,outgoing", "filter,converter")
    split = ("--topology", topology)

    def node(of: str) -> Node:
        return deployment.node(*(part for one in of.split(",") for part in ("--type", one)), *split)

    front, back = (node(one) for one in types)
    deployment.applies({"orders.yaml": ORDERS})
    canary(deployment, NEXT)
    ids: dict[int, str] = {}
    for turn in range(3):
        ids |= posted(front, range(400 * turn, 400 * turn + 400))
        back.kill()
        ids |= posted(front, range(10_000 + 50 * turn, 10_000 + 50 * turn + 50))
        back = node(types[1])
    found = delivered(deployment.folder, ids)
    assert {number: {2 if is_chosen("orders", one, QUARTER) else 1} for number, one in ids.items()} == found


def test_a_canary_that_fails_is_rolled_back_and_its_dead_letters_meet_the_active_revision(
    started: Started, watching: Watching
) -> None:
    deployment = started()
    watch = watching(deployment, "--abort-above", "2%", "--over", "40")
    eventually(lambda: shown(deployment)["canary"], "the canary is there")
    eventually(lambda: "canary_runs" in shown(deployment) and shown(deployment)["nodes"]["applied"], "it runs")
    ids = posted(deployment.nodes[0], range(400))
    told, _ = watch.communicate(timeout=PATIENCE)
    assert watch.returncode == 1
    (decided,) = json.loads(told)["canaries"]
    assert decided["decision"] == "aborted"
    assert decided["runs"]["canary"]["failed"] == decided["runs"]["canary"]["messages"] >= 40
    assert decided["runs"]["active"]["failed"] == 0
    row = shown(deployment)
    assert (row["canary"], row["nodes"]["applied"]) == (None, 1)
    assert "aborted" in deployment.says("history", "acme/orders")["revisions"][0]["note"]
    chosen = {number for number, one in ids.items() if is_chosen("orders", one, QUARTER)}

    def counted() -> bool:
        return len(ids) - len(versions(deployment.folder)) == len(letters(deployment))

    eventually(counted, "each is delivered or dead")
    assert ids.keys() - versions(deployment.folder).keys() <= chosen
    redriven = deployment.vrsky("dlq", "redrive", "--all", "--yes", "--rate", "10000")
    assert redriven.returncode == 0, redriven.stdout + redriven.stderr
    assert set().union(*delivered(deployment.folder, ids).values()) == {1}
    assert all(one["id"] == ids[one["n"]] for one in lines(deployment.folder))


def test_a_promotion_under_load_accounts_for_every_message(started: Started) -> None:
    deployment = started()
    node = deployment.nodes[0]
    canary(deployment, NEXT)
    with ThreadPoolExecutor(1) as background:
        load = background.submit(posted, node, range(1_500))
        eventually(lambda: len(versions(deployment.folder)) > 300, "the load flows")
        promoted = deployment.says("promote", "acme/orders", "--yes")
        ids = load.result()
    assert states(promoted) == ["applied"]
    found = delivered(deployment.folder, ids)
    assert all(len(one) == 1 for one in found.values())
    assert len(lines(deployment.folder)) == len(ids), "none comes twice"
    chosen = [found[number] for number, one in ids.items() if is_chosen("orders", one, QUARTER)]
    assert set().union(*chosen) == {2}
    assert set().union(*delivered(deployment.folder, posted(node, range(5_000, 5_050))).values()) == {1, 2}
    assert {one for number in range(5_000, 5_050) for one in versions(deployment.folder)[number]} == {2}
    assert shown(deployment)["revision"] == promoted["revision"]
    assert letters(deployment) == []


def test_a_canary_that_stays_below_is_promoted_by_the_command_that_watches_it(
    started: Started,
) -> None:
    deployment = started()
    decisions = ("--abort-above", "2%", "--over", "20", "--promote-after")
    report = canary(deployment, NEXT, *decisions, "1s", exits=3)
    assert [one["decision"] for one in report["canaries"]] == ["undecided"]
    assert shown(deployment)["canary"]["rule"] == {"abort_above": 20_000, "over": 20, "promote_after": 1}
    posted(deployment.nodes[0], range(400))
    eventually(lambda: runs(deployment)["canary"]["messages"] > 20, "it has run enough")
    report = canary(deployment, NEXT, *decisions, "1s")
    assert [one["change"] for one in report["changes"]] == ["unchanged"]
    assert [one["decision"] for one in report["canaries"]] == ["promoted"]
    row = shown(deployment)
    assert (row["canary"], row["revision"]) == (None, report["canaries"][0]["canary"])


def test_what_a_canary_may_not_change_is_refused_with_its_place(started: Started) -> None:
    deployment = started()
    for text, line, field in (
        (NEXT.replace("path: /orders,", "path: /others,"), 3, "in.http.path"),
        (NEXT.replace("orders.ndjson", "others.ndjson"), 8, "out.file.path"),
        (NEXT.replace("backlog: 10000", "backlog: 500"), 9, "limits.backlog"),
    ):
        (problem,) = canary(deployment, text, exits=1)["problems"]
        assert (problem["code"], problem["file"].endswith("orders.yaml"), problem["line"]) == (
            "config/canary",
            True,
            line,
        )
        assert f"`{field}`" in problem["reason"]
    (problem,) = canary(deployment, NEXT.replace("pipeline: orders", "pipeline: new"), exits=1)["problems"]
    assert (problem["code"], problem["line"]) == ("config/canary", 2)
    assert shown(deployment)["canary"] is None


def test_a_canary_decides_before_the_pipeline_changes_otherwise(started: Started) -> None:
    deployment = started()
    canary(deployment, NEXT)
    report = deployment.applies({"orders.yaml": NEXT.replace("version: 2", "version: 3")}, exits=1)
    assert report["changes"][0]["problem"]["code"] == "config/canary"
    report = deployment.applies({"orders.yaml": ORDERS})
    assert [one["change"] for one in report["changes"]] == ["unchanged"]
    assert shown(deployment)["canary"] is not None
    back = deployment.says("rollback", "acme/orders", "--yes")
    assert back["revision"] == back["previous"]
    assert shown(deployment)["canary"] is None
    again = deployment.says("promote", "acme/orders", "--yes", exits=1)
    assert again["problems"][0]["code"] == "config/canary"


def test_of_two_commands_at_once_one_decides(started: Started) -> None:
    deployment = started()
    canary(deployment, NEXT)
    commands = (["promote", "acme/orders"], ["rollback", "acme/orders"])
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda one: deployment.vrsky(*one, "--yes", "--json"), commands))
    codes = sorted(one.returncode for one in done)
    # The one that comes after the other has ended finds no canary, or is told who was quicker.
    assert codes in ([0, 1], [0, 0]), [one.stdout + one.stderr for one in done]
    if codes == [0, 1]:
        (lost,) = (json.loads(one.stdout) for one in done if one.returncode == 1)
        assert lost["problems"][0]["code"] in {"config/changed-meanwhile", "config/canary"}
    assert shown(deployment)["canary"] is None


def test_a_watch_ends_when_somebody_else_decides(started: Started, watching: Watching) -> None:
    deployment = started()
    watch = watching(deployment, "--abort-above", "2%")
    eventually(lambda: shown(deployment)["canary"], "the canary is there")
    deployment.says("rollback", "acme/orders", "--yes", "--note", "by hand")
    told, _ = watch.communicate(timeout=PATIENCE)
    assert watch.returncode == 1
    assert json.loads(told)["canaries"][0]["decision"] == "changed meanwhile"


def test_a_watch_that_is_killed_leaves_the_canary_as_it_is(started: Started, watching: Watching) -> None:
    deployment = started()
    watch = watching(deployment, "--abort-above", "2%", "--over", "10")
    eventually(lambda: shown(deployment)["canary"] and shown(deployment)["nodes"]["applied"], "the canary runs")
    watch.kill()
    watch.communicate()
    ids = posted(deployment.nodes[0], range(100))
    chosen = sum(is_chosen("orders", one, QUARTER) for one in ids.values())
    eventually(
        lambda: runs(deployment)["canary"] == {"messages": chosen, "failed": chosen}, "status shows how it fails"
    )
    # The same command goes on where that one was killed.
    (decided,) = canary(deployment, FAILING, "--abort-above", "2%", "--over", "10", exits=1)["canaries"]
    assert decided["decision"] == "aborted"
    assert shown(deployment)["canary"] is None
