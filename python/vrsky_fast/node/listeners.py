"""Listening sockets that outlive a process, so that a restart refuses no connection: they wait until somebody accepts.

    a supervisor, by LISTEN_FDS ──┐
                                  ├──► sockets ──► the engine accepts from them
    an earlier run, by handover ──┘
          1. the new process asks on DATA/handover.sock (0600, same user), and gets the sockets
          2. the earlier one accepts no more, answers what it has, drains, ends
          3. the new one has the data folder then, and starts

LISTEN_FDS is the protocol of systemd's socket units: sd_listen_fds(3).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from ..control.lock import is_used
from ..errors import ConfigError, error_for
from ..facts import MAX_THREADS

_FIRST = 3
_FILE = "handover.sock"
_TAKEN = b"+"
# For the two words of a handover, and for the earlier run's end: a drain, and what follows it.
_WORD_SECONDS, _END_SECONDS = 10.0, 60.0
_PAUSE_SECONDS = 0.05


def address_of(sockets: Sequence[socket.socket]) -> str:
    """Where they listen, as IP:port. Raises ConfigError `config/cannot-listen` for what is no TCP listener, and where
    they are of several addresses."""
    found = {_address(one) for one in sockets}
    if len(found) != 1:
        reason = f"the sockets given listen on {', '.join(sorted(found))}: give those of one address"
        raise error_for("config/cannot-listen", reason)
    return found.pop()


def _address(one: socket.socket) -> str:
    if one.type != socket.SOCK_STREAM or one.family not in {socket.AF_INET, socket.AF_INET6}:
        raise error_for("config/cannot-listen", f"the descriptor {one.fileno()} is no TCP socket")
    if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise error_for("config/cannot-listen", f"the descriptor {one.fileno()} does not listen")
    host, port = one.getsockname()[:2]
    return f"[{host}]:{port}" if one.family == socket.AF_INET6 else f"{host}:{port}"


@contextmanager
def held(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    """The list, whose sockets are closed at the end, also those that were added."""
    try:
        yield sockets
    finally:
        for one in sockets:
            one.close()


def inherited(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Those that a supervisor has left open for this process. No child of ours gets them, nor believes that it does.
    Raises ConfigError `config/cannot-listen` for a number that is none, and for what is not open."""
    pid, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count:
        return []
    if not count.isdecimal() or int(count) > MAX_THREADS:
        raise error_for("config/cannot-listen", f"LISTEN_FDS is {count}: at most {MAX_THREADS} sockets can be served")
    found = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
        except OSError as error:
            reason = f"LISTEN_FDS: the descriptor {descriptor} cannot be used: {error.strerror}"
            raise error_for("config/cannot-listen", reason) from None
    return found


async def take_over(
    data: Path, fits: Callable[[list[socket.socket]], None], say: Callable[[str], None]
) -> list[socket.socket]:
    """The sockets of the run on this data folder, which drains and has ended when this returns; none when nobody runs.
    What `fits` raises for the sockets is raised, and the run goes on with them. Raises ConfigError
    `config/data-folder-in-use` when that run does not hand over, or does not end."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, str(data / _FILE))
        except OSError as error:
            if is_used(data):
                _refuse(data, f"does not hand over: {error.strerror or error}")
            return []
        pid, _ = _peer(connection)
        with ExitStack() as unwanted:
            try:
                received = await asyncio.wait_for(_receive(connection), _WORD_SECONDS)
                for one in received:
                    unwanted.callback(one.close)
                fits(received)
                await loop.sock_sendall(connection, _TAKEN)
                say(f"takes over from process {pid}, which drains")
                await asyncio.wait_for(_ended(connection, data), _END_SECONDS)
            except (OSError, TimeoutError) as error:
                _refuse(data, f"did not hand over: {_why(error)}")
            unwanted.pop_all()
        return received


def _refuse(data: Path, reason: str) -> NoReturn:
    raise error_for("config/data-folder-in-use", f"the run on {data} {reason}")


async def _receive(connection: socket.socket) -> list[socket.socket]:
    """The first bytes bring the descriptors. Without them the other end has nothing that listens."""
    while True:
        await _readable(connection)
        with suppress(BlockingIOError):
            word, descriptors, _, _ = socket.recv_fds(connection, 1, MAX_THREADS)
            if not word:
                raise ConnectionResetError("the run has hung up")
            return [socket.socket(fileno=one) for one in descriptors]


async def _readable(connection: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


async def _ended(connection: socket.socket, data: Path) -> None:
    """The connection ends with the process, and the lock on its folder a moment earlier or later."""
    with suppress(ConnectionError):
        await asyncio.get_running_loop().sock_recv(connection, 1)
    while is_used(data):
        await asyncio.sleep(_PAUSE_SECONDS)


class Handover:
    """What this run gives to the one that takes its place. `listeners` gives copies of the descriptors that it listens
    on; `asked` is called once somebody has them."""

    def __init__(self, data: Path, listeners: Callable[[], list[int]], asked: Callable[[], None]) -> None:
        self._path = data / _FILE
        self._listeners, self._asked = listeners, asked

    @contextmanager
    def offered(self, say: Callable[[str], None]) -> Iterator[None]:
        """While it lasts another process of this user may take over. A folder that holds no socket makes a run that
        cannot be taken over, and is said. The caller has the folder's lock."""
        listener = socket.socket(socket.AF_UNIX)
        task: asyncio.Task[None] | None = None
        try:
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
            listener.listen()
            listener.setblocking(False)
            task = asyncio.create_task(self._serve(listener, say))
        except OSError as error:
            say(f"this run cannot be taken over: {self._path}: {error.strerror or error}")
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            listener.close()

    async def _serve(self, listener: socket.socket, say: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            with connection:
                why = "the other process has hung up"
                try:
                    if await asyncio.wait_for(self._give(connection), _WORD_SECONDS):
                        say(f"process {_peer(connection)[0]} takes over")
                        # Nobody closes the descriptor before the process ends: that is how the other one knows.
                        connection.detach()
                        self._asked()
                        return
                except (OSError, TimeoutError, ConfigError) as error:
                    why = _why(error)
                say(f"nobody has taken over: {why}")

    async def _give(self, connection: socket.socket) -> bool:
        """Whether it was taken."""
        _, user = _peer(connection)
        if user not in {os.geteuid(), 0}:
            return False
        descriptors = self._listeners()
        try:
            socket.send_fds(connection, [b"-"], descriptors)
        finally:
            for one in descriptors:
                os.close(one)
        return await asyncio.get_running_loop().sock_recv(connection, 1) == _TAKEN


def _why(error: Exception) -> str:
    return str(error) or "no answer in time"


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end, as the kernel knows them: unix(7), SO_PEERCRED. Elsewhere the socket's mode
    alone keeps others out."""
    if sys.platform != "linux":
        return 0, os.geteuid()
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, user, _ = struct.unpack("3i", told)
    return pid, user
