"""TLS to a NATS server: whom to believe, who we are, and what a failure means."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.errors import Error
from nats.js import JetStreamContext

from .access import Access
from .failure import fail

# OpenSSL's X509_V_ERR_*: not valid yet, expired; host, IP; signature, self-signed, no issuer.
_EXPIRED = {9, 10}
_WRONG_NAME = {62, 64}
_UNKNOWN_CA = {2, 7, 18, 19, 20, 21}
_OF_THE_CLIENT = ("ALERT_CERTIFICATE", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_UNSUPPORTED_CERT")
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}


@dataclass(frozen=True)
class Tls:
    """PEM files, and whether TLS comes before the server's first word. With any of it, as with tls://,
    there is no connection without TLS; with none of it and nats://, the server decides."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    first: bool = False

    @property
    def wanted(self) -> bool:
        return self != Tls()

    def context(self) -> ssl.SSLContext:
        """Believes `ca`, else the system's authorities. Raises ConfigError naming the file."""
        if (self.cert is None) != (self.key is None):
            fail("config/invalid-value", "a client certificate and its key have to be named together")
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            fail("config/invalid-value", f"{self.ca} cannot be used as authorities: {_why(error)}")
        # From Python 3.13 on set, and more than the native core asks of an authority.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.cert and self.key:
            try:
                # An encrypted key would be asked for at the terminal.
                context.load_cert_chain(self.cert, self.key, password=lambda: "")
            except OSError as error:
                reason = f"{self.cert} and {self.key} cannot be used as certificate and key: {_why(error)}"
                fail("config/invalid-value", reason)
        return context


AS_THE_SERVER_SAYS = Tls()


class Refused(Error):
    """What the server's INFO says makes a connection impossible."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class StrictClient(Client):
    """A client that keeps to what was asked for: of itself it would go on in plain text, credentials
    included, when a server does not require TLS. Its JetStream is where `access` says."""

    def __init__(self, tls: Tls, required: bool, access: Access) -> None:
        super().__init__()
        self._tls, self._required, self.access = tls, required, access

    def jetstream(self, **options: Any) -> JetStreamContext:
        return super().jetstream(prefix=self.access.api, **options)

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
            if not self.is_connected:
                raise ConnectionResetError("the server hung up")
        except (OSError, Error, TimeoutError) as error:
            # After TLS that failed, the end of the plain stream is told to nobody, and `close` waits for it.
            if isinstance(self._transport, TcpTransport) and self._transport._io_writer:
                self._transport._io_writer.transport.abort()
            self._transport = None
            if isinstance(error, ConnectionError) and self._server_info.get("tls_verify"):
                # Its alert is lost when the end of the connection overtakes it.
                reason = "the server hung up after TLS; it wants a client certificate that it trusts"
                raise Refused("nats/tls-client-certificate", reason) from error
            raise

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Called with the INFO before anything is sent; `tls_required` in it decides."""
        if initial_connection:
            offered = info.get("tls_required") or info.get("tls_available") or self._tls.first
            if self._required and not offered:
                raise Refused("nats/tls-missing", "the server does not offer TLS")
            if self._required:
                info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    def _connect_command(self) -> bytes:
        """Called once TLS is up, so that a server that is not believed is told from one that wants more."""
        if self._server_info.get("tls_required") and self._server_info.get("tls_verify") and self._tls.cert is None:
            raise Refused("nats/tls-client-certificate", "the server wants a client certificate")
        command = super()._connect_command()
        said = self.access.answer(self._server_info.get("nonce") or "")
        if not said:
            return command
        return f"CONNECT {json.dumps(json.loads(command.removeprefix(b'CONNECT ')) | said)}\r\n".encode()


def explain(error: Exception) -> tuple[str, str] | None:
    """Code and reason of a failure that TLS explains."""
    if isinstance(error, Refused):
        return error.code, str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _code_of(error.verify_code), error.verify_message
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if any(alert in reason for alert in _OF_THE_CLIENT):
            return "nats/tls-client-certificate", _why(error)
        return "nats/tls-missing" if reason in _NO_TLS else "nats/tls-handshake", _why(error)
    return None


def _code_of(number: int) -> str:
    for code, numbers in (("expired", _EXPIRED), ("wrong-name", _WRONG_NAME), ("unknown-ca", _UNKNOWN_CA)):
        if number in numbers:
            return f"nats/tls-{code}"
    return "nats/tls-handshake"


def _why(error: OSError) -> str:
    """Without what OpenSSL adds of its own sources."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return error.strerror or type(error).__name__
