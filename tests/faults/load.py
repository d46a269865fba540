"""Clients of three customers that post numbered messages, one after the other, whatever happens to who listens."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Event, Lock, Thread

from ..end_to_end.node import PATIENCE, a_number
from .customers import Customer

# Until a client whose request found nobody tries again.
PAUSE_SECONDS = 0.05


class Load:
    """By customer: `accepted` are the numbers answered with 202, `unknown` those without an answer, or with one of 5xx,
    which says that nothing is known: each may be stored or not. What was not accepted comes under a new number."""

    def __init__(self, port: int, customers: list[Customer], clients: int) -> None:
        self._port = port
        self.accepted: dict[str, set[int]] = {one.name: set() for one in customers}
        self.unknown: dict[str, set[int]] = {one.name: set() for one in customers}
        self.refused = 0
        self._open: set[int] = set()
        self._lock = Lock()
        self._more = Condition(self._lock)
        self._enough = Event()
        self._threads = [Thread(target=self._post_on, args=[one], daemon=True) for one in customers * clients]
        for thread in self._threads:
            thread.start()

    def in_flight(self) -> int:
        """Requests that have been sent and have no answer yet."""
        return len(self._open)

    def unanswered(self) -> int:
        return sum(map(len, self.unknown.values()))

    def wait_for(self, more: int) -> None:
        """Until so many more were accepted of each customer."""
        with self._more:
            wanted = {name: len(numbers) + more for name, numbers in self.accepted.items()}

            def reached() -> bool:
                return all(len(self.accepted[name]) >= count for name, count in wanted.items())

            assert self._more.wait_for(reached, 3 * PATIENCE), {n: len(found) for n, found in self.accepted.items()}

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _post_on(self, customer: Customer) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2 * PATIENCE)
        while not self._enough.is_set():
            number = a_number()
            with self._lock:
                self._open.add(number)
            status = self._post(connection, customer, number)
            with self._more:
                self._open.discard(number)
                if status == 202:
                    self.accepted[customer.name].add(number)
                elif status is None or status >= 500:
                    self.unknown[customer.name].add(number)
                else:
                    self.refused += 1
                self._more.notify_all()
            if status != 202:
                self._enough.wait(PAUSE_SECONDS)
        connection.close()

    @staticmethod
    def _post(connection: http.client.HTTPConnection, customer: Customer, number: int) -> int | None:
        """The answer's status; None when there was none."""
        try:
            path, headers = f"/in/{customer.name}/orders", {"Content-Type": customer.content_type}
            connection.request("POST", path, customer.body(number), headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        return answer.status


@contextmanager
def under_load(port: int, customers: list[Customer], clients: int = 2) -> Iterator[Load]:
    load = Load(port, customers, clients)
    try:
        yield load
    finally:
        load.stop()
