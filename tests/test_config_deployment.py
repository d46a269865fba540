"""The settings of a deployment as a document: what may stand there, and what is said of the rest."""

from __future__ import annotations

import json

import pytest

from vrsky_fast.config import InvalidConfig
from vrsky_fast.config.deployment import FORMAT, PLACE, DeploymentSettings, decode


def problems(data: bytes) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidConfig) as caught:
        decode(data)
    assert {one.file for one in caught.value.problems} == {PLACE}
    assert all(one.hint for one in caught.value.problems)
    return [(one.code, one.pointer) for one in caught.value.problems]


def test_a_document_reads_back() -> None:
    settings = DeploymentSettings().with_values({"topology": "split"})
    assert settings.topology == "split"
    assert decode(settings.encode("ann", "because")) == (settings, "ann", "because")
    assert decode(DeploymentSettings().encode("", "")) == (DeploymentSettings(), "", "")


def test_what_is_not_said_may_be_left_out_by_who_writes_by_hand() -> None:
    assert decode(b'{"topology": "fused"}') == (DeploymentSettings({"topology": "fused"}), "", "")
    assert decode(b"{}") == (DeploymentSettings(), "", "")


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b"topology: split", None),
        (b'["split"]', None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        (b'{"topology": "split", "x": "' + b"x" * 70_000 + b'"}', None),
        (b'{"topology": "spilt"}', "/topology"),
        (b'{"topology": {"split": true}}', "/topology"),
        (b'{"topology": null}', "/topology"),
        (b'{"topologie": "split"}', "/topologie"),
        (b'{"format": "1"}', "/format"),
        (b'{"format": true}', "/format"),
        (b'{"user": 7}', "/user"),
        (b'{"note": ["x"]}', "/note"),
        (b'{"customers": ["acme"]}', "/customers"),
        (b'{"customers": {"acme": "own"}}', "/customers/acme"),
        (b'{"customers": {"acme": {"lanes": "mine"}}}', "/customers/acme/lanes"),
        (b'{"customers": {"acme": {"lane": "own"}}}', "/customers/acme/lane"),
        (b'{"customers": {"A/b": {"lanes": "own"}}}', "/customers/A~1b"),
        (b'{"customers": {' + b",".join(b'"c%d": {}' % n for n in range(101)) + b"}}", "/customers"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_place(data: bytes, pointer: str | None) -> None:
    assert problems(data) == [("config/not-settings", pointer)]


def test_a_value_of_a_newer_vrsky_is_refused_as_that() -> None:
    newer = json.dumps({"format": FORMAT + 1, "vrsky": "9.0", "unheard": {"of": 1}}).encode()
    assert problems(newer) == [("config/unsupported-version", "/format")]


def test_customers_have_lanes_of_their_own_where_it_is_said() -> None:
    settings = DeploymentSettings().with_values({"customers.acme.lanes": "own", "customers.zeta.lanes": "shared"})
    assert settings.own_lanes == {"acme"}
    assert settings.lines() == ["customers.acme.lanes=own", "customers.zeta.lanes=shared"]
    assert settings.with_values({}, ["customers.acme"]).lines() == ["customers.zeta.lanes=shared"]
    assert settings.with_values({}, ["customers.acme.lanes", "customers.zeta"]) == DeploymentSettings()
    assert decode(settings.encode("", ""))[0].own_lanes == {"acme"}


def test_values_are_set_and_taken_away_by_their_keys() -> None:
    settings = DeploymentSettings().with_values({"topology": "split"})
    assert settings.lines() == ["topology=split"]
    assert settings.with_values({"topology": "fused"}).topology == "fused"
    assert settings.with_values({}, ["topology"]) == DeploymentSettings()
    assert settings.topology == "split"


@pytest.mark.parametrize(
    ("given", "removed", "words"),
    [
        ({"topology": "both"}, [], "has to be fused or split"),
        ({"speed": "high"}, [], "known are topology"),
        ({"topology.of.acme": "split"}, [], "topology"),
        ({}, ["speed"], "is not set"),
        ({}, ["topology.of"], "is not set"),
        ({"": "x"}, [], "is not known"),
    ],
)
def test_what_the_schema_does_not_know_is_not_set(given: dict[str, str], removed: list[str], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        DeploymentSettings().with_values(given, removed)
