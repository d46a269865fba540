"""What goes wrong between a request to NATS and its answer, as our errors: here, and nowhere else.

nats-py has classes of its own, asyncio's TimeoutError, and the socket's OSError when a connection is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from nats.errors import (
    ConnectionClosedError,
    ConnectionDrainingError,
    ConnectionReconnectingError,
    Error,
    MaxPayloadError,
    StaleConnectionError,
)
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from .failure import fail

_CUT = (ConnectionClosedError, ConnectionDrainingError, ConnectionReconnectingError, StaleConnectionError)
# The cluster, or the stream, has no leader just now, or is not ready.
PASSES = (10004, 10008, 10009, 10118)


@contextmanager
def answers(what: str) -> Iterator[None]:
    """Raises NatsError for all that nats-py raises within; `what` is what was asked for, such as a stream. Take only
    NATS work into it: every OSError within counts as a lost connection."""
    try:
        yield
    except (Error, OSError) as error:
        fail(*_explained(what, error))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody has cancelled this task: the client has cancelled what it waited for, as it was closed.
        fail("nats/disconnected", f"{what}: the connection was lost")


def _explained(what: str, error: Exception) -> tuple[str, str]:
    """Code and reason."""
    match error:
        case APIError(err_code=number) if number in PASSES:
            return "nats/timeout", f"{what}: {error.description}"
        case ServiceUnavailableError():
            return "nats/refused", f"JetStream is not to be had: {error.description or 'is it enabled?'}"
        case APIError():
            return "nats/refused", f"{what}: {error.description}"
        case NoStreamResponseError():
            return "nats/no-stream", f"{what}: no stream takes it"
        case MaxPayloadError():
            return "nats/max-payload", f"{what}: larger than the server's max_payload"
        case TimeoutError() | Error() if not isinstance(error, _CUT):
            return "nats/timeout", f"{what}: JetStream did not answer: {_text(error)}"
        case _:
            return "nats/disconnected", f"{what}: the connection was lost: {_text(error)}"


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
