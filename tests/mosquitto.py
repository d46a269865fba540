"""An MQTT broker of a test's own: Debian's Mosquitto on a free port, with a store."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROGRAM = Path("/usr/sbin/mosquitto")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """`config`: lines below its listener."""

    def __init__(self, folder: Path, config: str = "allow_anonymous true") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = _free_port()
        store = f"persistence true\npersistence_location {folder}/\nuser root\nlog_dest stderr\n"
        (folder / "broker.conf").write_text(f"{store}listener {self.port} 127.0.0.1\n{config}\n")
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [str(PROGRAM) if PROGRAM.exists() else "mosquitto", "-c", str(self.folder / "broker.conf")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        for _ in range(1000):
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)
                raise AssertionError((self.folder / "log").read_text())
        raise AssertionError("mosquitto does not listen")

    def save(self) -> None:
        """Returns when all that it holds is on its disk."""
        file = self.folder / "mosquitto.db"
        file.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < until, "mosquitto does not save"
            time.sleep(0.01)

    def kill(self) -> None:
        """As `kill -9` does: what is not saved is lost."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """In order: it saves what it holds."""
        self._process.terminate()
        self._process.wait()

    def publish(self, topic: str, payloads: Iterable[str], *arguments: str) -> None:
        """With QoS 1, unless `arguments` say otherwise; returns when the broker has acked all of them."""
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", "-l", "-t", topic, *arguments]
        subprocess.run(command, input="".join(f"{one}\n" for one in payloads), text=True, check=True, timeout=60)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
