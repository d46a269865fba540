"""Programs that a fixture starts in order, and ends in the reverse order."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Far more than anything here takes: a test that waits so long has failed.
PATIENCE = 120.0


class Processes:
    """Each has a log of its own in `folder`, which a failure shows the end of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, env=environment
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def assert_alive(self) -> None:
        for name, process in self._running.items():
            assert process.poll() is None, f"{name} has ended: {self.log(name).read_text(errors='replace')[-2000:]}"

    def end(self) -> None:
        """Returns when the last of them has gone: what they listened on is free, and what they wrote is still."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def get(url: str, token: str = "", authority: Path | None = None) -> tuple[int, str]:
    """Status and body; 0 while nobody answers."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    context = ssl.create_default_context(cafile=authority) if authority else None
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def get_json(url: str, token: str = "", authority: Path | None = None) -> Any:
    status, body = get(url, token, authority)
    assert status == 200, (url, status, body[:500])
    return json.loads(body)
