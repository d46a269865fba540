"""How a NATS server that was named is used: by which credentials in a file, and where its JetStream is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .._native import sign_nonce
from .failure import fail

_TOKENS = re.compile(r"[^\s.*>\x00-\x1f]+(\.[^\s.*>\x00-\x1f]+)*")


@dataclass(frozen=True)
class Access:
    """`creds` is a file with the JWT of a user and its seed, `nkey` one with a seed alone; both are read at every
    connect. With `discover` servers are used that others tell of. `domain` is JetStream's, where it is not the
    server's own; `api_prefix` what subjects of its API begin with."""

    creds: Path | None = None
    nkey: Path | None = None
    discover: bool = True
    domain: str | None = None
    api_prefix: str | None = None

    @property
    def api(self) -> str:
        """What subjects of JetStream's API begin with."""
        if self.domain is not None:
            return f"$JS.{self.domain}.API"
        return self.api_prefix or "$JS.API"

    def check(self) -> None:
        """Raises ConfigError for what excludes each other, and for what is no subject."""
        if self.creds and self.nkey:
            fail("config/invalid-value", "a creds file and the file of an NKey exclude each other")
        if self.domain is not None and self.api_prefix is not None:
            fail("config/invalid-value", "a JetStream domain and an API prefix exclude each other")
        if self.domain is not None and ("." in self.domain or not _TOKENS.fullmatch(self.domain)):
            fail("config/invalid-value", f"{self.domain!r} is no JetStream domain: it is one token of a subject")
        if self.api_prefix is not None and not _TOKENS.fullmatch(self.api_prefix):
            fail("config/invalid-value", f"{self.api_prefix!r} is no prefix of JetStream's API")

    def answer(self, nonce: str) -> dict[str, str]:
        """What CONNECT says beside the usual, to a server that has this nonce. Raises ConfigError."""
        file = self.creds or self.nkey
        if file is None or not nonce:
            return {}
        jwt, nkey, signature = sign_nonce(file, self.creds is not None, nonce)
        said = {"jwt": jwt, "nkey": nkey, "sig": signature}
        return {name: value for name, value in said.items() if value is not None}


AS_USUAL = Access()
