"""What stands between a node and its NATS server, and may hold back what the server says, or cut a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from .node import PATIENCE

# The name of a control connection, as it says of itself; it ends in the middle of the look at the streams.
_CONTROL = b'"vrsky control"'
_CUT_BEHIND_BYTES = 2500


class Proxy:
    """Passes everything on, both ways, until the server's answers are held back, or control connections are cut
    between two answers; `cuts` is how many were."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._answers = Event()
        self._answers.set()
        self._cutting = Event()
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def hold_answers(self) -> None:
        self._answers.clear()

    def cut_control(self, cutting: bool) -> None:
        if cutting:
            self._cutting.set()
        else:
            self._cutting.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # it was closed
            server = socket.create_connection(self._server)
            is_control = Event()
            Thread(target=_ask, args=[client, server, is_control], daemon=True).start()
            Thread(target=self._answer, args=[server, client, is_control], daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket, is_control: Event) -> None:
        passed = 0
        with server, client, suppress(OSError):
            while some := server.recv(1024):
                self._answers.wait(PATIENCE)
                client.sendall(some)
                passed += len(some)
                if passed > _CUT_BEHIND_BYTES and is_control.is_set() and self._cutting.is_set():
                    self.cuts += 1
                    server.shutdown(socket.SHUT_RDWR)
                    break
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Wakes `accept`, which a mere close does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self._answers.set()


def _ask(client: socket.socket, server: socket.socket, is_control: Event) -> None:
    with suppress(OSError):
        while some := client.recv(65_536):
            if _CONTROL in some:
                is_control.set()
            server.sendall(some)
        server.shutdown(socket.SHUT_WR)


@contextmanager
def in_between(port: int) -> Iterator[Proxy]:
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
