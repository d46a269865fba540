"""What customers' file outs have written before each customer had a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..config import PipelineFile
from ..facts import SERVES_FILES
from .profile import Profile


def earlier_files(pipelines: Sequence[PipelineFile], profile: Profile) -> Iterator[str]:
    """One note for each such file that is still there."""
    if SERVES_FILES not in profile.types:
        return
    customers = {one.customer for one in pipelines}
    for one in pipelines:
        for _, path in one.file_outs:
            before = profile.files / path
            if not path.is_absolute() and path.parts[0] not in customers and before.is_file():
                now = profile.files / one.customer / path
                yield f"{one.name} writes {now}; what it wrote before is in {before}"
