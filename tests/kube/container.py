"""A node as its container would run it: the arguments and variables of a manifest, as a process of this machine."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..clusters import free_ports
from ..conftest import clean_environment, command
from ..end_to_end.node import eventually
from .nats import Servers
from .processes import PATIENCE, get

# What is of the pod and not of this machine: its addresses and folders.
_LISTEN = re.compile(r"^(--\w+=)0\.0\.0\.0:(\d+)$")


def apply(pipelines: Path, servers: Servers) -> None:
    """Writes them to where nodes have them from, as an operator."""
    environment = clean_environment() | {"VRSKY_NATS": servers.url("operator")}
    arguments = ("apply", pipelines, "--yes", "--wait=0")
    done = subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


class Container:
    """`container` is that of a manifest, `secrets` has values by
    customer/name. Its receivers may listen on loopback."""

    def __init__(
        self,
        container: dict[str, Any],
        folder: Path,
        servers: Servers,
        secrets: Mapping[str, str],
    ) -> None:
        folder.mkdir()
        self.folder = folder
        named = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        ours = dict(zip(named.values(), free_ports(len(named)), strict=True))
        self.ports = {name: ours[theirs] for name, theirs in named.items()}
        self.mounts = {mount["mountPath"]: folder / mount["name"] for mount in container["volumeMounts"]}
        for mount in self.mounts.values():
            mount.mkdir()
        for name, value in secrets.items():
            file = self.mounts["/run/secrets/vrsky"] / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(value)
        self.arguments = [self._here(one, ours) for one in container["args"]]
        with (folder / "stderr.txt").open("w") as errors, (folder / "stdout.txt").open("w") as output:
            self.process = subprocess.Popen(
                command(*self.arguments, "--allow=127.0.0.1"),
                cwd=folder,
                stdout=output,
                stderr=errors,
                env=clean_environment() | {"VRSKY_NATS": servers.url("node")},
            )

    def _here(self, argument: str, ports: dict[str, int]) -> str:
        if found := _LISTEN.match(argument):
            # A port that no containerPort names has no probe and no Service.
            return f"{found[1]}127.0.0.1:{ports[found[2]]}"
        for theirs, ours in self.mounts.items():
            argument = argument.replace(theirs, str(ours))
        return argument

    def probe(self, probe: dict[str, Any]) -> int:
        """The status that the kubelet would get; 0 without an answer."""
        wanted = probe["httpGet"]
        return get(f"http://127.0.0.1:{self.ports[wanted['port']]}{wanted['path']}")[0]

    def passes(self, probe: dict[str, Any]) -> None:
        """Waits until it does."""

        def passed() -> bool:
            assert self.process.poll() is None, self.errors()
            return self.probe(probe) == 200

        eventually(passed, f"{probe['httpGet']} of {self.arguments} answers with 200", PATIENCE)

    def errors(self) -> str:
        said = (self.folder / name for name in ("stderr.txt", "stdout.txt"))
        return f"exit code {self.process.poll()}: {' '.join(file.read_text()[-2000:] for file in said)}"

    def terminate(self) -> None:
        """What the kubelet sends, once preStop has ended."""
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
