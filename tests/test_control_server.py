"""The embedded server: ready when start returns, restarted on its port, never two on one store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vrsky_fast.control import server_config
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.process import Identity
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server import Server
from vrsky_fast.control.streams import dead
from vrsky_fast.errors import ConfigError, NatsError

from .conftest import Background

START_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from vrsky_fast.control.server import Server
async def main():
    server = Server(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def test_only_who_has_the_password_gets_in_and_nobody_else_can_read_it(server: Server, background: Background) -> None:
    async def try_it(endpoint: server_config.Endpoint) -> None:
        async with connect(endpoint) as client:
            await client.flush()

    background(try_it(server.endpoint))
    with pytest.raises(NatsError) as caught:
        background(try_it(server_config.Endpoint(server.endpoint.url)))
    assert caught.value.code == "nats/authorization"
    for file in (server.layout.config, server.layout.record):
        assert file.stat().st_mode & 0o777 == 0o600
    assert str(server.endpoint.password) not in repr(server.endpoint)
    assert server.endpoint.url.startswith("nats://127.0.0.1:")


def test_a_folder_that_cannot_be_written_is_an_error_with_a_code(tmp_path: Path, background: Background) -> None:
    with pytest.raises(ConfigError) as caught:
        background(Server(tmp_path / "gone").start())
    assert caught.value.code == "config/data-folder-unusable"


def test_a_server_that_dies_is_started_again_on_its_port_with_its_messages(
    server: Server, background: Background
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            await provision(client, [dead()])
            await client.jetstream().publish("vrsky.dead.acme.orders.x", b"kept")
        notes: list[str] = []
        watching = asyncio.create_task(server.watch(notes.append))
        old, endpoint = server.pid, server.endpoint
        assert old is not None
        back = asyncio.create_task(restarted(server, old))
        os.kill(old, signal.SIGKILL)
        await asyncio.wait_for(back, 20)
        assert server.endpoint == endpoint
        assert notes == ["nats-server ended with -9; starting it again"]
        async with connect(endpoint) as client:
            assert (await client.jetstream().get_msg("VRSKY_DEAD", 1)).data == b"kept"
        watching.cancel()

    background(scenario())


async def restarted(server: Server, old: int) -> None:
    """Until the record names another process, which is written once that one listens."""
    while (found := server_config.recall(server.layout)) is None or found[0].pid == old:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("forgotten", [False, True], ids=["recorded", "record lost"])
def test_the_orphan_of_a_killed_run_is_ended_before_a_new_server_starts(
    tmp_path: Path, background: Background, forgotten: bool
) -> None:
    (tmp_path / "nats").mkdir()
    run = subprocess.Popen([sys.executable, "-c", START_AND_WAIT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with run:
        assert run.stdout is not None
        orphan = Identity.of(int(run.stdout.readline()))
        run.kill()
    assert orphan is not None
    assert orphan.alive()
    server = Server(tmp_path)
    if forgotten:
        server.layout.record.unlink()
    background(server.start())
    assert not orphan.alive()
    assert server.pid != orphan.pid
    background(server.stop())
    assert not server.layout.config.exists()


def test_a_stranger_with_the_recorded_pid_is_left_alone(tmp_path: Path, background: Background) -> None:
    (tmp_path / "nats").mkdir()
    server = Server(tmp_path)
    me = Identity.of(os.getpid())
    assert me is not None
    server_config.remember(server.layout, me, server_config.Endpoint("nats://127.0.0.1:1"))
    background(server.start())
    background(server.stop())


def test_a_binary_that_is_none_is_named(
    tmp_path: Path, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nats").mkdir()
    monkeypatch.setenv("NATS_SERVER", str(tmp_path / "missing"))
    with pytest.raises(NatsError) as caught:
        background(Server(tmp_path).start())
    assert caught.value.code == "nats/server-start"
    assert "missing" in str(caught.value)


def test_a_store_that_cannot_be_used_is_said_with_the_servers_own_words(tmp_path: Path, background: Background) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "jetstream").write_text("a file where the store's folder should be")
    with pytest.raises(NatsError) as caught:
        background(Server(tmp_path).start())
    assert caught.value.code == "nats/server-start"
    assert "jetstream" in str(caught.value).lower()


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("nats://h", server_config.Endpoint("nats://h:4222")),
        ("127.0.0.1:4333", server_config.Endpoint("nats://127.0.0.1:4333")),
        ("tls://u:p@h", server_config.Endpoint("tls://h:4222", "u", "p")),
        ("nats://u:p%40@h:1", server_config.Endpoint("nats://h:1", "u", "p@")),
        ("nats://token@h", server_config.Endpoint("nats://h:4222", token="token")),
        ("nats://[::1]:4222", server_config.Endpoint("nats://[::1]:4222")),
        ("nats://a, tls://u:p@b:1,c", server_config.Endpoint("nats://a:4222,tls://b:1,nats://c:4222", "u", "p")),
    ],
)
def test_an_address_is_read_with_its_credentials_taken_out(url: str, endpoint: server_config.Endpoint) -> None:
    assert endpoint_of(url) == endpoint


@pytest.mark.parametrize(
    "url", ["", "nats://", "http://h", "nats://h:x", "nats://h:99999", "nats://h/path", "nats://[::1", "h,"]
)
def test_an_address_that_is_none_is_an_error_with_a_code(url: str) -> None:
    with pytest.raises(NatsError) as caught:
        endpoint_of(url)
    assert caught.value.code == "nats/connect"
