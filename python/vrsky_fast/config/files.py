"""Files beside a pipeline file: found by relative path, never outside its folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from ..facts import MAX_SCRIPT_BYTES


class Refused(Exception):
    """Why a file beside the pipeline file cannot be used; the caller adds the place."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def beside(folder: Path, name: str) -> Path:
    """The path of `name` in `folder`. Refuses absolute paths, `..`, and anything that a symlink leads
    out of the folder. Raises Refused."""
    parts = PurePosixPath(name).parts
    if not parts or "\0" in name or "\\" in name or PurePosixPath(name).is_absolute() or ".." in parts:
        raise Refused("config/file-outside", f"`{name}` is not a path beside the pipeline file")
    path = folder.joinpath(*parts)
    try:
        real, home = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError):
        raise Refused("config/file-not-found", f"there is no file `{name}` beside the pipeline file") from None
    if not real.is_relative_to(home):
        raise Refused("config/file-outside", f"`{name}` leads outside the pipeline file's folder")
    if not real.is_file():
        raise Refused("config/file-not-found", f"`{name}` is not a file")
    return real


def read_bytes(folder: Path, name: str, limit: int) -> bytes:
    """Raises Refused; reads one byte more than the limit at most, whatever the file is."""
    path = beside(folder, name)
    try:
        with open(path, "rb", opener=_no_follow) as file:
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


def _no_follow(path: str, flags: int) -> int:
    # `beside` has resolved the path; a symlink put there since then is not followed.
    return os.open(path, flags | os.O_NOFOLLOW)
