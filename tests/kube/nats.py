"""nats-servers as the manifests would start them, on loopback."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from vrsky_fast.control.server_config import binary

from ..clusters import free_ports
from ..end_to_end.node import eventually
from .manifests import DEPLOY
from .processes import PATIENCE, Processes, get

PASSWORDS = {"node": "n0de-secret", "operator": "op-secret"}


class Servers:
    """One of components/nats, or the three of components/nats-cluster. Addresses, ports and folders are the test's; the
    rest is what the files say. Ended with the block."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        self._processes = Processes(folder)
        self._ports = [free_ports(3) for _ in range(count)]
        for number in range(count):
            self._write(number)

    def _write(self, number: int) -> None:
        folder = self._folder(number)
        (folder / "data").mkdir(parents=True)
        client, monitor, route = self._ports[number]
        component = DEPLOY / "kustomize" / "components"
        config = (component / "nats" / "nats.conf").read_text()
        for theirs, ours in {
            '"0.0.0.0:4222"': f'"127.0.0.1:{client}"',
            '"0.0.0.0:8222"': f'"127.0.0.1:{monitor}"',
            '"/data"': f'"{folder / "data"}"',
            '"/tmp/nats.pid"': f'"{folder / "nats.pid"}"',
        }.items():
            config = replaced(config, theirs, ours)
        (folder / "nats.conf").write_text(config)
        cluster = (component / ("nats" if len(self._ports) == 1 else "nats-cluster") / "cluster.conf").read_text()
        if len(self._ports) > 1:
            cluster = replaced(cluster, '"0.0.0.0:6222"', f'"127.0.0.1:{route}"')
            for other, ports in enumerate(self._ports):
                cluster = replaced(cluster, f"vrsky-nats-{other}.vrsky-nats-peers:6222", f"127.0.0.1:{ports[2]}")
        (folder / "cluster.conf").write_text(cluster)

    def _folder(self, number: int) -> Path:
        return self._processes.folder / f"vrsky-nats-{number}"

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._processes.end)
            for number in range(len(self._ports)):
                variables = {f"{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
                environment = os.environ | variables | {"SERVER_NAME": f"vrsky-nats-{number}"}
                config = self._folder(number) / "nats.conf"
                self._processes.start(f"nats-{number}", binary(), "--config", config, environment=environment)
            eventually(self._all_ready, "every server is ready", PATIENCE)
            undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._processes.end()

    def _all_ready(self) -> bool:
        self._processes.assert_alive()
        return all(self.answers(number, "/healthz") == 200 for number in range(len(self._ports)))

    def answers(self, number: int, path: str) -> int:
        """The status of a request to the port of the probes."""
        return get(f"http://127.0.0.1:{self._ports[number][1]}{path}")[0]

    def url(self, user: str) -> str:
        return ",".join(f"nats://{user}:{PASSWORDS[user]}@127.0.0.1:{ports[0]}" for ports in self._ports)

    def said(self) -> str:
        """The logs of all servers."""
        return "".join(self._processes.log(f"nats-{number}").read_text() for number in range(len(self._ports)))


def replaced(text: str, theirs: str, ours: str) -> str:
    """`theirs` has to be there: a test of other settings than those of the file would prove nothing."""
    assert theirs in text, theirs
    return text.replace(theirs, ours)
