"""The customer's server, as it is on a bad day: a queue of behaviours, one per request, then a rule, which
takes everything unless a test says otherwise."""

from __future__ import annotations

import json
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from .node import PATIENCE, eventually

Behaviour = Callable[[socket.socket, "Server"], None]
# What a request meets by what it is; None: it is answered well. May block.
Rule = Callable[["Request"], Behaviour | None]


@dataclass(frozen=True)
class Request:
    """`target` is what stands in the request line, byte for byte."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


def answer(status: int, *headers: str, body: bytes = b"{}") -> Behaviour:
    """A whole answer, after which the connection closes."""
    lines = [f"HTTP/1.1 {status} As Told", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]

    def behave(connection: socket.socket, server: Server) -> None:
        connection.sendall("\r\n".join(lines).encode() + body)

    return behave


def half_a_body(connection: socket.socket, server: Server) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly the begi")


def half_a_head(connection: socket.socket, server: Server) -> None:
    connection.sendall(b"HTTP/1.1 200 O")


def hang(connection: socket.socket, server: Server) -> None:
    """Takes the request and says nothing until the client gives up."""
    connection.settimeout(60)
    while connection.recv(1024):
        pass


def fails(*texts: bytes) -> Rule:
    """500 for every request whose body holds one of these; without texts, for every request."""
    return lambda request: answer(500) if not texts or any(text in request.body for text in texts) else None


class Gate:
    """A rule: requests wait until it is opened, and are answered well then."""

    def __init__(self) -> None:
        self._opened = Event()
        self._lock = Lock()
        self.waiting = 0
        """Requests that came while it was closed."""

    def __call__(self, request: Request) -> Behaviour | None:
        if not self._opened.is_set():
            with self._lock:
                self.waiting += 1
            self._opened.wait(PATIENCE)
        return None

    def open(self) -> None:
        self._opened.set()


class Server:
    """Takes HTTP requests on a port of its own; closes each connection after one."""

    def __init__(self, *behaviours: Behaviour, port: int = 0, rule: Rule = lambda _: None) -> None:
        self._behaviours = deque(behaviours)
        self.rule = rule
        """For what comes after the behaviours; may be replaced at any time."""
        self._lock = Lock()
        self._ended = Event()
        self.requests: list[Request] = []
        """Every request that was read to its end, also those that were not answered."""
        self.taken: list[Request] = []
        """Those that were answered well."""
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def got(self, text: bytes) -> Request:
        """The first request answered well with this in its body; waits for it."""
        return eventually(
            lambda: next((one for one in list(self.taken) if text in one.body), None), f"a request with {text!r}"
        )

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read(connection)
                if request is None:
                    return
                with self._lock:
                    self.requests.append(request)
                    behaviour = self._behaviours.popleft() if self._behaviours else None
                if behaviour is None and (behaviour := self.rule(request)) is None:
                    self.taken.append(request)
                (behaviour or answer(200))(connection, self)
            except OSError:
                pass  # the client has gone

    def close(self) -> None:
        self._ended.set()
        # Wakes `accept`, which a mere close does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def taken_numbers(server: Server) -> Counter[int]:
    """How often a server has taken each message, by the `n` of its body."""
    return Counter(json.loads(one.body)["n"] for one in list(server.taken))


def _read(connection: socket.socket) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65_536)
        if not more:
            return None
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = connection.recv(65_536)
        if not more:
            return None
        body += more
    return Request(method, target, headers, body)


def closed_port() -> int:
    """A port on which nobody listens; kept from others by having been used a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(*behaviours: Behaviour, port: int = 0, rule: Rule = lambda _: None) -> Iterator[Server]:
    server = Server(*behaviours, port=port, rule=rule)
    try:
        yield server
    finally:
        server.close()
