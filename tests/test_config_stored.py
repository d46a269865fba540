"""A pipeline as one document of the bucket: nothing is lost, and nothing is believed that does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast import __version__
from vrsky_fast.config import InvalidConfig, PipelineFile, load
from vrsky_fast.config.share import Rule
from vrsky_fast.config.stored import FORMAT_WITH_CANARY, Canary, Loaded, Stored, decode, load_each, revision_of

from .conftest import MINIMAL, Write

SCRIPTED = """\
customer: acme
pipeline: scripted
tables:
  countries: {file: countries.csv, key: code}
in:
  http: {include: in.snippet.yaml}
steps:
  - convert: {from: xml}
  - script: clean.ts
  - set: {order.name: 'lookup("countries", order.code).name'}
out:
  http:
    url: {var: ERP, then: '/orders'}
    auth: {bearer: {secret: erp-token}}
"""


@pytest.fixture
def scripted(write: Write) -> PipelineFile:
    write("countries.csv", "code,name\nCH,Schweiz\n")
    write("clean.ts", "export default (msg) => ({...msg, big: 12345678901234567890})\n")
    write("in.snippet.yaml", "path: /orders\n")
    return load(write("scripted.yaml", SCRIPTED), given={"ERP": "https://erp.example"})


def only(key: str, data: bytes) -> PipelineFile | InvalidConfig:
    (found,) = load_each([(key, data)])
    return found.file


def document(one: PipelineFile) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(Stored.of(one, "acme/scripted.yaml").by("ops", "why").encode())
    return whole


def test_a_node_without_the_files_makes_the_same_revision(scripted: PipelineFile) -> None:
    stored = Stored.of(scripted, "acme/scripted.yaml").by("ops", "first")
    assert decode(stored.key, stored.encode()) == stored
    again = only("acme.scripted", stored.encode())
    assert isinstance(again, PipelineFile)
    assert again.summary == scripted.summary
    assert again.json == scripted.json
    assert again.source.text == SCRIPTED


def test_the_same_pipeline_gives_the_same_bytes(scripted: PipelineFile) -> None:
    one, other = (Stored.of(scripted, "scripted.yaml").by("ops", "") for _ in range(2))
    assert one.encode() == other.encode()
    assert one.is_as(other.by("somebody", "else"))
    assert not one.is_as(Stored.of(scripted, "other.yaml"))


def test_numbers_keep_every_digit(write: Write) -> None:
    text = (
        MINIMAL + "tests:\n  - name: big\n    in: {json: {n: 123456789012345678901234567890.10}}\n    dropped: true\n"
    )
    one = load(write("orders.yaml", text))
    again = only("acme.orders", Stored.of(one, "orders.yaml").encode())
    assert isinstance(again, PipelineFile)
    assert again.json == one.json


def test_a_document_holds_the_names_of_secrets_and_no_value(
    scripted: PipelineFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VRSKY_SECRET_ACME__ERP_TOKEN", "s3cr3t-value")
    data = Stored.of(scripted, "scripted.yaml").encode()
    assert b"erp-token" in data
    assert b"s3cr3t-value" not in data


def test_a_finding_has_its_place_in_the_file_that_was_applied(scripted: PipelineFile) -> None:
    again = only("acme.scripted", Stored.of(scripted, "acme/scripted.yaml").encode())
    assert isinstance(again, PipelineFile)
    problem = again.problem("secret/not-found", "it is missing", "/out/http/auth/bearer/secret")
    assert problem.place == "acme/scripted.yaml:14:29"
    assert again.problem("config/needs-auth", "open", "/in/http/path").file == "acme/in.snippet.yaml"


def test_a_script_that_changes_while_it_is_read_is_not_taken(scripted: PipelineFile, write: Write) -> None:
    write("clean.ts", "export default (msg) => null\n")
    with pytest.raises(InvalidConfig) as caught:
        Stored.of(scripted, "scripted.yaml")
    assert caught.value.code == "config/changed-meanwhile"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (
            lambda whole: whole.update(format=FORMAT_WITH_CANARY + 1, vrsky="9.9"),
            "config/unsupported-version",
            "a newer vrsky (9.9)",
        ),
        (lambda whole: whole.update(format="1"), "config/not-a-pipeline", "is no document"),
        (lambda whole: whole.pop("json"), "config/not-a-pipeline", "no text `json`"),
        (lambda whole: whole.update(texts={"clean.ts": 1}), "config/not-a-pipeline", "`texts`"),
        (lambda whole: whole.update(customer="zeta"), "config/not-a-pipeline", "is of zeta/scripted"),
        (lambda whole: whole.update(revision="latest"), "config/not-a-pipeline", "no revision"),
        (lambda whole: whole.update(revision="0" * 16), "config/not-a-pipeline", "says revision 0000000000000000"),
        (lambda whole: whole.update(source="\ud800"), "config/not-a-pipeline", "surrogate"),
        (lambda whole: whole.update(json=whole["json"].replace('"acme"', '"zeta"')), "config/not-a-pipeline", "zeta"),
        (lambda whole: whole.update(texts={}), "config/file-not-found", "clean.ts"),
    ],
)
def test_what_does_not_fit_is_refused(
    scripted: PipelineFile, change: Callable[[dict[str, Any]], object], code: str, words: str
) -> None:
    whole = document(scripted)
    change(whole)
    found = only("acme.scripted", json.dumps(whole).encode())
    assert isinstance(found, InvalidConfig)
    assert code in {problem.code for problem in found.problems}
    assert words in " ".join(str(problem) for problem in found.problems)


@pytest.mark.parametrize("value", [b"", b"nothing", b"[]", b"null", b"1", b"\xff\xfe", b"[" * 100_000, b'{"format":1}'])
def test_a_value_that_is_no_document_is_a_problem_of_its_key_alone(scripted: PipelineFile, value: bytes) -> None:
    good = Stored.of(scripted, "scripted.yaml").encode()
    bad, fine = load_each([("acme.bad", value), ("acme.scripted", good)])
    assert isinstance(bad.file, InvalidConfig)
    assert bad.file.problems[0].code == "config/not-a-pipeline"
    assert bad.file.problems[0].file == "vrsky_pipelines/acme.bad"
    assert isinstance(fine.file, PipelineFile)
    assert revision_of("acme.bad", value) is None


@pytest.mark.parametrize("key", ["acme", "acme.scripted.more", "acme.other", "ACME.scripted", "*.>"])
def test_a_document_belongs_under_its_own_key(scripted: PipelineFile, key: str) -> None:
    found = only(key, Stored.of(scripted, "scripted.yaml").encode())
    assert isinstance(found, InvalidConfig)
    assert found.problems[0].code == "config/not-a-pipeline"


def test_a_revision_of_another_version_of_vrsky_is_served_by_its_own_hash(scripted: PipelineFile) -> None:
    whole = document(scripted) | {"revision": "0" * 16, "vrsky": f"{__version__}-other"}
    found = only("acme.scripted", json.dumps(whole).encode())
    assert isinstance(found, PipelineFile)
    assert found.summary.revision == scripted.summary.revision


def test_what_a_version_does_not_know_is_placed_in_the_text(scripted: PipelineFile) -> None:
    """As a node of an earlier version meets a file with a new key."""
    whole = document(scripted)
    model = json.loads(whole["json"])
    model["steps"][1] = {"teleport": {"to": "moon"}}
    found = only("acme.scripted", json.dumps(whole | {"json": json.dumps(model)}).encode())
    assert isinstance(found, InvalidConfig)
    assert found.problems[0].code == "config/unknown-key"
    assert found.problems[0].place.startswith("acme/scripted.yaml:9")


def test_a_text_that_is_not_what_was_compiled_costs_only_the_places(scripted: PipelineFile) -> None:
    found = only("acme.scripted", json.dumps(document(scripted) | {"source": "{"}).encode())
    assert isinstance(found, PipelineFile)
    problem = found.problem("secret/not-found", "it is missing", "/out")
    assert (problem.file, problem.mark) == ("acme/scripted.yaml", None)
    assert Path(problem.file).name == "scripted.yaml"


def with_canary(scripted: PipelineFile, write: Write, changed: str) -> Stored:
    other = load(write("scripted.yaml", changed), given={"ERP": "https://erp.example"})
    canary = Canary(50_000, Stored.of(other, "acme/scripted.yaml"), Rule(10_000, 100, 600))
    return replace(Stored.of(scripted, "acme/scripted.yaml"), canary=canary)


def loaded(stored: Stored) -> Loaded:
    (found,) = load_each([(stored.key, stored.encode())])
    return found


def test_a_canary_is_read_as_it_was_written_and_compiled_beside_the_active_one(
    scripted: PipelineFile, write: Write
) -> None:
    stored = with_canary(scripted, write, SCRIPTED.replace("  - convert", "  - filter: size(ctx.id) > 0\n  - convert"))
    assert decode(stored.key, stored.encode()) == stored
    assert stored.alone() == Stored.of(scripted, "acme/scripted.yaml")
    assert not stored.is_as(stored.alone())
    assert stored.is_as(stored.by("ops", "why"))
    found = loaded(stored)
    assert isinstance(found.file, PipelineFile)
    assert isinstance(found.canary, tuple)
    assert stored.canary is not None
    assert (found.canary[0].summary.revision, found.canary[1]) == (stored.canary.stored.revision, 50_000)


def test_a_canary_that_cannot_run_takes_nothing_from_the_active_one(scripted: PipelineFile, write: Write) -> None:
    stored = with_canary(scripted, write, SCRIPTED.replace("erp-token", "other-token"))
    found = loaded(stored)
    assert isinstance(found.file, PipelineFile)
    assert isinstance(found.canary, InvalidConfig)
    (problem,) = found.canary.problems
    assert problem.code == "config/canary"
    assert problem.as_json()["line"] == 14
    assert "`out.http.auth.bearer.secret`" in problem.reason


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole.pop("canary"),
        lambda whole: whole["canary"].update(millionths=0),
        lambda whole: whole["canary"].update(millionths=1_000_001),
        lambda whole: whole["canary"].update(millionths=True),
        lambda whole: whole["canary"].update(rule={}),
        lambda whole: whole["canary"].update(pipeline=[]),
        lambda whole: whole["canary"]["pipeline"].update(pipeline="others"),
    ],
)
def test_a_canary_that_is_none_is_refused_with_its_key(
    scripted: PipelineFile, write: Write, change: Callable[[dict[str, Any]], object]
) -> None:
    stored = with_canary(scripted, write, SCRIPTED)
    whole = json.loads(stored.encode())
    change(whole)
    with pytest.raises(InvalidConfig) as caught:
        decode(stored.key, json.dumps(whole).encode())
    assert caught.value.code == "config/not-a-pipeline"
