"""The KV buckets of nodes that are configured by them: what is to run, what runs, and how the whole is set.

    vrsky_pipelines   key <customer>.<pipeline>, value a `config.stored` document; the last 10 of each key stay
    vrsky_deployment  key `settings`, value a `config.deployment` document; the last 10 stay
    vrsky_nodes       key <node>, value a `control.nodes` record; goes by itself when the node says nothing more

A KV bucket is a stream: KV_<bucket> with the subjects $KV.<bucket>.<key>.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from ..errors import VrskyError, error_for
from .answers import answers
from .failure import fail
from .subjects import ask

HISTORY = 10
# A node writes its record far more often.
NODE_SECONDS = 15.0

OPERATION = "KV-Operation"
DELETED = {OPERATION: "DEL"}
# The server's own markers have this one instead.
_MARKER = "Nats-Marker-Reason"
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_WRONG_LAST_SEQUENCE = 10071
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """`history` values of a key stay, for `max_age` seconds if that is set."""

    name: str
    history: int
    max_age: float | None
    storage: str

    @property
    def stream(self) -> str:
        return f"KV_{self.name}"

    def subject(self, key: str) -> str:
        """`key` may be a pattern."""
        return f"$KV.{self.name}.{key}"

    def key(self, subject: str) -> str:
        return subject.removeprefix(f"$KV.{self.name}.")


PIPELINES = Bucket("vrsky_pipelines", HISTORY, None, "file")
DEPLOYMENT = Bucket("vrsky_deployment", HISTORY, None, "file")
# Of a file, though each node writes its record again within seconds after a restart of the server: until then, whoever
# waits for the nodes would take them for gone.
NODES = Bucket("vrsky_nodes", 1, NODE_SECONDS, "file")


def name_of(key: str) -> str:
    """What people read for a key of vrsky_pipelines: customer/pipeline."""
    return key.replace(".", "/", 1)


def when(time: float) -> str:
    """What people read for the time of an entry, seconds since 1970."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def who(user: str, note: str) -> str:
    """What people read for who wrote one."""
    return f"{user} ({note})" if note else user or "somebody"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as the server has it: `time` is the server's, in seconds since 1970. `value` is None where the key is
    deleted."""

    key: str
    sequence: int
    value: bytes | None
    time: float
    headers: dict[str, str]


def is_deleted(headers: dict[str, str]) -> bool:
    return headers.get(OPERATION) in {"DEL", "PURGE"} or _MARKER in headers


def entry_of(bucket: Bucket, msg: Msg) -> Entry:
    """Of a message that a consumer delivers."""
    headers = dict(msg.headers or {})
    meta = msg.metadata
    value = None if is_deleted(headers) else msg.data
    return Entry(bucket.key(msg.subject), meta.sequence.stream, value, meta.timestamp.timestamp(), headers)


async def make(client: Client, bucket: Bucket, replicas: int | None) -> list[str]:
    """What was made or changed, for the log. `replicas` None leaves them as they are. Raises NatsError."""
    told = await ask(client, f"STREAM.INFO.{bucket.stream}", {}, bucket.name)
    if told is None:
        await ask(client, f"STREAM.CREATE.{bucket.stream}", _config(bucket, replicas or 1), bucket.name)
        return [f"bucket {bucket.name}"]
    config: dict[str, Any] = told["config"]
    if replicas in {None, config["num_replicas"]}:
        return []
    await ask(client, f"STREAM.UPDATE.{bucket.stream}", config | {"num_replicas": replicas}, bucket.name)
    return [f"bucket {bucket.name}: num_replicas"]


async def identity(client: Client, bucket: Bucket) -> str:
    """What tells it from one of the same name that was made later, and counts its sequences anew; empty where there is
    none. Raises NatsError."""
    told = await ask(client, f"STREAM.INFO.{bucket.stream}", {}, bucket.name)
    return "" if told is None else str(told["created"])


def _config(bucket: Bucket, replicas: int) -> dict[str, Any]:
    return {
        "name": bucket.stream,
        "subjects": [bucket.subject(">")],
        "retention": "limits",
        "storage": bucket.storage,
        "discard": "new",
        "max_msgs_per_subject": bucket.history,
        "max_age": int((bucket.max_age or 0) * 1e9),
        "max_msgs": -1,
        "max_bytes": -1,
        "max_consumers": -1,
        "max_msg_size": -1,
        "duplicate_window": int(min(bucket.max_age or 120, 120) * 1e9),
        "num_replicas": replicas,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": True,
    }


class Conflict(Exception):
    """Somebody else has written the key meanwhile."""


async def put(client: Client, bucket: Bucket, key: str, value: bytes, headers: dict[str, str], last: int | None) -> int:
    """The sequence of the value. With `last` only where that is the sequence of what the key has now, 0 where it has
    nothing. Raises Conflict otherwise, and NatsError."""
    if last is not None:
        headers = headers | {_EXPECTED: str(last)}
    with answers(bucket.name):
        try:
            msg = await client.request(bucket.subject(key), value, timeout=_TIMEOUT_SECONDS, headers=headers)
        except NoRespondersError:
            raise missing(bucket) from None
    return _acknowledged(bucket, msg)


def _acknowledged(bucket: Bucket, msg: Msg) -> int:
    told = json.loads(msg.data)
    error = told.get("error")
    if error is None:
        if told.get("stream") != bucket.stream:
            fail("nats/refused", f"{bucket.name}: the stream {told.get('stream')} takes its subjects")
        return int(told["seq"])
    if error.get("err_code") == _WRONG_LAST_SEQUENCE:
        raise Conflict
    fail("nats/refused", f"{bucket.name}: {error.get('description')}")


def missing(bucket: Bucket) -> VrskyError:
    """What to raise where the bucket is not there."""
    reason = f"there is no bucket {bucket.name}; the start of `vrsky node` makes it, and so does who writes to it"
    return error_for("nats/no-stream", reason)
