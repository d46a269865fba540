"""Clients that post one numbered message after the other, and remember which were accepted."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread
from urllib.parse import urlsplit

from .node import PATIENCE, a_number

# A pipeline for them, with a step of each sort.
ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - filter: n > 0
  - script: {language: js, code: "export default (msg) => { msg.seen = true; return msg; }"}
out: {file: {path: orders.ndjson}}
limits: {backlog: 10000}
"""


class Load:
    """`accepted`: the number of every message answered with 202. Clients stop when told to, or when
    nobody listens any more. `padding`: bytes that a message has besides its number."""

    def __init__(self, url: str, clients: int = 4, padding: int = 0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._address = (parts.hostname, parts.port)
        self._path = parts.path
        self._padding = b" " * padding
        self.accepted: set[int] = set()
        self.refused: list[tuple[int, str]] = []
        """Status and code of the others. Each has to say when to come again."""
        self._more = Condition()
        self._enough = Event()
        self._clients = [Thread(target=self._post_on, daemon=True) for _ in range(clients)]
        for client in self._clients:
            client.start()

    def _post_on(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE)
        try:
            while not self._enough.is_set():
                number = a_number()
                body = b'{"n": %d%s}' % (number, self._padding)
                connection.request("POST", self._path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                told = json.loads(answer.read())
                again = answer.headers["Retry-After"]
                with self._more:
                    if answer.status == 202:
                        self.accepted.add(number)
                    else:
                        self.refused.append((answer.status, told["code"] if again else "no Retry-After"))
                    self._more.notify_all()
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the node was ended on purpose; what had no answer is not counted
        finally:
            connection.close()
            with self._more:
                self._more.notify_all()

    def wait_for(self, more: int) -> None:
        """Until so many more were accepted."""
        with self._more:
            wanted = len(self.accepted) + more
            reached = self._more.wait_for(lambda: len(self.accepted) >= wanted, PATIENCE)
        assert reached, f"{len(self.accepted)} of {wanted} accepted; refused: {self.refused[-3:]}"

    def stop(self) -> set[int]:
        self._enough.set()
        for client in self._clients:
            client.join()
        return self.accepted


@contextmanager
def under_load(url: str, clients: int = 4, padding: int = 0) -> Iterator[Load]:
    load = Load(url, clients, padding)
    try:
        yield load
    finally:
        load.stop()
