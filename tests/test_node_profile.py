"""The profile of a node is a value: each deployment fills it its own way, and the engine takes it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import vrsky_fast
from vrsky_fast.config.deployment import DeploymentSettings
from vrsky_fast.control.access import Access
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.tls import Tls
from vrsky_fast.errors import ConfigError
from vrsky_fast.facts import DEFAULTS, TIERS
from vrsky_fast.node import Profile
from vrsky_fast.node.engine import Engine

PACKAGE = Path(vrsky_fast.__file__).parent


def test_a_run_on_one_machine_may_reach_loopback_and_name_absolute_paths_where_it_is_said(tmp_path: Path) -> None:
    profile = Profile.of_process(tmp_path, listen="127.0.0.1:0", threads=2)
    assert (profile.allow_loopback, profile.absolute_files) == (True, False)
    assert Profile.of_process(tmp_path, files_anywhere=True).absolute_files
    assert profile.files == tmp_path / "files"
    assert (profile.lanes, profile.types, list(profile.tiers)) == (1, DEFAULTS.types, list(TIERS))


@pytest.mark.parametrize(
    ("asked", "fused", "split"),
    [
        ((), ("incoming", "logic", "outgoing"), ("incoming", "converter", "filter", "outgoing")),
        (("logic",), ("logic",), ("converter", "filter")),
        (("converter",), ("logic",), ("converter",)),
        (("filter", "outgoing"), ("logic", "outgoing"), ("filter", "outgoing")),
        (("incoming",), ("incoming",), ("incoming",)),
    ],
)
def test_a_node_that_follows_serves_steps_by_whatever_type_the_topology_has(
    tmp_path: Path, asked: tuple[str, ...], fused: tuple[str, ...], split: tuple[str, ...]
) -> None:
    profile = Profile.of_process(tmp_path, types=asked, topology=None)
    assert (profile.topology, profile.types) == ("fused", fused)
    other = profile.following(DeploymentSettings({"topology": "split"}))
    assert (other.topology, other.types) == ("split", split)
    assert other.following(DeploymentSettings()) == profile.following(None) == profile


def test_a_node_that_was_given_its_topology_follows_nothing(tmp_path: Path) -> None:
    profile = Profile.of_process(tmp_path, types=("logic",), topology="fused")
    assert profile.following(DeploymentSettings({"topology": "split"})) == profile


def test_what_a_profile_does_not_name_is_the_engines_default(tmp_path: Path) -> None:
    given = json.loads(Profile(tmp_path).for_engine(Endpoint("nats://127.0.0.1:1")))
    assert {name: given[name] for name in ("threads", "lanes", "park_after", "allow_loopback", "absolute_files")} == {
        "threads": DEFAULTS.threads,
        "lanes": DEFAULTS.lanes,
        "park_after": DEFAULTS.park_after,
        "allow_loopback": False,
        "absolute_files": False,
    }


def test_a_deployment_fills_it_another_way_and_the_engine_takes_that(tmp_path: Path) -> None:
    profile = Profile(
        tmp_path, types=("outgoing",), threads=4, lanes=4, tiers=("t10000",), allow=("10.0.0.0/8",), park_after=2
    )
    tls = Tls(ca=tmp_path / "ca.pem", first=True)
    endpoint = Endpoint("tls://nats:4222", user="vrsky", password="hidden", tls=tls)
    given = json.loads(profile.for_engine(endpoint))
    assert (given["lanes"], given["tiers"], given["park_after"], given["types"]) == (4, ["t10000"], 2, ["outgoing"])
    assert given["nats"] == {
        "url": "tls://nats:4222",
        "user": "vrsky",
        "password": "hidden",
        "ca": str(tmp_path / "ca.pem"),
        "tls_first": True,
    }
    assert "hidden" not in repr(endpoint)
    Engine(profile, endpoint)


def test_the_engine_takes_how_a_server_is_used(tmp_path: Path) -> None:
    access = Access(creds=tmp_path / "user.creds", discover=False, domain="hub")
    endpoint = Endpoint("nats://a:4222,nats://b:4222", access=access)
    given = json.loads(Profile(tmp_path).for_engine(endpoint))
    assert given["nats"] == {
        "url": "nats://a:4222,nats://b:4222",
        "tls_first": False,
        "creds": str(tmp_path / "user.creds"),
        "discover": False,
        "domain": "hub",
    }
    Engine(Profile(tmp_path), endpoint)


def test_what_no_engine_would_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lanes"):
        Engine.to_ask(Profile(tmp_path, lanes=9))


def test_one_file_alone_speaks_to_the_engine() -> None:
    named = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "_native.Node"
    }
    assert named == {"node/engine.py"}
