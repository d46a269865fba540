"""`vrsky run` as a whole: what it refuses, a real server, a real listener, signals, and being killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vrsky_fast.control import server_config
from vrsky_fast.control.connection import connect
from vrsky_fast.control.process import Identity
from vrsky_fast.control.server import Server

from .conftest import MINIMAL, Background, Running, Vrsky, Write, clean_environment, command, post
from .end_to_end.node import eventually

Start = Callable[..., Running]


def order(total: int) -> bytes:
    return f"<order><total>{total}</total></order>".encode()


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def server_of(data: Path) -> Identity:
    recorded = server_config.recall(server_config.Layout(data))
    assert recorded is not None
    return recorded[0]


def test_an_order_comes_in_by_http_and_goes_out_to_a_file(start: Start, minimal: Path, tmp_path: Path) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    assert post(url, order(150))[0] == 202
    assert post(url, order(50))[0] == 202
    assert run.kind("filtered")["pipeline"] == "orders"
    written = tmp_path / ".vrsky" / "files" / "acme" / "orders.ndjson"
    assert run.stop() == 0
    assert lines(written) == [{"order": {"total": 150}}]
    run.kind("stopped")


def test_the_same_file_of_two_customers_is_two_files(start: Start, write: Write, tmp_path: Path) -> None:
    customers = ["acme", "acme-eu"]
    for customer in customers:
        write(f"pipelines/{customer}.yaml", MINIMAL.replace("customer: acme", f"customer: {customer}"))
    run = start(tmp_path / "pipelines")
    base = run.ready()
    for total, customer in enumerate(customers, 150):
        assert post(f"{base}/in/{customer}/orders", order(total))[0] == 202
        run.kind("delivered")
    assert run.stop() == 0
    for total, customer in enumerate(customers, 150):
        written = tmp_path / ".vrsky" / "files" / customer / "orders.ndjson"
        assert lines(written) == [{"order": {"total": total}}]


def test_a_path_that_is_absolute_is_refused_with_its_place_unless_the_operator_allows_it(
    start: Start, vrsky: Vrsky, write: Write, tmp_path: Path
) -> None:
    token = write("secrets/globex/token", "keep out\n")
    path = write("orders.yaml", MINIMAL.replace("path: orders.ndjson", f"path: {token}"))
    refused = vrsky("run", path, "--json")
    (problem,) = json.loads(refused.stdout)["problems"]
    assert (refused.returncode, problem["code"], problem["line"]) == (1, "file/outside", 9)
    assert "--files-anywhere" in problem["hint"]
    assert not (tmp_path / ".vrsky").exists()
    run = start(path, "--files-anywhere")
    assert post(run.ready() + "/in/acme/orders", order(150))[0] == 202
    run.kind("delivered")
    assert run.stop() == 0
    assert token.read_text() == 'keep out\n{"order":{"total":150}}\n'


def test_a_file_from_before_customers_had_folders_is_left_and_named(
    start: Start, minimal: Path, write: Write, tmp_path: Path
) -> None:
    before = write(".vrsky/files/orders.ndjson", "{}\n")
    run = start(minimal)
    now = before.parent / "acme" / "orders.ndjson"
    note = run.wait_for(lambda said: said["kind"] == "note" and str(before) in said["text"])
    assert note["text"] == f"acme/orders writes {now}; what it wrote before is in {before}"
    assert post(run.ready() + "/in/acme/orders", order(150))[0] == 202
    run.kind("delivered")
    assert run.stop() == 0
    assert (before.read_text(), lines(now)) == ("{}\n", [{"order": {"total": 150}}])


def test_a_second_run_on_the_same_folder_is_refused(start: Start, minimal: Path, vrsky: Vrsky) -> None:
    run = start(minimal)
    run.ready()
    second = vrsky("run", minimal, "--listen", "127.0.0.1:0")
    assert second.returncode == 4
    assert "config/data-folder-in-use" in second.stderr
    assert f"process {run.process.pid}" in second.stderr
    assert run.process.poll() is None
    assert run.stop() == 0


def test_an_address_that_is_taken_is_exit_code_3_with_a_hint(minimal: Path, vrsky: Vrsky) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = vrsky("run", minimal, "--listen", listen)
    assert refused.returncode == 3
    assert f"config/cannot-listen: another program listens on {listen}" in refused.stderr
    assert "IP:PORT with --listen" in refused.stderr


def test_after_kill_9_the_next_run_ends_the_orphan_and_loses_nothing(
    start: Start, write: Write, tmp_path: Path
) -> None:
    # Nothing listens where the orders go, so that they are still on their way when the run is killed.
    waiting = write("orders.yaml", MINIMAL.replace("file: {path: orders.ndjson}", "http: {url: 'http://127.0.0.1:1/'}"))
    first = start(waiting)
    url = first.ready() + "/in/acme/orders"
    for total in range(101, 121):
        assert post(url, order(total))[0] == 202
    orphan = server_of(tmp_path / ".vrsky")
    first.process.kill()
    first.process.wait(30)
    assert orphan.alive()
    write("orders.yaml", MINIMAL)
    second = start(waiting)
    second.ready()
    assert not orphan.alive()
    delivered = 0
    while delivered < 20:
        delivered += second.wait_for(lambda said: said["kind"] == "delivered")["step"] == "default"
    assert second.stop() == 0
    totals = {line["order"]["total"] for line in lines(tmp_path / ".vrsky" / "files" / "acme" / "orders.ndjson")}  # type: ignore[index,call-overload]
    assert totals == set(range(101, 121))


def test_after_a_clean_stop_no_server_is_left_and_no_password(start: Start, minimal: Path, tmp_path: Path) -> None:
    run = start(minimal)
    run.ready()
    server = server_of(tmp_path / ".vrsky")
    assert server.alive()
    assert run.stop() == 0
    assert not server.alive()
    left = {file.name for file in (tmp_path / ".vrsky" / "nats").iterdir()}
    assert left & {"server.conf", "server.json"} == set()


def test_the_run_goes_on_when_its_server_is_killed(start: Start, minimal: Path, tmp_path: Path) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    assert post(url, order(150))[0] == 202
    run.kind("delivered")
    os.kill(server_of(tmp_path / ".vrsky").pid, signal.SIGKILL)
    # Until the node is connected again it says so with 503 and Retry-After, which a client obeys.
    while (answer := post(url, order(160)))[0] == 503:
        assert answer[1]["code"].split("/")[0] in {"nats", "http"}
    assert answer[0] == 202
    run.kind("delivered")
    assert run.stop() == 0
    assert lines(tmp_path / ".vrsky" / "files" / "acme" / "orders.ndjson")[-1] == {"order": {"total": 160}}


def test_a_server_of_ones_own_is_used_and_left_running(start: Start, minimal: Path, server: Server) -> None:
    endpoint = server.endpoint
    run = start(minimal, "--nats", endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@"))
    url = run.ready() + "/in/acme/orders"
    assert post(url, order(150))[0] == 202
    run.kind("delivered")
    assert run.stop() == 0
    assert str(endpoint.password) not in json.dumps(run.said)
    assert server.pid is not None
    assert Identity.of(server.pid) is not None


def test_core_nats_in_is_said_to_be_at_most_once(start: Start, write: Write) -> None:
    path = write("core.yaml", "customer: acme\npipeline: core\nin: {nats: {subject: orders}}\nout: {stdout: {}}\n")
    run = start(path)
    run.wait_for(lambda said: said["kind"] == "note" and "at most once" in said["text"])
    run.ready()
    assert run.stop() == 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_at_once(start: Start, write: Write, tmp_path: Path, sign: signal.Signals) -> None:
    stuck = write("orders.yaml", MINIMAL.replace("file: {path: orders.ndjson}", "http: {url: 'http://127.0.0.1:1/'}"))
    run = start(stuck)
    url = run.ready() + "/in/acme/orders"
    assert post(url, order(150))[0] == 202
    run.kind("retried")
    server = server_of(tmp_path / ".vrsky")
    run.process.send_signal(sign)
    run.wait_for(lambda said: said["kind"] == "note" and said["text"].startswith("draining"))
    run.process.send_signal(sign)
    # Ended, or drained in time: both are orderly, and the server is gone either way.
    assert run.process.wait(30) in {130, 0}
    server.end(30)


def test_each_part_of_the_way_can_be_a_node_of_its_own(
    start: Start, minimal: Path, tmp_path: Path, server: Server
) -> None:
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    source, logic, outgoing = (
        start(minimal, "--nats", url, "--data", tmp_path / kind, "--type", kind)
        for kind in ("incoming", "logic", "outgoing")
    )
    address = source.ready()
    assert logic.kind("ready")["address"] is None
    assert outgoing.kind("ready")["address"] is None
    assert post(address + "/in/acme/orders", order(150))[0] == 202
    assert post(address + "/in/acme/orders", order(50))[0] == 202
    assert logic.kind("filtered")["pipeline"] == "orders"
    assert outgoing.kind("delivered")["pipeline"] == "orders"
    assert [run.stop() for run in (source, logic, outgoing)] == [0, 0, 0]
    assert lines(tmp_path / "outgoing" / "files" / "acme" / "orders.ndjson") == [{"order": {"total": 150}}]
    assert "delivered" not in [said["kind"] for said in source.said + logic.said]


def test_a_part_of_the_way_without_a_server_for_the_others_is_refused(minimal: Path, vrsky: Vrsky) -> None:
    refused = vrsky("run", minimal, "--type", "incoming")
    assert refused.returncode == 2
    assert "config/invalid-value" in refused.stderr
    assert "--type needs --nats" in refused.stderr


def test_a_jetstream_in_without_a_durable_gets_one_of_its_own(
    start: Start, write: Write, server: Server, background: Background, tmp_path: Path
) -> None:
    async def fill() -> None:
        async with connect(server.endpoint) as client:
            await client.jetstream().add_stream(name="SHOP", subjects=["shop.>"])
            await client.jetstream().publish("shop.orders", order(150))

    background(fill())
    pipeline = write(
        "shop.yaml",
        "{customer: acme, pipeline: shop, in: {nats: {subject: shop.orders, mode: jetstream, stream: SHOP}},"
        " steps: [{convert: {from: xml}}], out: {file: {path: shop.ndjson}}}",
    )
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    run = start(pipeline, "--nats", url)
    assert run.kind("delivered")["pipeline"] == "shop"
    assert run.stop() == 0
    assert lines(tmp_path / ".vrsky" / "files" / "acme" / "shop.ndjson") == [{"order": {"total": "150"}}]


def test_a_run_goes_on_when_its_log_cannot_be_written(tmp_path: Path, minimal: Path) -> None:
    written = tmp_path / ".vrsky" / "files" / "acme" / "orders.ndjson"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with open("/dev/full", "w") as full:
        arguments = command("run", minimal, "--json", "--listen", address)
        run = subprocess.Popen(arguments, cwd=tmp_path, stdout=full, stderr=full, env=clean_environment())
    try:
        eventually(lambda: takes(f"http://{address}/in/acme/orders", order(150)), "a 202")
        eventually(lambda: lines(written), "the message")
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 0
    finally:
        run.kill()
        run.wait()


def takes(url: str, body: bytes) -> bool:
    try:
        return post(url, body)[0] == 202
    except OSError:
        return False  # it does not listen yet


def test_a_broken_file_that_is_put_back_is_said_to_be_right_again(start: Start, minimal: Path) -> None:
    run = start(minimal)
    run.ready()
    minimal.write_text("a: 1\na: 2\n")
    assert run.kind("not-served")["goes_on"] == {"customer": "acme", "pipeline": "orders"}
    minimal.write_text(MINIMAL)
    assert run.kind("note")["text"] == f"{minimal} is right again; acme/orders goes on"


def test_a_broken_file_that_is_mended_in_another_way_is_said_to_be_installed_alone(start: Start, minimal: Path) -> None:
    run = start(minimal)
    run.ready()
    minimal.write_text("a: 1\na: 2\n")
    run.kind("not-served")
    minimal.write_text(MINIMAL.replace("orders.ndjson", "others.ndjson"))
    run.kind("installed")
    assert run.stop() == 0
    run.kind("stopped")
    assert not [one for one in run.said if one["kind"] == "note" and "right again" in one["text"]]


def test_a_secret_that_is_missing_is_exit_code_3_and_names_its_variable(vrsky: Vrsky, write: Write) -> None:
    write("orders.yaml", MINIMAL.replace("{path: /orders}", "{path: /orders, auth: {bearer: {secret: orders-token}}}"))
    done = vrsky("run", "orders.yaml")
    assert done.returncode == 3
    assert "VRSKY_SECRET_ACME__ORDERS_TOKEN" in done.stderr


def test_an_open_route_beyond_loopback_is_refused(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    done = vrsky("run", minimal, "--listen", "0.0.0.0:0")
    assert done.returncode == 1
    assert "config/needs-auth" in done.stderr
    assert "orders.yaml:4:3" in done.stderr
    report = json.loads(vrsky("run", minimal, "--listen", "0.0.0.0:0", "--json").stdout)
    assert report["problems"][0]["code"] == "config/needs-auth"


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1", "example.org:80", "127.0.0.1:99999"])
def test_an_address_to_listen_on_must_be_one(vrsky: Vrsky, minimal: Path, listen: str) -> None:
    done = vrsky("run", minimal, "--listen", listen)
    assert done.returncode == 2
    assert "127.0.0.1:8080" in done.stderr


def test_a_nats_server_that_is_not_there_is_exit_code_3(vrsky: Vrsky, minimal: Path) -> None:
    done = vrsky("run", minimal, "--nats", "nats://user:hidden@127.0.0.1:1")
    assert done.returncode == 3
    assert "nats/connect" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize(
    "verb", [["run", "orders.yaml"], ["dlq", "ls"], ["dlq", "show", "1"], ["dlq", "rm", "1", "--yes"]]
)
def test_a_data_folder_that_cannot_be_used_is_exit_code_3(vrsky: Vrsky, minimal: Path, verb: list[str]) -> None:
    done = vrsky(*verb, "--data", minimal / "data")
    assert done.returncode == 3
    assert "config/data-folder-unusable" in done.stderr
    assert "with --data" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["run", "check"])
def test_a_folder_of_secrets_has_to_be_there(vrsky: Vrsky, minimal: Path, verb: str) -> None:
    done = vrsky(verb, minimal, "--secrets", "nowhere")
    assert done.returncode == 3
    assert "secret/not-found: the folder of secrets nowhere is not there" in done.stderr
