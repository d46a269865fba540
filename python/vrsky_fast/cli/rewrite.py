"""Writing over a file that people keep: as a whole or not at all, and never over what somebody has changed since."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


class Changed(Exception):
    """The file is not what it was when it was read."""


def replace(path: Path, before: bytes | None, after: bytes) -> None:
    """Puts `after` in place of `before`, which is None for whatever is there. Keeps mode, owner, and a symlink that
    leads to it. Raises OSError, and Changed."""
    real = path.resolve()
    # A run that serves the folder passes over names that begin with a dot.
    descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.", suffix=".new")
    draft = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(after)
            _take_over(file.fileno(), real)
            file.flush()
            os.fsync(file.fileno())
        if before is not None and real.read_bytes() != before:
            raise Changed
        draft.replace(real)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _take_over(descriptor: int, real: Path) -> None:
    """Mode and owner of the file that is there; those of any new file without one."""
    try:
        found = real.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(descriptor, 0o666 & ~mask)
        return
    with suppress(PermissionError):
        os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
