"""Authorities, certificates and keys that live as long as a test, and servers that use them: nothing
secret is in the repository. Made by the `openssl` of the system."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

from vrsky_fast.control import server_config
from vrsky_fast.control.tls import Tls

_CONFIG = """\
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[holder]
basicConstraints = critical,CA:FALSE
"""


class Certificates:
    """A folder of PEM files, of one authority: `ca.pem`, and `server.pem` for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "openssl.cnf").write_text(_CONFIG)
        self._make("ca", "-extensions", "authority")
        self.issue("server", "IP:127.0.0.1")

    def issue(self, name: str, holder: str) -> None:
        """Writes NAME.pem and NAME-key.pem; `holder` is as openssl writes it, such as DNS:localhost."""
        authority = ["-CA", str(self.file("ca")), "-CAkey", str(self.file("ca-key"))]
        self._make(name, "-extensions", "holder", "-addext", f"subjectAltName={holder}", *authority)

    def _make(self, name: str, *more: str) -> None:
        kind = ["-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        files = ["-keyout", str(self.file(f"{name}-key")), "-out", str(self.file(name))]
        config = ["-config", str(self.folder / "openssl.cnf"), "-subj", f"/CN={name}"]
        subprocess.run(["openssl", "req", *kind, *files, *config, *more], check=True, capture_output=True)

    def encrypted(self, name: str) -> Path:
        """The key of NAME.pem, in a file that wants a password."""
        file = self.file(f"{name}-encrypted")
        keys = ["-in", str(self.file(f"{name}-key")), "-out", str(file)]
        subprocess.run(["openssl", "pkcs8", "-topk8", "-passout", "pass:x", *keys], check=True)
        return file

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def client(self, name: str | None = None) -> Tls:
        """Who believes this authority, and shows the certificate `name`."""
        return Tls(self.file("ca"), name and self.file(name), name and self.file(f"{name}-key"))

    def server(self, more: str = "") -> str:
        """The `tls` block of a server's configuration, with `more` in it."""
        files = {"cert_file": "server", "key_file": "server-key", "ca_file": "ca"}
        return "tls { " + ", ".join(f'{key}: "{self.file(name)}"' for key, name in files.items()) + f", {more} }}\n"


class Listening:
    """A nats-server of its own with JetStream, ended with the block. With a `port` it can be started once more in the
    same folder."""

    def __init__(self, folder: Path, config: str, port: int = -1) -> None:
        folder.mkdir(exist_ok=port != -1)
        file = folder / "server.conf"
        file.write_text(f'host: "127.0.0.1"\nport: {port}\njetstream {{ store_dir: "{folder}" }}\n{config}')
        command = [server_config.binary(), "-c", str(file)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.port = 0

    def __enter__(self) -> Listening:
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if "Listening for client connections on" in line:
                self.port = int(line.rpartition(":")[2])
            if "Server is ready" in line:
                return self
        raise AssertionError("".join(said))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
