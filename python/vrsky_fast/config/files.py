"""Files beside a pipeline file: found by relative path, never outside its folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from ..facts import MAX_SCRIPT_BYTES, MAX_TABLE_BYTES

Stat = tuple[int, ...] | None
"""What the file system says of one file; None when it says nothing."""


class Refused(Exception):
    """Why a file beside the pipeline file cannot be used; the caller adds the place."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def stat_of(path: str | Path) -> Stat:
    """Of whatever it leads to. Never raises, whatever the name is."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of thousands of files a few times a minute
    except (OSError, ValueError):  # such as a NUL, or what no file name can be encoded to
        return None
    # The time of the inode's change tells of permissions, and of files that keep the time of another.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def path_of(folder: Path, name: str) -> Path:
    """Where `name` would be in `folder`. Refuses what is no such path, whatever is on the disk. Raises Refused."""
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or "\\" in name or PurePosixPath(name).is_absolute() or ".." in parts:
        raise Refused("config/file-outside", f"`{name}` is not a path beside the pipeline file")
    return folder.joinpath(*parts)


def beside(folder: Path, name: str) -> Path:
    """The path of the file `name` in `folder`. Refuses absolute paths, `..`, and anything that a symlink leads
    out of the folder. Raises Refused, and nothing else."""
    path = path_of(folder, name)
    try:
        real, home = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise Refused("config/file-not-found", f"there is no file `{name}` beside the pipeline file") from None
    if not real.is_relative_to(home):
        raise Refused("config/file-outside", f"`{name}` leads outside the pipeline file's folder")
    if not os.path.isfile(real):  # noqa: PTH113 - which raises nothing
        raise Refused("config/file-not-found", f"`{name}` is not a file")
    return real


def read_bytes(folder: Path, name: str, limit: int) -> bytes:
    """Raises Refused; reads one byte more than the limit at most, whatever the file is."""
    path = beside(folder, name)
    try:
        with open(path, "rb", opener=_no_follow) as file:
            if not is_regular(file.fileno()):
                raise Refused("config/file-not-found", f"`{name}` is not a file")
            data = file.read(limit + 1)
    except OSError as error:
        raise Refused("config/file-not-found", f"`{name}` cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise Refused("config/too-large", f"`{name}` has more than {limit:,} bytes")
    return data


def read_script(folder: Path, name: str) -> str:
    """The text of a script. Raises Refused."""
    try:
        return read_bytes(folder, name, MAX_SCRIPT_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("script/syntax", f"`{name}` is not UTF-8 at byte {error.start}") from None


def read_table(folder: Path, name: str) -> str:
    """The text of a lookup table. Raises Refused."""
    try:
        return read_bytes(folder, name, MAX_TABLE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("config/invalid-table", f"`{name}` is not UTF-8 at byte {error.start}") from None


def _no_follow(path: str, flags: int) -> int:
    # `beside` has resolved the path; a symlink put there since then is not followed.
    return open_at_once(path, flags | os.O_NOFOLLOW)


def open_at_once(path: str, flags: int) -> int:
    """For `open`: a pipe without a writer is opened without waiting for one."""
    return os.open(path, flags | os.O_NONBLOCK)


def is_regular(descriptor: int) -> bool:
    """Whether reading ends, and waits for nobody."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
