"""Sockets that are given to a process, and what is none."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vrsky_fast.errors import ConfigError
from vrsky_fast.node.listeners import Handover, address_of, inherited, take_over

from .conftest import Background


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def test_the_address_is_that_of_all_of_them(listener: socket.socket) -> None:
    with listener.dup() as copy, socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        assert address_of([listener, copy]) == f"127.0.0.1:{listener.getsockname()[1]}"
        assert address_of([other]) == f"[::1]:{other.getsockname()[1]}"
        with pytest.raises(ConfigError, match="one address"):
            address_of([listener, other])


def test_what_does_not_listen_for_tcp_is_refused(listener: socket.socket, tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.create_connection(listener.getsockname()) as connected,
    ):
        for one in (unix, datagrams, connected):
            with pytest.raises(ConfigError) as told:
                address_of([one])
            assert told.value.code == "config/cannot-listen"


@pytest.mark.parametrize("pid", ["", "1", "none"])
def test_sockets_of_another_process_are_left_alone_and_no_child_hears_of_them(pid: str) -> None:
    environment = {"LISTEN_PID": pid, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", "OTHER": "stays"}
    assert inherited(environment) == []
    assert environment == {"OTHER": "stays"}


@pytest.mark.parametrize("count", ["-1", "1000000", "one"])
def test_a_number_of_sockets_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(ConfigError) as told:
        inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
    assert told.value.code == "config/cannot-listen"


class Run:
    """One that offers its listener, as far as a test sees it."""

    def __init__(self, data: Path, listener: socket.socket) -> None:
        self.said: list[str] = []
        self.asked = False
        self.data = data
        self.handover = Handover(data, lambda: [os.dup(listener.fileno())], self._ask)

    def _ask(self) -> None:
        self.asked = True


def test_only_this_user_may_take_over(background: Background, listener: socket.socket, tmp_path: Path) -> None:
    run = Run(tmp_path, listener)

    async def scenario() -> None:
        with run.handover.offered(run.said.append):
            assert (tmp_path / "handover.sock").stat().st_mode & 0o777 == 0o600
        assert not (tmp_path / "handover.sock").exists()

    background(scenario())


def test_sockets_that_do_not_fit_are_given_back_and_the_run_goes_on(
    background: Background, listener: socket.socket, tmp_path: Path
) -> None:
    run = Run(tmp_path, listener)

    def fits(taken: list[socket.socket]) -> None:
        assert address_of(taken) == address_of([listener])
        raise ConfigError("config/cannot-listen", "elsewhere")

    async def scenario() -> None:
        with run.handover.offered(run.said.append):
            for _ in range(2):
                with pytest.raises(ConfigError, match="elsewhere"):
                    await take_over(tmp_path, fits, run.said.append)
            while len(run.said) < 2:
                await asyncio.sleep(0)
        assert not run.asked

    background(scenario())
    assert all("nobody has taken over" in one for one in run.said)


def test_nobody_to_take_over_gives_no_sockets(background: Background, tmp_path: Path) -> None:
    stale = tmp_path / "handover.sock"
    for _ in range(2):
        assert background(take_over(tmp_path, lambda _: None, print)) == []
        with socket.socket(socket.AF_UNIX) as left_behind:
            stale.unlink(missing_ok=True)
            left_behind.bind(str(stale))


def test_a_path_that_is_too_long_for_a_socket_is_said_and_the_run_goes_on(
    background: Background, listener: socket.socket, tmp_path: Path
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    run = Run(deep, listener)

    async def scenario() -> None:
        with run.handover.offered(run.said.append):
            pass

    background(scenario())
    assert "cannot be taken over" in run.said[0]
