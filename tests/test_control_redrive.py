"""Sending dead letters again: where each goes, once, and what is known of a redrive that crashed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest
from nats.aio.client import Client

from vrsky_fast.control import dead_letters, streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.dead_letters import DeadLetter
from vrsky_fast.control.lanes import Lanes
from vrsky_fast.control.provision import provision
from vrsky_fast.control.redrive.journal import Journal
from vrsky_fast.control.redrive.plan import Refused, Sending, plan, publish_id
from vrsky_fast.control.redrive.send import Redrive
from vrsky_fast.control.served import Served, Serving
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import NatsError
from vrsky_fast.facts import TIERS

from .conftest import Background
from .end_to_end.streams import Frame, frames

LANES = Lanes.among(stream.name for stream in streams.topology(list(TIERS), 4))
ORDERS = Served("acme", "orders", "t10000", ("0:convert", "1:script", "2:filter"), ("erp", "audit"))
SERVING = Serving.of([ORDERS])


def letter(step: str, payload: bytes = b'{"n": 1}', **headers: str) -> DeadLetter:
    """One of acme/orders. Underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    own = {"Customer-ID": "acme", "Nats-Msg-Id": "letter", "Vrsky-Id": "acme.1", "Vrsky-Time": "7", "Vrsky-Step": step}
    return DeadLetter(17, "acme", "orders", step, own | {"Content-Type": "application/json"} | named, payload)


def sent(one: DeadLetter, serving: Serving | None = SERVING) -> Sending:
    planned = plan(one, LANES, serving)
    assert isinstance(planned, Sending), planned
    return planned


def refused(one: DeadLetter, serving: Serving | None = SERVING) -> str:
    planned = plan(one, LANES, serving)
    assert isinstance(planned, Refused)
    assert planned.hint.endswith(".")
    return planned.reason


# -- where it goes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "more", "lane"),
    [
        # The first step is a converter.
        ("2:filter", {"Vrsky_Died": "9"}, "converter"),
        ("2:filter", {"Vrsky_Original": "acme.1"}, "filter"),
        ("1:script", {"Vrsky_Original": "acme.1"}, "converter"),
        ("out:erp", {}, "outgoing"),
    ],
)
def test_where_the_topology_is_split_a_letter_goes_to_the_lane_of_its_step(
    step: str, more: dict[str, str], lane: str
) -> None:
    lanes = Lanes.among(stream.name for stream in streams.topology(list(TIERS), 4, name="split"))
    planned = plan(letter(step, **more), lanes, SERVING)
    assert isinstance(planned, Sending)
    assert planned.subject.startswith(f"vrsky.{lane}.t10000.")


def test_a_whole_message_goes_to_the_start_with_its_id_and_what_it_brought() -> None:
    whole = letter("2:filter", Vrsky_Died="9", Vrsky_Part="0", Vrsky_Code="x/y", traceparent="00-1", ce_type="order")
    one = sent(whole)
    assert (one.to, one.stream) == ("the start", one.subject.replace(".acme.orders.in", "").replace(".", "_").upper())
    assert one.subject.startswith("vrsky.logic.t10000.")
    assert one.payload == b'{"n": 1}'
    assert one.headers == {
        "Customer-ID": "acme",
        "Nats-Msg-Id": publish_id(whole, 1),
        "Content-Type": "application/json",
        "Vrsky-Id": "acme.1",
        "Vrsky-Time": "7",
        "Vrsky-Part": "0",
        "Vrsky-Redrive": "1",
        "traceparent": "00-1",
        "ce-type": "order",
    }


def test_a_part_goes_to_the_step_where_it_died_under_its_number() -> None:
    one = sent(letter("2:filter", Vrsky_Died="9", Vrsky_Original="acme.1", Vrsky_Part="3"))
    assert (one.to, one.subject.rpartition(".")[2]) == ("step 2:filter", "in")
    assert (one.headers["Vrsky-Resume"], one.headers["Vrsky-Part"]) == ("2:filter", "3")


def test_what_died_at_an_out_goes_to_that_out_with_its_url() -> None:
    one = sent(letter("out:erp", Vrsky_Died="9", Vrsky_Part="3", Vrsky_Url="abc http://erp/1"))
    assert (one.to, one.subject[: len("vrsky.outgoing.t10000.")]) == ("out erp", "vrsky.outgoing.t10000.")
    assert one.subject.endswith(".acme.orders.erp")
    assert (one.headers["Vrsky-Url"], one.headers["Vrsky-Part"]) == ("abc http://erp/1", "3")
    assert "Vrsky-Resume" not in one.headers


def test_each_attempt_and_each_letter_has_an_id_of_its_own_that_begins_with_the_customer() -> None:
    one = letter("out:erp")
    again = letter("out:erp", Vrsky_Redrive="1")
    ids = [
        sent(one).headers["Nats-Msg-Id"],
        sent(again).headers["Nats-Msg-Id"],
        sent(replace(one, sequence=18)).headers["Nats-Msg-Id"],
        sent(letter("out:erp", Vrsky_Id="acme.11")).headers["Nats-Msg-Id"],
    ]
    assert sent(again).headers["Vrsky-Redrive"] == "2"
    assert len(set(ids)) == len(ids)
    assert {text[:5] for text in ids} == {"acme."}
    assert sent(one).headers["Nats-Msg-Id"] == ids[0]


def test_without_knowing_what_is_served_the_smallest_lane_is_used_and_nothing_refused() -> None:
    one = sent(letter("5:filter", Vrsky_Died="9", Vrsky_Original="acme.1"), serving=None)
    assert one.subject.startswith("vrsky.logic.t1000.")
    assert sent(letter("out:gone"), serving=None).subject.endswith(".gone")


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (letter("7:script", Vrsky_Died="9", Vrsky_Original="acme.1"), "no step `7:script`"),
        (letter("out:gone", Vrsky_Died="9"), "no out `gone`"),
        (letter("out:a.b", Vrsky_Died="9"), "does not name its out"),
        (replace(letter("in"), pipeline="gone"), "acme/gone is not served"),
        (letter("in", Vrsky_Code="tenant/mismatch"), "another customer"),
        (letter("in", Vrsky_Omitted_Bytes="9000000"), "its payload of 9000000 bytes could not be kept"),
        (letter("in", Vrsky_Omitted_Headers="70000"), "its headers of 70000 bytes could not be kept"),
        (letter("in", **{"a/b": "1"}), "its header 'a/b' has a name that cannot be sent from here"),
        (replace(letter("in"), customer="*"), "no dead letter of ours"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.step,
)
def test_what_cannot_be_sent_stays_and_says_why(one: DeadLetter, reason: str) -> None:
    assert reason in refused(one)


def test_a_letter_of_an_earlier_program_is_sent_where_it_is_surely_whole_or_a_part() -> None:
    for step in ("in", "0:convert", "1:script"):
        assert sent(letter(step, Vrsky_Part="0")).to == "the start"
    part = sent(letter("2:filter", Vrsky_Part="333"))
    assert (part.to, part.headers["Vrsky-Part"]) == ("step 2:filter", "333")
    assert "whether it is a part" in refused(letter("2:filter", Vrsky_Part="0"))
    assert "whether it is a part" in refused(letter("1:script", Vrsky_Part="0"), serving=None)
    assert sent(letter("out:erp", Vrsky_Part="333")).headers["Vrsky-Part"] == "333"


def test_a_server_without_lanes_is_named() -> None:
    planned = plan(letter("in"), Lanes.among(["EVENTS", "VRSKY_DEAD"]), None)
    assert isinstance(planned, Refused)
    assert "no lane" in planned.reason


# -- sending --------------------------------------------------------------------------------------


class Store:
    """The streams of one deployment with some letters of acme/orders, on a real server."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def fill(self, count: int, step: str = "out:erp") -> None:
        await provision(self.client, streams.topology(list(TIERS), 1))
        for number in range(count):
            headers = letter(step, Vrsky_Id=f"acme.{number}", Nats_Msg_Id=f"{step} {number}", Vrsky_Died="9").headers
            await self.client.jetstream().publish("vrsky.dead.acme.orders.x", b"%d" % number, headers=headers)

    async def redrive(self, *numbers: int, serving: Serving | None = SERVING) -> Redrive:
        redrive = Redrive(self.client, serving, 10_000)
        await redrive.run(these(numbers))
        return redrive

    async def lane(self) -> list[Frame]:
        return await frames(self.client, "VRSKY_OUTGOING_T10000_0")

    async def letters(self) -> list[int]:
        return [one.sequence for one in await dead_letters.newest(self.client, 1_000)]


async def these(numbers: Iterable[int]) -> AsyncIterator[int]:
    for number in numbers:
        yield number


def test_a_letter_is_deleted_when_its_lane_has_the_message(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(250)
            report = (await store.redrive(*range(1, 251), 999)).report
            assert (len(report.sent), report.missing, report.refused, report.doubtful) == (250, [999], [], [])
            assert await store.letters() == []
            assert [one.payload for one in await store.lane()] == [str(number) for number in range(250)]
            assert await Journal(client).others() == {}

    background(scenario())


def test_a_letter_that_is_refused_stays_and_the_others_go(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(1)
            await store.fill(1, "out:gone")
            report = (await store.redrive(1, 2)).report
            assert [one.sequence for one in report.refused] == [2]
            assert await store.letters() == [2]
            assert [one.payload for one in await store.lane()] == ["0"]

    background(scenario())


def test_one_that_crashed_before_it_deleted_is_named_and_doubles_nothing_within_the_window(
    background: Background, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    async def crash(client: Client, numbers: Iterable[int]) -> list[int]:
        raise Crash

    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(5)
            with monkeypatch.context() as patched:
                patched.setattr("vrsky_fast.control.dead_letters.delete", crash)
                with pytest.raises(Crash):
                    await store.redrive(1, 2, 3)
            assert len(await store.lane()) == 3
            assert list((await Journal(client).others()).values()) == [[1, 2, 3]]
            doubts: list[list[int]] = []
            redrive = Redrive(client, SERVING, 10_000, doubts.append)
            report = await redrive.run(these([1, 2, 3, 4, 5]))
            assert (report.doubtful, doubts) == ([1, 2, 3], [[1, 2, 3]])
            assert [one.payload for one in await store.lane()] == ["0", "1", "2", "3", "4"]
            assert await store.letters() == []
            assert await Journal(client).others() == {}

    background(scenario())


def test_a_batch_of_another_redrive_is_kept_as_long_as_one_of_its_letters(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(3)
            await Journal(client).begin([1, 2])
            assert (await store.redrive(1, 3)).report.doubtful == [1]
            assert list((await Journal(client).others()).values()) == [[1, 2]]
            assert (await store.redrive(2)).report.doubtful == [2]
            assert await Journal(client).others() == {}

    background(scenario())


def test_a_full_lane_keeps_the_letters_that_it_has_no_room_for(
    background: Background, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrsky_fast.control.redrive.send._PAUSES", ())

    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(5)
            lane = streams.lane("outgoing", "t10000", 0)
            await client.jetstream().delete_stream(lane.name)
            await provision(client, [replace(lane, cap=3)])
            report = (await store.redrive(1, 2, 3, 4, 5)).report
            assert report.left == "the lane VRSKY_OUTGOING_T10000_0 is full"
            assert len(report.sent) == 3
            assert sorted(await store.letters() + [one.sequence for one in report.sent]) == [1, 2, 3, 4, 5]

    background(scenario())


def test_a_subject_of_another_stream_is_refused_and_the_letter_kept(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(1)
            jetstream = client.jetstream()
            for tier in TIERS:
                await jetstream.delete_stream(streams.lane("outgoing", tier, 0).name)
            await jetstream.add_stream(name="VRSKY_OUTGOING_T10000_0", subjects=["vrsky.elsewhere"])
            await jetstream.add_stream(name="OTHER", subjects=["vrsky.outgoing.>"])
            with pytest.raises(NatsError):
                await store.redrive(1)
            assert await store.letters() == [1]
            assert await frames(client, "OTHER") == []

    background(scenario())


def test_a_server_that_goes_in_the_middle_is_an_error_and_what_was_in_hand_is_named_afterwards(
    background: Background, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal.begin

    async def begin_and_lose(journal: Journal, sequences: Iterable[int]) -> None:
        await begin(journal, sequences)
        await server.stop()

    async def lose() -> None:
        async with connect(server.endpoint) as client:
            store = Store(client)
            await store.fill(3)
            monkeypatch.setattr(Journal, "begin", begin_and_lose)
            with pytest.raises(NatsError) as caught:
                await store.redrive(1, 2)
            assert caught.value.code == "nats/disconnected"
        monkeypatch.setattr(Journal, "begin", begin)
        await server.start()

    async def resume() -> None:
        async with connect(server.endpoint) as client:
            store = Store(client)
            assert (await store.redrive(1, 2, 3)).report.doubtful == [1, 2]
            assert (await store.letters(), len(await store.lane())) == ([], 3)

    background(lose())
    background(resume())


def test_large_letters_are_sent_a_few_at_a_time(
    background: Background, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[int]] = []
    begin = Journal.begin

    async def record(journal: Journal, sequences: Iterable[int]) -> None:
        batches.append(list(sequences))
        await begin(journal, batches[-1])

    monkeypatch.setattr(Journal, "begin", record)
    monkeypatch.setattr("vrsky_fast.control.redrive.send._MOST_BYTES", 2)

    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(12)
            assert len((await store.redrive(*range(1, 13))).report.sent) == 12
            # Those of two digits are larger: one at a time.
            assert batches == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11], [12]]

    background(scenario())


def test_what_is_planned_sends_nothing(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            store = Store(client)
            await store.fill(2)
            report = await Redrive(client, SERVING, 1).plan(these([1, 2, 3]))
            assert ([one.sequence for one in report.sent], report.missing) == ([1, 2], [3])
            assert (await store.lane(), await store.letters()) == ([], [1, 2])
            names = json.loads((await client.request("$JS.API.STREAM.NAMES", b"")).data)["streams"]
            assert "VRSKY_REDRIVE" not in names

    background(scenario())
