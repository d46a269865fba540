"""Where Prometheus and the kubelet look: /metrics, /livez and /readyz on a port of their own.

It has threads of its own, so that it answers while the event loop does something else; a scraper that sends or reads
nothing holds one of a few connections, for some seconds, and until somebody else needs it.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import error_for
from .exposition import Exposition

# Of one read or write of a connection.
_PATIENCE_SECONDS = 5.0
_MAX_CONNECTIONS = 16
# A shard or the event loop that has not moved for so long is stuck. A script may take 10 s, and a shard waits for none.
STUCK_SECONDS = 15.0

_ELECTS = "NATS elects one as soon as most of its servers reach each other"

Shards = Callable[[], Sequence[Mapping[str, Any]]]
"""See `Engine.shards`."""


class Pulse:
    """Whether something that counts on goes on. Thread-safe enough: two who look at once see the same."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[object, float] = (None, clock())

    def still_for(self, count: object) -> float:
        """Seconds since `count` was seen to change."""
        now = self._clock()
        if count != self._last[0]:
            self._last = (count, now)
        return now - self._last[1]


class Monitor:
    """What is known of the run. Starting, it lives and is not ready."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shards: Shards | None = None
        self._exposition: Exposition | None = None
        self._leaderless: Callable[[], Sequence[str]] = tuple
        self._looped = clock()
        self._is_draining = False
        self._pulses: dict[int, Pulse] = {}

    def watch(self, shards: Shards, exposition: Exposition, leaderless: Callable[[], Sequence[str]] = tuple) -> None:
        """Messages flow from now on. `leaderless`: streams of ours that take nothing, since they have no leader."""
        self._looped, self._leaderless = self._clock(), leaderless
        self._shards, self._exposition = shards, exposition

    def loops(self) -> None:
        """The event loop has come round; told a few times a second."""
        self._looped = self._clock()

    def drain(self) -> None:
        """Nothing new is taken in."""
        self._is_draining = True

    def stuck(self) -> list[str]:
        """What does not move any more, for `/livez`. A drain has its own deadline."""
        return [] if self._shards is None else self._stuck(self._shards())

    def _stuck(self, shards: Sequence[Mapping[str, Any]]) -> list[str]:
        if self._is_draining:
            return []
        found = []
        if (still := self._clock() - self._looped) >= STUCK_SECONDS:
            found.append(f"the control loop has stood still for {still:.0f} s")
        for number, shard in enumerate(shards):
            pulse = self._pulses.setdefault(number, Pulse(self._clock))
            if (still := pulse.still_for(shard["ticks"])) >= STUCK_SECONDS:
                found.append(f"shard {number} has stood still for {still:.0f} s")
        return found

    def unready(self) -> list[str]:
        """Why it had better get no messages, for `/readyz`."""
        if self._shards is None:
            return ["it starts"]
        if self._is_draining:
            return ["it drains"]
        shards = self._shards()
        away = [
            f"shard {number} has no connection to NATS" for number, one in enumerate(shards) if not one["connected"]
        ]
        # A server that is away answers for no stream.
        leaderless = [] if away else [f"the stream {name} has no leader; {_ELECTS}" for name in self._leaderless()]
        return away + leaderless + self._stuck(shards)

    def metrics(self, accept: str) -> tuple[bytes, str] | None:
        """None while it starts."""
        return None if self._exposition is None else self._exposition.text(accept)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE_SECONDS
    server_version, sys_version = "vrsky", ""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._metrics()
            case "/livez":
                self._probe(self.server.monitor.stuck())
            case "/readyz":
                self._probe(self.server.monitor.unready())
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /livez or /readyz\n", "text/plain")

    def _metrics(self) -> None:
        found = self.server.monitor.metrics(self.headers.get("Accept", ""))
        if found is None:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"it starts\n", "text/plain")
        else:
            self._answer(HTTPStatus.OK, *found)

    def _probe(self, reasons: list[str]) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        body = json.dumps({"ok": not reasons, "reasons": reasons}) + "\n"
        self._answer(status, body.encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: a probe every few seconds is no news."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], monitor: Monitor) -> None:
        self.monitor = monitor
        self._lock = threading.Lock()
        # The oldest first.
        self._open: dict[socket.socket, None] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """The oldest connection makes room for a new one: whoever drips bytes keeps no probe out."""
        with self._lock:
            oldest = next(iter(self._open), None) if len(self._open) >= _MAX_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
            self._open[request] = None
        if oldest is not None:
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a scraper that hangs up is its own affair."""


@contextmanager
def monitoring(listen: str | None, say: Callable[[str], None]) -> Iterator[Monitor]:
    """Answers on `listen`, an IP:port, while it lasts. Raises ConfigError `config/cannot-listen`."""
    monitor = Monitor()
    if listen is None:
        yield monitor
        return
    host, _, port = listen.rpartition(":")
    try:
        server = _Server((host.strip("[]"), int(port)), monitor)
    except OSError as error:
        raise error_for("config/cannot-listen", f"--metrics: cannot listen on {listen}: {error.strerror}") from None
    thread = threading.Thread(target=server.serve_forever, name="vrsky-monitor", daemon=True)
    thread.start()
    try:
        say(f"metrics and probes: http://{host}:{server.server_address[1]}")
        yield monitor
    finally:
        server.shutdown()
        server.server_close()
