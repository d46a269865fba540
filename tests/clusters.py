"""Three nats-servers that are one cluster, on loopback; and an operator whose users have JWTs."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from .certificates import Listening


class Cluster:
    """Ended with the block. Each server has JetStream."""

    def __init__(self, folder: Path, config: str = "") -> None:
        folder.mkdir()
        self._folder, self._config = folder, config
        self._servers = ExitStack()
        self.servers: list[Listening] = []

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{server.port}" for server in self.servers)

    def __enter__(self) -> Cluster:
        ports = free_ports(3)
        for number in range(len(ports)):
            text = member(number, ports) + self._config
            self.servers.append(Listening(self._folder / str(number), text))
        for server in self.servers:
            self._servers.enter_context(server)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._servers.close()


def member(number: int, routes: list[int]) -> str:
    """What makes a server the one of this number in a cluster whose servers have these ports for each other."""
    urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    listen = f"127.0.0.1:{routes[number]}"
    return f'server_name: n{number}\ncluster {{ name: C, listen: "{listen}", routes: [{urls}] }}\n'


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


_PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}


class Nkey:
    """A new Ed25519 key of the system's `openssl`."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        self._file, self._prefix = folder / f"{name}.pem", _PREFIXES[kind]
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(self._file)], check=True)

    def _der(self, *options: str) -> bytes:
        """The last 32 bytes are the key."""
        command = ["openssl", "pkey", "-in", str(self._file), "-outform", "DER", *options]
        return subprocess.run(command, check=True, capture_output=True).stdout[-32:]

    @property
    def public(self) -> str:
        return encoded(bytes([self._prefix]) + self._der("-pubout"))

    @property
    def seed(self) -> str:
        return encoded(bytes([18 << 3 | self._prefix >> 5, (self._prefix & 31) << 3]) + self._der())

    def jwt(self, subject: str, claims: dict[str, Any]) -> str:
        body = {"jti": "1", "iat": 1_700_000_000, "iss": self.public, "name": "test", "sub": subject, "nats": claims}
        text = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
        signed = self._file.with_suffix(".txt")
        signed.write_text(text)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(self._file), "-in", str(signed)]
        return f"{text}.{_base64(subprocess.run(command, check=True, capture_output=True).stdout)}"


class Operator:
    """With one account, whose users have creds files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._operator, self._account = Nkey(folder, "operator", "operator"), Nkey(folder, "account", "account")
        self._system = Nkey(folder, "system", "account")

    def server(self) -> str:
        """For a server's configuration."""
        everything = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        room = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
        accounts = {self._account.public: everything | room, self._system.public: everything}
        tokens = ", ".join(
            f"{key}: {self._jwt(key, 'account', limits=limits | {'wildcards': True})}"
            for key, limits in accounts.items()
        )
        operator = self._jwt(self._operator.public, "operator")
        system = f"system_account: {self._system.public}"
        return f"operator: {operator}\n{system}\nresolver: MEMORY\nresolver_preload: {{ {tokens} }}\n"

    def _jwt(self, subject: str, kind: str, **claims: Any) -> str:
        return self._operator.jwt(subject, {"type": kind, "version": 2, **claims})

    def creds(self) -> Path:
        """The file of a user."""
        user = Nkey(self._folder, "user", "user")
        limits = {"subs": -1, "data": -1, "payload": -1}
        jwt = self._account.jwt(user.public, {"type": "user", "version": 2, **limits})
        file = self._folder / "user.creds"
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        return file


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def encoded(data: bytes) -> str:
    """In base32 with the CRC-16/XMODEM of NKeys."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")
