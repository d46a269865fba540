"""`vrsky apply` against a bucket without nodes: what is written, what is left, and what stands in the way."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast import config
from vrsky_fast.cli import apply, changes
from vrsky_fast.cli.nats import Server as Named
from vrsky_fast.config.stored import Stored
from vrsky_fast.control.access import AS_USUAL
from vrsky_fast.control.buckets import PIPELINES, make, put
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.revisions import write as write_key
from vrsky_fast.control.tls import AS_THE_SERVER_SAYS

from .certificates import Listening
from .conftest import MINIMAL, Vrsky, Write, clean_environment, command

Say = Callable[..., dict[str, Any]]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with Listening(tmp_path / "server", "max_payload: 20000") as server:
        yield f"nats://127.0.0.1:{server.port}"


@pytest.fixture
def says(vrsky: Vrsky, url: str) -> Say:
    """What a command on the bucket reports."""

    def run(*arguments: str, exits: int = 0) -> dict[str, Any]:
        done = vrsky(*arguments, "--json", VRSKY_NATS=url)
        assert done.returncode == exits, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    return run


@pytest.fixture
def folder(write: Write) -> Path:
    for name in ("a", "b", "c"):
        write(f"pipelines/{name}.yaml", MINIMAL.replace("orders", name))
    return write("pipelines/readme.txt", "").parent


def kinds(report: dict[str, Any]) -> dict[str, str]:
    return {one["pipeline"]: one["change"] for one in report["changes"]}


def test_an_apply_that_was_cut_is_completed_by_the_next(says: Say, folder: Path, url: str) -> None:
    first, second, _ = config.load_all(folder)

    async def cut() -> None:
        async with connect(endpoint_of(url)) as client:
            await make(client, PIPELINES, None)
            for one in (first, second):
                await write_key(client, Stored.of(one, one.path.name).by("ann", ""), 0)

    asyncio.run(cut())
    assert {one["pipeline"] for one in says("status")["pipelines"]} == {"a", "b"}
    assert kinds(says("apply", "pipelines", "--yes")) == {"a": "unchanged", "b": "unchanged", "c": "added"}
    assert {one["pipeline"] for one in says("status")["pipelines"]} == {"a", "b", "c"}


def test_of_two_applies_at_once_the_second_leaves_what_the_first_wrote(
    says: Say, folder: Path, url: str, write: Write
) -> None:
    says("apply", "pipelines", "--yes")
    write("pipelines/a.yaml", MINIMAL.replace("orders", "a").replace("100.0", "300.0"))
    write("pipelines/b.yaml", MINIMAL.replace("orders", "b").replace("100.0", "300.0"))
    server = Named(url, AS_THE_SERVER_SAYS, AS_USUAL)
    compared = asyncio.run(apply._compare(server, folder, config.load_all(folder), prune=False))
    write("other/a.yaml", MINIMAL.replace("orders", "a").replace("100.0", "200.0"))
    theirs = says("apply", "other", "--yes", "--note", "mine first")["changes"][0]["revision"]
    done = asyncio.run(apply._apply(server, compared, "", 0, None))
    assert set(done.errors) == {"acme.a"}
    error = done.errors["acme.a"]
    assert error.code == "config/changed-meanwhile"
    assert f"acme/a was changed to revision {theirs} by unknown user (mine first" in error.reason
    there = {one["pipeline"]: one["revision"] for one in says("status")["pipelines"]}
    ours = {one.key: one.stored.revision for one in compared if one.stored is not None}
    assert (there["a"], there["b"]) == (theirs, ours["acme.b"])
    assert apply._exit_code(done) == 1


def test_what_is_too_large_is_named_and_the_others_are_written(says: Say, folder: Path, write: Write) -> None:
    write("pipelines/a.yaml", MINIMAL.replace("orders", "a") + f"# {'x' * 20_000}\n")
    report = says("apply", "pipelines", "--yes", exits=1)
    problems = {one["pipeline"]: one["problem"] for one in report["changes"] if one["problem"]}
    assert set(problems) == {"a"}
    assert problems["a"]["code"] == "nats/max-payload"
    assert "20,000" in problems["a"]["reason"]
    assert {one["pipeline"] for one in says("status")["pipelines"]} == {"b", "c"}


def test_a_value_that_is_no_pipeline_is_shown_and_replaced(says: Say, folder: Path, url: str) -> None:
    async def by_hand() -> None:
        async with connect(endpoint_of(url)) as client:
            await make(client, PIPELINES, None)
            await put(client, PIPELINES, "acme.a", b"customer: acme", {}, None)

    asyncio.run(by_hand())
    (row,) = says("status")["pipelines"]
    assert (row["pipeline"], row["revision"], row["problem"]["code"]) == ("a", None, "config/not-a-pipeline")
    assert kinds(says("apply", "pipelines", "--yes"))["a"] == "changed"
    assert [one["problem"] for one in says("status")["pipelines"]] == [None] * 3


def test_a_changed_variable_shows_in_the_diff_of_the_compiled_file(says: Say, write: Write) -> None:
    write("p/a.yaml", MINIMAL.replace("path: orders.ndjson", "path: {var: F}"))
    says("apply", "p", "--yes", "--var", "F=one.ndjson")
    report = says("diff", "p", "--var", "F=two.ndjson", exits=1)
    assert '+      "path": "two.ndjson"' in report["changes"][0]["diff"]
    assert says("diff", "p", "--var", "F=one.ndjson")["ok"]


def test_a_changed_script_shows_in_the_diff(says: Say, write: Write) -> None:
    write("p/a.yaml", MINIMAL.replace("  - filter", "  - script: s.ts\n  - filter"))
    write("p/s.ts", "export default (msg) => msg\n")
    says("apply", "p", "--yes")
    write("p/s.ts", "export default (msg) => null\n")
    assert "+export default (msg) => null" in says("diff", "p", exits=1)["changes"][0]["diff"]


def test_a_long_diff_is_cut(write: Write) -> None:
    texts = ["".join(f"# {number} of {version}\n" for number in range(1000)) for version in "ab"]
    old, new = (Stored("a", "b", "0" * 16, "{}", {}, "f", text, {}, "1") for text in texts)
    lines = changes.Change("a.b", "changed", new, None).diff()
    assert len(lines) == 401
    assert lines[-1].startswith("... and")
    assert old != new


def test_without_a_terminal_it_wants_yes_and_on_one_it_asks(vrsky: Vrsky, folder: Path, url: str) -> None:
    refused = vrsky("apply", "pipelines", VRSKY_NATS=url)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    for answer, words in ((b"n\n", "nothing was written"), (b"y\n", "no node answers")):
        master, slave = pty.openpty()
        os.write(master, answer)
        done = subprocess.run(
            command("apply", "pipelines"),
            cwd=folder.parent,
            stdin=slave,
            capture_output=True,
            text=True,
            timeout=60,
            env=clean_environment() | {"VRSKY_NATS": url},
        )
        os.close(master)
        os.close(slave)
        assert done.returncode == 0
        assert "Write 3 changes" in done.stderr
        assert words in done.stdout + done.stderr


def test_it_needs_a_server_and_a_name(vrsky: Vrsky, folder: Path, url: str) -> None:
    for arguments in (["status"], ["node"], ["apply", "pipelines", "--yes"], ["history", "acme/a"]):
        done = vrsky(*arguments)
        assert done.returncode == 2, done.stderr
        assert "--nats" in done.stderr
    for name in ("acme", "acme/", "ACME/a", "acme/a/b", "acme/*"):
        assert vrsky("history", name, VRSKY_NATS=url).returncode == 2
    assert vrsky("node", "--customer", "*", VRSKY_NATS=url).returncode == 2


def test_a_revision_is_chosen_by_how_it_begins(says: Say, write: Write) -> None:
    revisions = []
    for total in (100, 200, 300):
        write("p/a.yaml", MINIMAL.replace("100.0", f"{total}.0"))
        revisions.append(says("apply", "p", "--yes")["changes"][0]["revision"])
    report = says("rollback", "acme/orders", "--to", revisions[0][:10], "--yes")
    assert (report["revision"], report["previous"]) == (revisions[0], revisions[2])
    missing = says("rollback", "acme/orders", "--to", "no-such", "--yes", exits=1)
    assert missing["problems"][0]["code"] == "config/unknown-pipeline"
    assert says("status", "acme/orders")["pipelines"][0]["revision"] == revisions[0]
    assert says("status", "acme/nothing", exits=1)["problems"][0]["code"] == "config/unknown-pipeline"
    history = says("history", "acme/orders")["revisions"]
    assert [one["revision"] for one in history] == [revisions[0], *reversed(revisions)]
