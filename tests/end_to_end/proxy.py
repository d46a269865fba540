"""What stands between a node and its NATS server, and may hold back what the server says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from .node import PATIENCE


class Proxy:
    """Passes everything on, both ways, until the server's answers are held back."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._answers = Event()
        self._answers.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def hold_answers(self) -> None:
        self._answers.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # it was closed
            server = socket.create_connection(self._server)
            asks, answers = Event(), self._answers
            asks.set()
            for source, target, gate in ((client, server, asks), (server, client, answers)):
                Thread(target=_pass_on, args=[source, target, gate], daemon=True).start()

    def close(self) -> None:
        # Wakes `accept`, which a mere close does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self._answers.set()


def _pass_on(source: socket.socket, target: socket.socket, gate: Event) -> None:
    with source, target, suppress(OSError):
        while some := source.recv(65_536):
            gate.wait(PATIENCE)
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def in_between(port: int) -> Iterator[Proxy]:
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
