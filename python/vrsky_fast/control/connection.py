"""A nats-py connection for control work, with our errors."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import nats as nats_py
import nats.errors
from nats.aio.client import Client

from ..errors import NatsError, VrskyError
from .access import AS_USUAL, Access
from .answers import answers
from .failure import fail
from .server_config import Endpoint
from .tls import AS_THE_SERVER_SAYS, StrictClient, Tls, explain


def endpoint_of(url: str, tls: Tls = AS_THE_SERVER_SAYS, access: Access = AS_USUAL) -> Endpoint:
    """`nats://[user:password@|token@]host[:port]`, or tls://, credentials taken out of the URL, so that it
    can be printed; several of a cluster, with commas between them, of which the first credentials count. Raises
    NatsError `nats/connect`, and ConfigError for more than one kind of credentials."""
    read = [_split(part.strip()) for part in url.split(",")]
    urls = ",".join(plain for plain, _, _ in read)
    user, password = next(((user, password) for _, user, password in read if user), (None, None))
    if user and (access.creds or access.nkey):
        fail("config/invalid-value", "credentials in the address and in a file exclude each other")
    if user and password is None:
        return Endpoint(urls, token=user, tls=tls, access=access)
    return Endpoint(urls, user, password, tls=tls, access=access)


def _split(url: str) -> tuple[str, str | None, str | None]:
    """The address without credentials; user and password."""
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port or 4222
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if not host or parts.scheme not in {"nats", "tcp", "tls"} or parts.path not in {"", "/"}:
        fail("nats/connect", "the address must be nats:// or tls://[user:password@]host[:port]")
    scheme = "tls" if parts.scheme == "tls" else "nats"
    plain = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    user = unquote(parts.username) if parts.username else None
    return plain, user, unquote(parts.password) if parts.password else None


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """What asyncio says of each TLS connection that the other side ends: nats-py makes the stream's protocol
    before it knows of TLS."""
    return record.msg != "returning true from eof_received() has no effect when using ssl"


@asynccontextmanager
async def connect(endpoint: Endpoint) -> AsyncIterator[Client]:
    """One attempt at each server, no reconnects: a control command ends rather than hangs. Raises NatsError, and
    ConfigError when a file of `endpoint` cannot be used."""
    logging.getLogger("asyncio").addFilter(_is_worth_saying)
    context = await asyncio.to_thread(endpoint.tls.context) if endpoint.secured else None
    refused = _Refusals(endpoint.access.api)
    client = await _first(endpoint, context, refused)
    try:
        async with _permitted(refused):
            with _typed(endpoint):
                yield client
    finally:
        await _close(client)


async def _first(endpoint: Endpoint, context: ssl.SSLContext | None, refused: _Refusals) -> Client:
    """Connected to the first server that accepts; what the last one says if none does."""
    *others, last = endpoint.urls
    for url in others:
        try:
            return await _try(endpoint, url, context, refused)
        except NatsError:
            refused.clear()
    return await _try(endpoint, last, context, refused)


async def _try(endpoint: Endpoint, url: str, context: ssl.SSLContext | None, refused: _Refusals) -> Client:
    client = StrictClient(endpoint.tls, endpoint.secured, endpoint.access)

    async def remember(error: Exception) -> None:
        # nats-py would log each of them; the last one says why there is no connection.
        refused.append(error)

    try:
        await client.connect(
            servers=[url],
            user=endpoint.user,
            password=endpoint.password,
            token=endpoint.token,
            allow_reconnect=False,
            # Without these it tries a server that refuses for as long as two minutes.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=5,
            name="vrsky control",
            error_cb=remember,
            tls=context,
            tls_handshake_first=endpoint.tls.first,
        )
    except (nats_py.errors.Error, OSError, ValueError) as error:
        await _close(client)
        if isinstance(error, nats_py.errors.AuthorizationError) or "authorization" in str(error).lower():
            fail("nats/authorization", f"{url} refused the credentials")
        _refuse(endpoint, url, refused[-1] if refused else error)
    except VrskyError:
        # A file of credentials.
        await _close(client)
        raise
    return client


@contextmanager
def _typed(endpoint: Endpoint) -> Iterator[None]:
    """The last net: whoever asks is to have `answers` round it, and knows better what was asked for."""
    try:
        yield
    except nats_py.errors.Error as error:
        with answers(endpoint.url):
            raise error


async def _close(client: Client) -> None:
    """What was not sent yet cannot be sent over a connection that was lost."""
    with suppress(nats_py.errors.Error, OSError):
        await client.close()


class _Refusals(list[Exception]):
    """What the server complained about; `on_violation` is called for a request to JetStream, a value of a bucket or a
    subscription that it does not allow. `api` is what subjects of such requests begin with."""

    def __init__(self, api: str) -> None:
        super().__init__()
        self._api = api.lower()
        self.on_violation: Callable[[], object] | None = None

    def append(self, error: Exception) -> None:
        super().append(error)
        if self.on_violation and self._is_violation(error):
            self.on_violation()

    def _is_violation(self, error: Exception) -> bool:
        text = str(error).lower()
        if "permissions violation for subscription" in text:
            return True  # to the inbox, where every answer would come
        return "permissions violation for publish" in text and any(
            one in text for one in (self._api, '"$kv.', '"$js.fc.')
        )


@asynccontextmanager
async def _permitted(refused: _Refusals) -> AsyncIterator[None]:
    """Raises NatsError `nats/authorization` as soon as the server refuses a request to JetStream: nobody would answer
    it, and it would look like a server that is slow."""
    task = asyncio.current_task()
    assert task is not None
    cancelled = False

    def cancel() -> None:
        nonlocal cancelled
        if not cancelled:
            cancelled = task.cancel()

    refused.on_violation = cancel
    try:
        yield
    except asyncio.CancelledError:
        if not cancelled or task.uncancel() > 0:
            raise
        fail("nats/authorization", f"the server does not permit it: {str(refused[-1]).removeprefix('nats: ')}")
    finally:
        refused.on_violation = None


def _refuse(endpoint: Endpoint, url: str, error: Exception) -> NoReturn:
    if explained := explain(error):
        code, why = explained
        fail(code, f"{url}: {why}")
    why = str(error) or type(error).__name__
    if "expecting INFO" in why and not endpoint.tls.first:
        why = "the server hung up before it said anything; one with `handshake_first` needs TLS first"
    fail("nats/connect", f"no connection to {url}: {why}")
