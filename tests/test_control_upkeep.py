"""Streams that are waited for at the start, and made again while a node runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from vrsky_fast.control import upkeep
from vrsky_fast.control.upkeep import Upkeep, provisioned
from vrsky_fast.errors import NatsError, error_for

from .conftest import Background


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(upkeep, "_PAUSE_SECONDS", 0.01)


def fails_first(*codes: str) -> Callable[[], Awaitable[list[str]]]:
    """Raises these one after another; then it makes a stream."""
    left = list(codes)

    async def provision() -> list[str]:
        if left:
            raise error_for(left.pop(0), "so it is")
        return ["stream ORDERS"]

    return provision


@pytest.mark.parametrize(
    "codes", [("nats/timeout",), ("nats/disconnected",), ("nats/disconnected", "nats/connect", "nats/connect")]
)
def test_a_start_waits_for_a_server_that_was_there(background: Background, codes: tuple[str, ...]) -> None:
    notes: list[str] = []
    made = background(provisioned(fails_first(*codes), asyncio.Event(), notes.append))
    assert made == ["stream ORDERS"]
    assert len(notes) == 1


@pytest.mark.parametrize("code", ["nats/connect", "nats/refused", "nats/authorization"])
def test_a_start_does_not_wait_for_what_does_not_pass(background: Background, code: str) -> None:
    with pytest.raises(NatsError) as told:
        background(provisioned(fails_first(code), asyncio.Event(), lambda _: None))
    assert told.value.code == code


@pytest.mark.parametrize("code", ["nats/disconnected", "nats/connect", "nats/timeout"])
def test_the_upkeep_goes_on_after_a_look_that_failed(background: Background, code: str) -> None:
    async def scenario() -> str:
        noted: asyncio.Queue[str] = asyncio.Queue()
        running = asyncio.create_task(Upkeep(fails_first(code, code), noted.put_nowait).run())
        try:
            return await noted.get()
        finally:
            running.cancel()

    assert "stream ORDERS" in background(scenario())


@pytest.mark.parametrize(("code", "times"), [("nats/authorization", 1), ("nats/refused", 1), ("nats/timeout", 0)])
def test_what_the_upkeep_may_not_do_is_said_once(background: Background, code: str, times: int) -> None:
    async def scenario() -> list[str]:
        noted: asyncio.Queue[str] = asyncio.Queue()
        running = asyncio.create_task(Upkeep(fails_first(code, code, code), noted.put_nowait).run())
        try:
            return [await noted.get() for _ in range(times + 1)]
        finally:
            running.cancel()

    *refused, made = background(scenario())
    assert len([text for text in refused if code in text and "so it is" in text]) == times
    assert "stream ORDERS" in made
