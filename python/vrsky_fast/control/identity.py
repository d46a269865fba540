"""Who asks: the user as the NATS server knows it, and the login on this machine."""

from __future__ import annotations

import getpass
import json
import socket

import nats.errors
from nats.aio.client import Client

UNKNOWN = "unknown user"
_SUBJECT = "$SYS.REQ.USER.INFO"
_TIMEOUT_SECONDS = 1.0
_MAX_CHARACTERS = 200
# The account of a server without accounts.
_GLOBAL = "$G"


async def user_of(client: Client) -> str:
    """Such as `ops`, or `ops of the account PROD`. A server that has no users, is older than 2.10 or does not permit
    the question gives `unknown user`; never raises for that."""
    try:
        answer = await client.request(_SUBJECT, b"", timeout=_TIMEOUT_SECONDS)
        data = json.loads(answer.data)["data"]
        user, account = str(data.get("user") or ""), str(data.get("account") or "")
    except (nats.errors.Error, OSError, ValueError, KeyError, TypeError, AttributeError):
        return UNKNOWN
    if not user:
        return UNKNOWN
    return (user if account in {"", _GLOBAL} else f"{user} of the account {account}")[:_MAX_CHARACTERS]


def login() -> str:
    """Such as `ann@laptop`."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"[:_MAX_CHARACTERS]
    except (OSError, KeyError):  # a user without a name, as in some containers
        return socket.gethostname()[:_MAX_CHARACTERS]
