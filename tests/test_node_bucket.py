"""The bucket as the origin of a node, on a real server: changes, bad values, secrets, and lost buckets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from vrsky_fast.config import PipelineFile, Problem, parse
from vrsky_fast.config.stored import Stored
from vrsky_fast.control.buckets import DELETED, PIPELINES, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.nodes import NodeRecord, nodes
from vrsky_fast.control.server import Server
from vrsky_fast.control.subjects import ask
from vrsky_fast.node import Profile, Settings
from vrsky_fast.node.bucket import Bucket
from vrsky_fast.node.reconcile import Finding
from vrsky_fast.node.signals import Stop
from vrsky_fast.node.states import Broken, Ready

from .conftest import MINIMAL, Background
from .test_control_revisions import stored


class Notes:
    """In place of a Watcher."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


class World:
    """One origin on a server of its own."""

    def __init__(self, server: Server, folder: Path, customer: str | None = None) -> None:
        endpoint = server.endpoint
        url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
        self.profile = profile = Profile(files=folder)
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.notes, self.stop, self.server = Notes(), Stop(lambda: None), server
        self.refuses: set[str] = set()
        settings = Settings(folder, profile, url, secrets=self.secrets)
        self.origin = Bucket(self.check, settings, self.notes, customer)  # type: ignore[arg-type]

    def check(self, one: PipelineFile) -> list[Problem]:
        return [one.problem("config/needs-auth", "open", "/in")] if one.name in self.refuses else []

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not wanted():
                await self.origin.changed(self.stop)

    async def until_said(self, words: str) -> None:
        async with asyncio.timeout(30):
            while not any(words in one for one in self.notes.said):
                await asyncio.sleep(0.02)

    def state(self, key: str) -> Ready | Broken:
        return self.origin.states[key]

    def revision(self, key: str) -> str | None:
        state = self.origin.states.get(key)
        return None if state is None or state.file is None else state.file.summary.revision

    async def record(self, client: Client, wanted: Callable[[NodeRecord], bool]) -> NodeRecord:
        async with asyncio.timeout(30):
            while True:
                found = [one for one in await nodes(client) if wanted(one)]
                if found:
                    return found[0]


async def apply(client: Client, customer: str = "acme", total: int = 100) -> int:
    one = stored(customer, total=total)
    return await put(client, PIPELINES, one.key, one.encode(), {}, None)


@asynccontextmanager
async def started(world: World) -> AsyncIterator[Client]:
    async with connect(world.server.endpoint) as client:
        try:
            assert await world.origin.first(world.stop)
            yield client
        finally:
            await world.origin.close()


@pytest.fixture
def world(server: Server, tmp_path: Path, background: Background) -> World:
    async def made() -> World:
        return World(server, tmp_path)

    return background(made())


def test_a_node_makes_the_bucket_and_starts_with_nothing(background: Background, world: World) -> None:
    async def scenario() -> None:
        async with started(world):
            assert world.origin.states == {}
            assert world.origin.if_empty is None
            assert world.notes.said == ["made the bucket vrsky_pipelines", "made the bucket vrsky_deployment"]

    background(scenario())


def test_what_is_applied_changed_and_deleted_is_followed(background: Background, world: World) -> None:
    async def scenario() -> None:
        async with connect(world.server.endpoint) as client:
            await make(client, PIPELINES, None)
            await apply(client)
        async with started(world) as client:
            assert set(world.origin.states) == {"acme.orders"}
            first = world.state("acme.orders")
            await apply(client, "zeta")
            await world.until(lambda: "zeta.orders" in world.origin.states)
            assert world.state("acme.orders") is first
            await apply(client, total=200)
            await world.until(lambda: world.revision("acme.orders") == stored(total=200).revision)
            await put(client, PIPELINES, "acme.orders", b"", DELETED, None)
            await world.until(lambda: set(world.origin.states) == {"zeta.orders"})

    background(scenario())


def test_a_node_of_one_customer_hears_of_no_other(background: Background, server: Server, tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(server, tmp_path, "acme")
        async with started(world) as client:
            await apply(client, "zeta")
            await apply(client, "acme-2")
            await apply(client)
            await world.until(lambda: bool(world.origin.states))
            assert set(world.origin.states) == {"acme.orders"}

    background(scenario())


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("acme.bad", b"a: pipeline", "config/not-a-pipeline"),
        ("acme.bad", stored().encode(), "config/not-a-pipeline"),
        ("acme.bad", b'{"format": 99, "vrsky": "9.0"}', "config/unsupported-version"),
        ("acme", b"{}", "config/not-a-pipeline"),
    ],
)
def test_a_bad_value_is_broken_and_costs_the_others_nothing(
    background: Background, world: World, key: str, value: bytes, code: str
) -> None:
    async def scenario() -> None:
        async with started(world) as client:
            await put(client, PIPELINES, key, value, {}, None)
            await apply(client)
            await world.until(lambda: {key, "acme.orders"} <= set(world.origin.states))
            bad = world.state(key)
            assert isinstance(bad, Broken)
            assert [one.code for one in bad.problems] == [code]
            assert isinstance(world.state("acme.orders"), Ready)

    background(scenario())


def test_it_says_up_to_which_change_it_has_come_and_what_it_refuses(background: Background, world: World) -> None:
    world.refuses.add("zeta/orders")

    async def scenario() -> None:
        async with started(world) as client:
            await apply(client)
            last = await apply(client, "zeta")
            await world.until(lambda: len(world.origin.states) == 2)
            broken = world.state("zeta.orders")
            assert isinstance(broken, Broken)
            world.origin.handled([Finding("zeta.orders", broken.problems, ("zeta", "orders"))], 1, world.profile)
            record = await world.record(client, lambda one: one.seen == last)
            assert (record.pipelines, record.refused_total, record.customer) == (1, 1, None)
            refusal = record.refused["zeta.orders"]
            assert (refusal.revision, refusal.goes_on) == (stored("zeta").revision, True)
            assert refusal.problems[0]["code"] == "config/needs-auth"
            assert refusal.problems[0]["line"] == 3
            await world.origin.close()
            assert await nodes(client) == []

    background(scenario())


def test_a_lost_bucket_stops_nothing_and_a_new_one_is_taken_up(background: Background, world: World) -> None:
    async def scenario() -> None:
        async with started(world) as client:
            await apply(client)
            await apply(client, "zeta")
            await world.until(lambda: len(world.origin.states) == 2)
            await ask(client, f"STREAM.DELETE.{PIPELINES.stream}", {}, "bucket")
            await world.until_said("2 pipelines go on as they are")
            await make(client, PIPELINES, None)
            await apply(client, total=200)
            await world.until(lambda: world.revision("acme.orders") == stored(total=200).revision)
            assert isinstance(world.state("zeta.orders"), Ready)
            await world.until_said("made anew without 1 pipelines, such as zeta.orders")
            # The sequence that the lost bucket gave it is given again.
            await apply(client, "zeta", total=300)
            await world.until(lambda: world.revision("zeta.orders") == stored("zeta", total=300).revision)

    background(scenario(), 60)


def test_after_a_signal_only_what_the_new_bucket_holds_goes_on(background: Background, world: World) -> None:
    async def scenario() -> None:
        async with started(world) as client:
            await apply(client)
            await apply(client, "zeta")
            await world.until(lambda: len(world.origin.states) == 2)
            await ask(client, f"STREAM.DELETE.{PIPELINES.stream}", {}, "bucket")
            await make(client, PIPELINES, None)
            await apply(client)
            await world.until_said("cannot be watched")
            await world.until(lambda: any("made anew" in one for one in world.notes.said))
            world.stop.reload.set()
            await world.until(lambda: set(world.origin.states) == {"acme.orders"})

    background(scenario(), 60)


def test_a_secret_that_comes_later_is_found(background: Background, world: World) -> None:
    text = MINIMAL.replace("file: {path: orders.ndjson}", "http: {url: https://e.example, auth: {bearer: {secret: t}}}")
    one = Stored.of(parse("orders.yaml", text.encode(), Path("orders.yaml")), "orders.yaml")

    async def scenario() -> None:
        async with started(world) as client:
            await put(client, PIPELINES, one.key, one.encode(), {}, None)
            await world.until(lambda: isinstance(world.origin.states.get("acme.orders"), Broken))
            (world.secrets / "acme").mkdir()
            (world.secrets / "acme" / "t").write_text("value")
            await world.until(lambda: isinstance(world.state("acme.orders"), Ready))
            state = world.state("acme.orders")
            assert isinstance(state, Ready)
            assert state.secrets == {"t": "value"}

    background(scenario())


def test_a_signal_to_stop_ends_a_start_that_waits(background: Background, world: World) -> None:
    async def scenario() -> None:
        world.stop.asked.set()
        assert not await world.origin.first(world.stop)
        await world.origin.close()

    background(scenario())
