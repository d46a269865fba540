"""A deployment on one nats-server, the same with the steps on nodes of their own, and one on three servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Background
from .deployment import Deployment
from .servers import Servers


@pytest.fixture
def deployment(tmp_path: Path, background: Background) -> Iterator[Deployment]:
    with Servers(tmp_path / "servers", background, 1) as servers, Deployment(tmp_path, servers) as deployment:
        yield deployment


@pytest.fixture
def split(tmp_path: Path, background: Background) -> Iterator[Deployment]:
    with Servers(tmp_path / "servers", background, 1) as servers, Deployment(tmp_path, servers, "split") as deployment:
        yield deployment


@pytest.fixture
def clustered(tmp_path: Path, background: Background) -> Iterator[Deployment]:
    with Servers(tmp_path / "servers", background, 3) as servers, Deployment(tmp_path, servers) as deployment:
        yield deployment
