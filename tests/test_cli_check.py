"""`vrsky check` as a user runs it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from vrsky_fast.control.server import Server

from .conftest import Background, Vrsky, Write

HEAD = "customer: acme\npipeline: orders\n"


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def url_of(receiver: socket.socket) -> str:
    return f"http://127.0.0.1:{receiver.getsockname()[1]}"


def report(vrsky: Vrsky, *arguments: str | Path, code: int) -> dict[str, Any]:
    done = vrsky("check", *arguments, "--json")
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["ok"] is (code == 0)
    return told


def states(told: dict[str, Any]) -> dict[str, str]:
    """By the out's name, or `in`."""
    return {one["name"] or "in": one["code"] or one["state"] for one in told["connectors"]}


def test_a_pipeline_whose_connectors_work_is_ok_and_nothing_is_sent_or_made(
    vrsky: Vrsky, write: Write, receiver: socket.socket, tmp_path: Path
) -> None:
    outs = f"erp: {{http: {{url: '{url_of(receiver)}/{{id}}'}}}}, lines: {{file: {{path: lines.ndjson}}}}"
    path = write(
        "orders.yaml",
        HEAD + f"in: {{http: {{path: /orders}}}}\nsteps: [{{route: [{{to: [erp, lines]}}]}}]\nout: {{{outs}}}\n",
    )
    done = vrsky("check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok    acme/orders  in  http",
        "ok    acme/orders  out erp  http",
        "ok    acme/orders  out lines  file",
    ]
    connection, _ = receiver.accept()
    with connection:
        assert connection.recv(1) == b""
    assert not (tmp_path / ".vrsky").exists()


def left_out(told: dict[str, Any]) -> dict[str, list[str]]:
    """The codes of what would not be served, by file name."""
    return {Path(one["file"]).name: [each["code"] for each in one["problems"]] for one in told["not_served"]}


def test_what_would_not_work_is_named_with_code_reason_and_hint(vrsky: Vrsky, write: Write) -> None:
    write("plain", "")
    path = write(
        "orders.yaml",
        HEAD
        + "in: {http: {path: /orders, auth: {bearer: {secret: token}}}}\n"
        + "steps: [{route: [{to: [gone, inside, unknown, keyed, lines, shown]}]}]\n"
        + "out:\n"
        + "  gone: {http: {url: 'http://127.0.0.1:1/'}}\n"
        + "  inside: {http: {url: 'http://10.0.0.1/'}}\n"
        + "  unknown: {http: {url: 'http://nobody.invalid/'}}\n"
        + "  keyed: {http: {url: 'http://127.0.0.1:1/', auth: {bearer: {secret: key}}}}\n"
        + "  lines: {file: {path: /proc/self/status/x.ndjson}}\n"
        + "  shown: {stdout: {}}\n",
    )
    told = report(vrsky, path, "--files-anywhere", code=3)
    assert states(told) == {
        "in": "secret/not-found",
        "gone": "http/connect",
        "inside": "http/refused-address",
        "unknown": "http/connect",
        "keyed": "secret/not-found",
        "lines": "file/outside",
        "shown": "ok",
    }
    assert "VRSKY_SECRET_ACME__TOKEN" in told["connectors"][0]["reason"]
    assert left_out(told) == {"orders.yaml": ["secret/not-found"] * 2}
    shown = vrsky("check", path, VRSKY_SECRET_ACME__TOKEN="t0ken", VRSKY_SECRET_ACME__KEY="hidden-key")
    assert shown.returncode == 1  # for its absolute path
    assert "FAIL  acme/orders  out keyed  http  http/connect" in shown.stdout
    assert "hint: Check its address" in shown.stdout
    assert "ok    acme/orders  in  http" in shown.stdout
    assert "hidden-key" not in shown.stdout


def test_a_path_that_is_absolute_is_for_the_operator_to_allow(vrsky: Vrsky, write: Write, tmp_path: Path) -> None:
    outs = f"out: {{file: {{path: {tmp_path / 'elsewhere.ndjson'}}}}}\n"
    path = write("orders.yaml", HEAD + "in: {http: {path: /orders}}\n" + outs)
    told = report(vrsky, path, code=1)
    assert left_out(told) == {"orders.yaml": ["file/outside"]}
    assert states(told) == {"in": "ok", "default": "file/outside"}
    assert "--files-anywhere" in told["connectors"][1]["hint"]
    assert states(report(vrsky, path, "--files-anywhere", code=0)) == {"in": "ok", "default": "ok"}


def test_what_the_operator_allows_is_reached_and_metadata_only_by_its_own_address(
    vrsky: Vrsky, write: Write, receiver: socket.socket
) -> None:
    # 0.0.0.0 is this machine, and not public.
    port = receiver.getsockname()[1]
    outs = f"here: {{http: {{url: 'http://0.0.0.0:{port}/'}}}}, meta: {{http: {{url: 'http://169.254.169.254/'}}}}"
    path = write(
        "orders.yaml",
        HEAD + f"in: {{http: {{path: /orders}}}}\nsteps: [{{route: [{{to: [here, meta]}}]}}]\nout: {{{outs}}}\n",
    )
    refused = "http/refused-address"
    told = report(vrsky, path, "--allow", "10.0.0.0/8", code=3)
    assert states(told) == {"in": "ok", "here": refused, "meta": refused}
    assert "--allow" in told["connectors"][1]["hint"]
    for networks in (["0.0.0.0"], ["10.0.0.0/8", "--allow", "0.0.0.0/0"]):
        told = report(vrsky, path, "--allow", *networks, code=3)
        assert states(told) == {"in": "ok", "here": "ok", "meta": refused}


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "intranet", "", "10.0.0.0/255.0.0.0"])
@pytest.mark.parametrize("verb", ["run", "check"])
def test_what_is_no_network_is_refused_before_anything_runs(
    vrsky: Vrsky, minimal: Path, tmp_path: Path, verb: str, network: str
) -> None:
    refused = vrsky(verb, minimal, "--allow", network)
    assert refused.returncode == 2
    assert f'config/invalid-value: --allow: "{network}" is no network; write it like 10.0.0.0/8' in refused.stderr
    assert "hint:" in refused.stderr
    assert not (tmp_path / ".vrsky").exists()


def test_a_file_that_is_wrong_is_exit_code_1(vrsky: Vrsky, write: Write) -> None:
    done = vrsky("check", write("bad.yaml", "a: 1\na: 2\n"))
    assert (done.returncode, done.stderr) == (1, "")
    assert "bad.yaml:2:1: config/duplicate-key" in done.stdout


ROUTE = "customer: acme\npipeline: {name}\nin: {{http: {{path: /{path}}}}}\nout: {{stdout: {{}}}}\n"


def test_every_broken_file_is_told_and_the_connectors_of_the_others_are_looked_at(vrsky: Vrsky, write: Write) -> None:
    write("pipelines/a.yaml", ROUTE.format(name="a", path="a"))
    write("pipelines/broken.yaml", "a: 1\na: 2\n")
    write("pipelines/late.yaml", ROUTE.format(name="late", path="late") + "limits: {backlog: 0}\nwrong: 1\n")
    other = write("other.yaml", ROUTE.format(name="other", path="other"))
    told = report(vrsky, other.parent / "pipelines", other, code=1)
    assert left_out(told)["broken.yaml"] == ["config/duplicate-key"]
    assert len(left_out(told)["late.yaml"]) == 2
    (problem,) = (one["problems"][0] for one in told["not_served"] if one["file"].endswith("broken.yaml"))
    assert (problem["line"], problem["column"], bool(problem["hint"])) == (2, 1, True)
    assert {one["pipeline"] for one in told["connectors"]} == {"a", "other"}
    shown = vrsky("check", other.parent / "pipelines")
    assert "not served  " in shown.stdout
    assert "ok    acme/a  in  http" in shown.stdout


def test_what_only_one_of_two_can_have_is_told_of_the_second(vrsky: Vrsky, write: Write) -> None:
    write("pipelines/a.yaml", ROUTE.format(name="a", path="a"))
    write("pipelines/b.yaml", ROUTE.format(name="a", path="b"))
    write("pipelines/c.yaml", ROUTE.format(name="c", path="a"))
    reads = "in: {nats: {subject: in.x, mode: jetstream, stream: IN, durable: shared}}\nout: {stdout: {}}\n"
    write("more/d.yaml", "customer: acme\npipeline: d\n" + reads)
    folder = write("more/e.yaml", "customer: acme\npipeline: e\n" + reads).parent
    told = report(vrsky, folder.parent / "pipelines", folder, code=1)
    assert left_out(told) == {name: ["config/conflict"] for name in ("b.yaml", "c.yaml", "e.yaml")}
    assert "a.yaml" in told["not_served"][0]["problems"][0]["reason"] + told["not_served"][1]["problems"][0]["reason"]


def test_a_file_that_is_named_twice_is_one_file(vrsky: Vrsky, write: Write, tmp_path: Path) -> None:
    write("pipelines/a.yaml", ROUTE.format(name="a", path="a"))
    broken = write("pipelines/broken.yaml", "a: 1\na: 2\n")
    (tmp_path / "link").symlink_to("pipelines")
    told = report(vrsky, "pipelines", broken, tmp_path / "link", "pipelines/../pipelines/a.yaml", code=1)
    assert left_out(told) == {"broken.yaml": ["config/duplicate-key"]}
    assert len(told["not_served"]) == 1
    assert [one["pipeline"] for one in told["connectors"]] == ["a", "a"]  # its in and its out


def test_two_links_to_one_file_in_a_folder_are_two_files(vrsky: Vrsky, write: Write) -> None:
    file = write("pipelines/a.yaml", ROUTE.format(name="a", path="a"))
    (file.parent / "b.yaml").symlink_to("a.yaml")
    assert left_out(report(vrsky, file.parent, code=1)) == {"b.yaml": ["config/conflict"]}


def test_what_asks_for_more_than_the_server_takes_is_told(vrsky: Vrsky, write: Write, server: Server) -> None:
    path = write("large.yaml", ROUTE.format(name="large", path="large") + "limits: {bytes: 9000000}\n")
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    for arguments in ([], ["--nats", url]):
        told = report(vrsky, path, *arguments, code=1)
        assert left_out(told) == {"large.yaml": ["config/invalid-value"]}
        assert told["not_served"][0]["problems"][0]["line"] == 5


def test_no_file_at_all_is_told(vrsky: Vrsky, tmp_path: Path, minimal: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = report(vrsky, tmp_path / "empty", tmp_path / "gone.yaml", minimal, code=1)
    assert left_out(told) == {"empty": ["config/file-not-found"], "gone.yaml": ["config/file-not-found"]}
    assert states(told) == {"in": "ok", "default": "ok"}


def test_check_leaves_out_what_run_leaves_out(vrsky: Vrsky, write: Write) -> None:
    """None of these files can be served, so that a run ends by itself."""
    write("pipelines/broken.yaml", "a: 1\na: 2\n")
    write("pipelines/large.yaml", ROUTE.format(name="large", path="large") + "limits: {bytes: 9000000}\n")
    folder = write("pipelines/outside.yaml", ROUTE.format(name="o", path="o").replace("stdout: {}", "file: {path: /x}"))
    told = report(vrsky, folder.parent, code=1)
    refused = vrsky("run", folder.parent, "--json")
    assert refused.returncode == 1
    problems = [each for one in told["not_served"] for each in one["problems"]]
    assert len(problems) == 3
    assert json.loads(refused.stdout.splitlines()[-1])["problems"] == problems


def test_streams_are_looked_for_on_the_server_that_is_named(
    vrsky: Vrsky, write: Write, server: Server, background: Background
) -> None:
    path = write(
        "orders.yaml",
        HEAD
        + "in: {nats: {subject: in.x, mode: jetstream, stream: IN}}\n"
        + "steps: [{route: [{to: [kept, other, plain]}]}]\n"
        + "out:\n"
        + "  kept: {nats: {subject: out.x, mode: jetstream}}\n"
        + "  other: {nats: {subject: out.x, mode: jetstream, stream: IN}}\n"
        + "  plain: {nats: {subject: out.y}}\n",
    )
    assert set(states(report(vrsky, path, code=0)).values()) == {"unchecked"}
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    none = "nats/no-stream"
    assert states(report(vrsky, path, "--nats", url, code=3)) == {
        "in": none,
        "kept": none,
        "other": none,
        "plain": "ok",
    }

    async def make() -> None:
        client = await nats.connect(endpoint.url, user=endpoint.user, password=endpoint.password)
        for name, subject in (("IN", "in.>"), ("OUT", "out.>")):
            await client.jetstream().add_stream(name=name, subjects=[subject])
        await client.close()

    told = report(vrsky, path, "--nats", url, code=3)
    assert "makes only its own" in told["connectors"][0]["hint"]
    background(make())
    assert states(report(vrsky, path, "--nats", url, code=3)) == {
        "in": "ok",
        "kept": "ok",
        "other": none,
        "plain": "ok",
    }


def test_a_file_whose_in_has_no_stream_is_not_served_and_one_whose_out_has_none_is(
    vrsky: Vrsky, write: Write, server: Server
) -> None:
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    reads = "in: {nats: {subject: in.x, mode: jetstream, stream: IN}}\n"
    write("pipelines/reads.yaml", "customer: acme\npipeline: reads\n" + reads + "out: {stdout: {}}\n")
    sink = "{nats: {subject: out.x, mode: jetstream}}"
    folder = write("pipelines/writes.yaml", ROUTE.format(name="w", path="w").replace("{stdout: {}}", sink)).parent
    told = report(vrsky, folder, "--nats", url, code=3)
    assert left_out(told) == {"reads.yaml": ["nats/no-stream"]}
    shown = vrsky("check", folder, "--nats", url).stdout
    assert "reads.yaml:3:" in shown
    assert "not served  " in shown
    # A run that has nothing else to serve refuses to start for the same.
    (folder / "writes.yaml").unlink()
    refused = vrsky("run", folder, "--nats", url, "--json")
    assert refused.returncode == 3
    (problem,) = json.loads(refused.stdout.splitlines()[-1])["problems"]
    assert problem["code"] == "nats/no-stream"


@pytest.mark.parametrize(
    ("auth", "value"),
    [
        ("bearer: {secret: token}", "a b"),
        ("api_key: {header: X-Key, key: {secret: token}}", "\u00e4"),
        ("webhook: {from: standard-webhooks, key: {secret: token}}", "whsec_x!"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_so_is_its_place(
    vrsky: Vrsky, write: Write, auth: str, value: str
) -> None:
    path = write("orders.yaml", ROUTE.format(name="orders", path=f"orders, auth: {{{auth}}}"))
    done = vrsky("check", path, "--json", VRSKY_SECRET_ACME__TOKEN=value)
    assert done.returncode == 1, done.stderr
    (problem,) = json.loads(done.stdout)["not_served"][0]["problems"]
    assert (problem["code"], problem["line"]) == ("config/invalid-value", 3)
    assert "the secret `token`" in problem["reason"]
    assert value not in problem["reason"]


def test_a_file_that_only_lacks_something_is_exit_code_3_and_one_that_is_wrong_beside_it_1(
    vrsky: Vrsky, write: Write
) -> None:
    lacks = write("p/lacks.yaml", ROUTE.format(name="l", path="l, auth: {bearer: {secret: token}}"))
    assert left_out(report(vrsky, lacks, code=3)) == {"lacks.yaml": ["secret/not-found"]}
    write("p/wrong.yaml", "a: 1\na: 2\n")
    assert set(left_out(report(vrsky, lacks.parent, code=1))) == {"lacks.yaml", "wrong.yaml"}


def test_a_server_that_is_not_there_is_said_and_the_rest_is_checked(vrsky: Vrsky, minimal: Path) -> None:
    told = report(vrsky, minimal, "--nats", "nats://user:hidden@127.0.0.1:1", code=3)
    assert told["nats"]["code"] == "nats/connect"
    assert states(told) == {"in": "ok", "default": "ok"}
    assert "hidden" not in json.dumps(told)


def test_nothing_is_ok_that_needs_a_server_that_is_not_there(vrsky: Vrsky, write: Write) -> None:
    path = write("orders.yaml", HEAD + "in: {nats: {subject: in.x}}\nout: {nats: {subject: out.x}}\n")
    told = report(vrsky, path, "--nats", "nats://127.0.0.1:1", code=3)
    assert states(told) == {"in": "nats/connect", "default": "nats/connect"}
    assert all(one["hint"] for one in [told["nats"], *told["connectors"]])


def test_an_address_to_listen_on_is_tried(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    assert states(report(vrsky, minimal, "--listen", "127.0.0.1:0", code=0)) == {"in": "ok", "default": "ok"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        told = report(vrsky, minimal, "--listen", listen, code=3)
    assert states(told) == {"in": "config/cannot-listen", "default": "ok"}
    public = write("public.yaml", HEAD + "in: {http: {path: /x, auth: none}}\nout: {stdout: {}}\n")
    told = report(vrsky, public, "--listen", "192.0.2.1:80", code=3)
    assert states(told)["in"] == "config/cannot-listen"
    home = write(
        "home.yaml", HEAD + f"in: {{http: {{path: /x}}}}\nout: {{http: {{url: 'http://{listen}/in/acme/y'}}}}\n"
    )
    told = report(vrsky, home, "--listen", listen, code=3)
    assert states(told) == {"in": "ok", "default": "http/refused-address"}, (
        "nobody listens there yet, but the node will"
    )
    beyond = vrsky("check", minimal, "--listen", "0.0.0.0:8080")
    assert beyond.returncode == 1
    assert "config/needs-auth" in beyond.stdout
    assert vrsky("check", minimal, "--listen", "nowhere").returncode == 2
