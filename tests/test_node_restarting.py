"""A defect of the work beside the messages is said, and ends it for a while only."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from vrsky_fast.node import restarting as module
from vrsky_fast.node.restarting import restarting

from .conftest import Background


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.0)


@pytest.mark.parametrize("defect", [KeyError("subjects"), asyncio.CancelledError()])
def test_it_starts_again_and_each_defect_is_noted(background: Background, defect: BaseException) -> None:
    async def scenario() -> None:
        starts, notes = 0, list[str]()

        async def work() -> NoReturn:
            nonlocal starts
            starts += 1
            if starts < 3:
                raise defect
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(restarting("the upkeep", work, notes.append))
        while starts < 3:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert len(notes) == 2
        assert all("the upkeep failed by a defect" in note for note in notes)
        assert all(type(defect).__name__ in note and "test_node_restarting.py" in note for note in notes)

    background(scenario())


def test_it_ends_by_a_watcher_that_cannot_be_told(background: Background) -> None:
    async def work() -> NoReturn:
        raise KeyError("subjects")

    def note(text: str) -> None:
        raise BrokenPipeError(text)

    with pytest.raises(BrokenPipeError):
        background(restarting("the upkeep", work, note))
