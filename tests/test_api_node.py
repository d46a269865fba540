"""Node as Python sees it, as far as it needs no server; the engine is tested with a real one."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast._native import Node
from vrsky_fast.errors import ConfigError, NatsError, SecretError


def settings(tmp_path: Path, **changes: Any) -> str:
    return json.dumps({"nats": {"url": "nats://127.0.0.1:4222"}, "files": str(tmp_path)} | changes)


def orders(**changes: Any) -> str:
    file = {"customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/orders"}}, "out": {"stdout": {}}}
    return json.dumps(file | changes)


def test_settings_are_checked(tmp_path: Path) -> None:
    for changes in ({"threads": 0}, {"surprise": 1}, {"listen": "nowhere"}, {"allow": ["10.0.0.1/8"]}):
        with pytest.raises(ConfigError) as caught:
            Node(settings(tmp_path, **changes))
        assert caught.value.code == "config/invalid-value"


def test_install_gives_the_revision_and_refuses_what_cannot_run(tmp_path: Path) -> None:
    node = Node(settings(tmp_path))
    revision = node.install(orders())
    assert node.install(orders()) == revision
    assert node.install(orders(limits={"backlog": 5})) != revision
    with pytest.raises(ConfigError, match="config/unknown-key"):
        node.install(orders(surprise=1))
    with pytest.raises(ConfigError, match="config/conflict"):
        node.install(orders(pipeline="other"))
    protected = orders(pipeline="p2", **{"in": {"http": {"path": "/p2", "auth": {"bearer": {"secret": "token"}}}}})
    with pytest.raises(SecretError, match="secret/not-found"):
        node.install(protected, {}, {})
    node.install(protected, {}, {"token": "t0ken"})
    assert [(row["customer"], row["pipeline"]) for row in json.loads(node.stats())] == [
        ("acme", "orders"),
        ("acme", "p2"),
    ]
    assert node.addresses() == []
    assert node.events() == ""
    assert node.drain(0.0) is True
    with pytest.raises(ValueError, match="seconds"):
        node.drain(-1)


def test_start_without_a_server_raises(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        node = Node(settings(tmp_path, nats={"url": f"nats://127.0.0.1:{taken.getsockname()[1]}"}))
        with pytest.raises(NatsError) as caught:
            node.start()
    assert caught.value.code == "nats/connect"
