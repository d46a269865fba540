"""A disk that is full: clients are told, nothing accepted is lost, and it goes on when there is room.

A tmpfs is the disk, so these tests need the right to mount one; as another user they fail.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Vrsky, post
from .conftest import StartNode
from .load import under_load
from .node import PATIENCE, Node, a_number, eventually
from .servers import answer, serving

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - filter: n > 0
out: {file: {path: %s}}
limits: {backlog: 10000}
"""
MEGABYTE = 1 << 20


class Disk:
    """A small disk, and what fills it."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self.folder.mkdir()
        size = ["-o", f"size={megabytes}m"]
        mounted = subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", folder], capture_output=True, text=True)
        assert mounted.returncode == 0, f"this test needs to mount a tmpfs: {mounted.stderr}"

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def fill(self, but: int = 0) -> None:
        """To the last byte, or to the last few."""
        with self._filler.open("ab", buffering=0) as file:
            size = MEGABYTE
            while size:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    size //= 2
            file.truncate(file.tell() - but)

    def free(self) -> None:
        self._filler.unlink()

    def protect(self) -> None:
        """Nothing can be written any more."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)

    def limit(self, megabytes: int) -> None:
        """Another size, for those who ask from now on."""
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", self.folder], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", 64)
    yield disk
    disk.unmount()


@pytest.mark.parametrize("spoil", [Disk.fill, Disk.protect], ids=["full", "read-only"])
def test_a_disk_that_cannot_be_written_at_start_is_an_error_with_a_hint(
    disk: Disk, minimal: Path, vrsky: Vrsky, spoil: Callable[[Disk], None]
) -> None:
    data = disk.folder / "data"
    (data / "jetstream").mkdir(parents=True)
    spoil(disk)
    for verb in (["run", str(minimal), "--listen", "127.0.0.1:0"], ["dlq", "ls"]):
        refused = vrsky(*verb, "--data", data)
        assert refused.returncode == 3, refused.stderr
        assert f"config/data-folder-unusable: the data folder {data} cannot be used" in refused.stderr
        assert "hint: Name another one with --data" in refused.stderr


def test_a_full_disk_refuses_with_503_and_goes_on_when_there_is_room(
    start_node: StartNode, disk: Disk, tmp_path: Path
) -> None:
    written = tmp_path / "orders.ndjson"
    node = start_node({"orders.yaml": ORDERS % written}, "--files-anywhere", data=disk.folder / "data")
    with under_load(node.url("/orders"), clients=2) as load:
        load.wait_for(50)
        disk.fill()
        refused = eventually(lambda: list(load.refused), "a refusal")
        assert {status for status, _ in refused} == {503}
        assert {code for _, code in refused} <= {
            "nats/stream-full",
            "nats/timeout",
            "nats/disconnected",
            "nats/no-stream",
        }
        node.assert_alive()
        disk.free()
        load.wait_for(50)
        accepted = load.stop()
    eventually(lambda: accepted <= numbers(node, written), "every accepted message in the file")
    again = a_number()
    eventually(lambda: post(node.url("/orders"), b'{"n": %d}' % again, "application/json")[0] == 202, "a 202")
    eventually(lambda: again in numbers(node, written), "the message sent afterwards")
    node.assert_alive()
    assert node.stop() == 0


def numbers(node: Node, written: Path) -> set[int]:
    """As in the file outside the data folder."""
    return node.numbers(str(written))


def fill_the_store(node: Node) -> set[int]:
    """Posts until the node takes no more; gives the numbers that it took."""
    accepted: set[int] = set()
    text = "x" * MEGABYTE
    while True:
        number = a_number()
        status, told = post(
            node.url("/orders"), b'{"n": %d, "text": "%s"}' % (number, text.encode()), "application/json"
        )
        if status != 202:
            break
        accepted.add(number)
        assert len(accepted) < 1_000
    assert (status, told["code"]) == (503, "nats/stream-full")
    assert accepted
    node.assert_alive()
    return accepted


def park_and_fill(start_node: StartNode, data: Path) -> tuple[Node, set[int]]:
    """A run whose out is away: it parks, until that is full as well."""
    waiting = (ORDERS % "x").replace("file: {path: x}", "http: {url: 'http://127.0.0.1:1/'}")
    node = start_node({"orders.yaml": waiting}, data=data)
    first = a_number()
    node.accepts("/orders", b'{"n": %d}' % first)
    node.hears("parking")
    return node, fill_the_store(node) | {first}


def test_a_store_at_the_end_of_its_share_refuses_with_503_and_recovers(
    start_node: StartNode, disk: Disk, tmp_path: Path
) -> None:
    data, written = disk.folder / "data", tmp_path / "orders.ndjson"
    node, accepted = park_and_fill(start_node, data)
    assert b"no space left" not in (data / "nats" / "server.log").read_bytes()
    # A stop would wait for the server that is not there.
    node.kill()
    node = start_node({"orders.yaml": ORDERS % written}, "--files-anywhere", data=data)
    eventually(lambda: accepted <= numbers(node, written), "every accepted message in the file")
    node.assert_alive()
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    eventually(lambda: number in numbers(node, written), "the message sent afterwards")
    assert node.stop() == 0


def test_a_full_store_still_takes_dead_letters(start_node: StartNode, disk: Disk) -> None:
    # Busy for an hour after the first one; the run after that is refused for good.
    data = disk.folder / "data"
    with serving(*[answer(429, "Retry-After: 3600")] * 100) as busy:
        away = (ORDERS % "x").replace("file: {path: x}", f"http: {{url: '{busy.url}'}}")
        node = start_node({"orders.yaml": away}, data=data)
        fill_the_store(node)
        node.kill()
    with serving(*[answer(400)] * 1_000) as refusing:
        node = start_node({"orders.yaml": away.replace(busy.url, refusing.url)}, data=data)
        # They have a share of their own, and are kept until somebody deletes them.
        node.hears("dead")
        eventually(lambda: len(node.dead_letters()) >= 5, "dead letters")
        assert {one["code"] for one in node.dead_letters()} == {"http/rejected"}
        server = node.server()
        node.kill()
        server.end(PATIENCE)


def test_a_run_uses_the_room_that_comes_free(start_node: StartNode, disk: Disk) -> None:
    disk.limit(24)
    with serving(*[answer(429, "Retry-After: 3600")] * 100) as busy:
        away = (ORDERS % "x").replace("file: {path: x}", f"http: {{url: '{busy.url}'}}")
        node = start_node({"orders.yaml": away}, data=disk.folder / "data")
        fill_the_store(node)
        disk.limit(64)
        body = b'{"n": 1, "text": "%s"}' % (b"x" * MEGABYTE)
        eventually(lambda: post(node.url("/orders"), body, "application/json")[0] == 202, "a 202")
        server = node.server()
        node.kill()
        server.end(PATIENCE)


def test_a_start_on_a_disk_that_is_full_of_something_else_says_so_at_once(
    start_node: StartNode, disk: Disk, minimal: Path, vrsky: Vrsky
) -> None:
    data = disk.folder / "data"
    node = start_node({"orders.yaml": ORDERS % "orders.ndjson"}, data=data)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    # Enough for a lock and a configuration, not for a server.
    disk.fill(but=64 * 1024)
    for verb in (["run", minimal, "--listen", "127.0.0.1:0"], ["dlq", "ls"]):
        refused = vrsky(*verb, "--data", data)
        assert refused.returncode == 3
        assert "config/data-folder-unusable" in refused.stderr
        assert "its disk is full" in refused.stderr


def test_what_is_parked_when_others_fill_the_disk_is_delivered_when_there_is_room(
    start_node: StartNode, disk: Disk, tmp_path: Path
) -> None:
    data, written = disk.folder / "data", tmp_path / "orders.ndjson"
    node, accepted = park_and_fill(start_node, data)
    disk.fill()
    node.kill()
    disk.free()
    node = start_node({"orders.yaml": ORDERS % written}, "--files-anywhere", data=data)
    node.hears("ready")
    disk.fill()
    problem = node.refuses("/orders", b'{"n": 1, "text": "%s"}' % (b"x" * MEGABYTE))
    assert problem["status"] == 503
    disk.free()
    eventually(lambda: accepted <= numbers(node, written), "every accepted message in the file")
    assert node.stop() == 0


def test_a_file_out_on_a_full_disk_waits_for_room(start_node: StartNode, disk: Disk) -> None:
    written = disk.folder / "orders.ndjson"
    node = start_node({"orders.yaml": ORDERS % written}, "--files-anywhere")
    disk.fill()
    sent = {a_number() for _ in range(20)}
    for number in sent:
        node.accepts("/orders", b'{"n": %d}' % number)
    retried = node.hears("retried")
    assert (retried["code"], retried["step"]) == ("file/write", "default")
    disk.free()
    eventually(lambda: sent <= numbers(node, written), "every accepted message in the file", PATIENCE)
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    eventually(lambda: number in numbers(node, written), "the message sent afterwards")
    assert node.stop() == 0
