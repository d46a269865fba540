"""Scripts in processes of their customers: the same results, and what cannot be stopped from within is killed."""

from __future__ import annotations

from pathlib import Path

from ..conftest import post
from .conftest import StartNode
from .node import Node, a_number, eventually

IN_PROCESS = ("--isolation", "none")
HOSTILE = """\
customer: evil
pipeline: endless
in: {http: {path: /endless}}
steps:
  - script: {code: "export default msg => msg.ok ? msg : Array.prototype.reverse.call({length: 2 ** 53 - 1})"}
out: {file: {path: endless.ndjson}}
"""
LANGUAGE = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - script:
      code: |
        export default async (msg, ctx) => {
          console.warn("order", msg);
          if (msg.n === 0) await new Promise(() => {});
          const url = new URL("https://shop.example/?q=1");
          url.searchParams.set("n", await msg.n);
          const copy = structuredClone(msg);
          const signature = crypto.hmac("SHA-256", "key", JSON.stringify(copy), "base64url");
          return { ...msg, url, signature, id: [ctx.uuid(), crypto.randomUUID()], text: atob(btoa("x")) };
        }
out: {file: {path: orders.ndjson}}
"""
GOOD = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - filter: n > 0
  - script:
      code: |
        export default (msg, ctx) => [0, 1].map(part => ({
          ...msg, part, id: ctx.id.length, random: Math.random(), rate: ctx.lookup("rates", "eur")}))
  - set: {twice: n * 2}
tables:
  rates: {file: rates.csv, key: code, numbers: [rate]}
out: {file: {path: orders.ndjson}}
"""


def children(pid: int) -> set[int]:
    """All processes below this one that live."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    news = {pid}
    while news:
        news = {one for one, parent in parents.items() if parent in news} - found
        found |= news
    return found


def posted(node: Node, path: str, body: bytes) -> str:
    status, answer = post(node.url(path), body, "application/json", **{"Idempotency-Key": f"key-{body.hex()}"})
    assert status == 202, answer
    return str(answer["id"])


def test_a_script_that_no_engine_can_stop_costs_its_own_message_and_nobody_elses(start_node: StartNode) -> None:
    files = {"endless.yaml": HOSTILE, "orders.yaml": HOSTILE.replace("evil", "acme").replace("endless", "orders")}
    node = start_node(files)
    evil = node.url("/orders").replace("/acme/", "/evil/").replace("/orders", "/endless")
    status, answer = post(evil, b'{"ok": false}', "application/json")
    assert status == 202, answer
    numbers = {a_number() for _ in range(200)}
    for number in numbers:
        posted(node, "/orders", b'{"ok": true, "n": %d}' % number)
    node.delivers_all("orders.ndjson", numbers)
    assert node.hears("dead", id=answer["id"])["code"] == "script/killed"
    assert node.stop() == 0


def test_scripts_give_the_same_in_either_place(start_node: StartNode, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir(exist_ok=True)
    (tmp_path / "pipelines" / "rates.csv").write_text("code,rate\neur,1.5\n")
    results = {}
    for name, arguments in {"threads": IN_PROCESS, "processes": ()}.items():
        node = start_node({"orders.yaml": GOOD}, *arguments, data=tmp_path / name)
        ids = [posted(node, "/orders", b'{"n": %d, "text": "\\u00e9"}' % number) for number in range(1, 101)]
        eventually(lambda of=node: len(of.lines("orders.ndjson")) == 200, "all parts")
        results[name] = ids, sorted(node.lines("orders.ndjson"), key=lambda one: (one["n"], one["part"]))
        assert node.stop() == 0
    assert results["threads"] == results["processes"]


def test_no_worker_outlives_its_node(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": HOSTILE.replace("evil", "acme").replace("endless", "orders")})
    number = a_number()
    posted(node, "/orders", b'{"ok": true, "n": %d}' % number)
    node.delivers_all("orders.ndjson", {number})
    server = {one for one in children(node.process.pid) if "nats-server" in Path(f"/proc/{one}/cmdline").read_text()}
    workers = children(node.process.pid) - server
    assert len(workers) > 1, "a zygote, and a worker"
    node.kill()
    eventually(lambda: not any(Path(f"/proc/{one}").exists() for one in workers), "they are gone")


def test_a_node_without_scripts_has_no_processes_for_them(start_node: StartNode, tmp_path: Path) -> None:
    plain = "customer: acme\npipeline: plain\nin: {http: {path: /plain}}\nout: {file: {path: plain.ndjson}}\n"
    node = start_node({"plain.yaml": plain})
    node.still_works("/plain", "plain.ndjson")
    names = [Path(f"/proc/{one}/comm").read_text().strip() for one in children(node.process.pid)]
    assert names == ["nats-server"]
    scripted = HOSTILE.replace("evil", "acme").replace("endless", "orders")
    (tmp_path / "pipelines" / "orders.yaml").write_text(scripted)
    number = a_number()
    node.hears("installed", pipeline="orders")
    posted(node, "/orders", b'{"ok": true, "n": %d}' % number)
    node.delivers_all("orders.ndjson", {number})
    assert len(children(node.process.pid)) > 1


def test_async_scripts_and_what_they_say_are_the_same_in_either_place(start_node: StartNode, tmp_path: Path) -> None:
    results = {}
    for name, arguments in {"threads": IN_PROCESS, "processes": ()}.items():
        node = start_node({"orders.yaml": LANGUAGE}, *arguments, data=tmp_path / name)
        never = posted(node, "/orders", b'{"n": 0}')
        said = node.hears("console", id=never)
        ids = [posted(node, "/orders", b'{"n": %d}' % number) for number in range(1, 11)]
        eventually(lambda of=node: len(of.lines("orders.ndjson")) == 10, "all orders")
        assert node.hears("dead", id=never)["code"] == "script/never-settles"
        results[name] = ids, sorted(node.lines("orders.ndjson"), key=lambda one: one["n"]), said["why"]
        assert node.stop() == 0
    assert results["threads"] == results["processes"]
    _, orders, why = results["threads"]
    assert why == "warn: order {n: 0} (script 0:2)", why
    assert len({one for order in orders for one in order["id"]}) == 20
    assert orders[0]["url"] == "https://shop.example/?q=1&n=1"
