"""The wall clock that a node sees: it may jump, as it does on machines that were asleep, or set wrong."""

from __future__ import annotations

from pathlib import Path


class Clock:
    """Kept in a file that libfaketime reads whenever the node asks for the time of day. What measures how long
    something takes, the monotonic clock, goes on as it does on a real machine."""

    def __init__(self, folder: Path) -> None:
        # Debian's package libfaketime; the folder is that of the architecture.
        libraries = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
        if not libraries:
            raise RuntimeError("these tests need libfaketime: apt install libfaketime")
        self._file = folder / "clock"
        self.jump(0)
        self.environment = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Times of files are those of the disk.
            "NO_FAKE_STAT": "1",
        }

    def jump(self, hours: int) -> None:
        """So far from the true time, from now on."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{hours:+}h\n")
        draft.replace(self._file)
