"""Work beside the messages, such as the upkeep of the streams, that a defect of ours must not end in silence."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

_AGAIN_SECONDS = 30.0


async def restarting(
    what: str, work: Callable[[], Coroutine[Any, Any, NoReturn]], note: Callable[[str], None]
) -> NoReturn:
    """Starts `work` again after a defect, and says so: messages go on without it. Ends by what `note` raises."""
    while True:
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            note(f"{what} failed by a defect of vrsky, and starts again; please report it: {_told(error)}")
        await asyncio.sleep(_AGAIN_SECONDS)


def _told(error: BaseException) -> str:
    """In one line, with where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return "".join(traceback.format_exception_only(error)).strip().replace("\n", " ") + where
