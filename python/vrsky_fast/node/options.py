"""Whether a run can be what it was asked for. Nothing is started or made here."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path

from ..config import InvalidConfig, PipelineFile, Problem
from ..errors import ConfigError, error_for
from ..facts import NODE_TYPES, SERVES_FILES
from .engine import Engine
from .profile import Profile


def check_types(profile: Profile, nats: str | None) -> None:
    """A part of the way needs somebody for the rest: raises ConfigError where nobody could be."""
    if nats is None and set(profile.types) != set(NODE_TYPES):
        reason = "--type needs --nats: only this process knows the embedded server, and nobody would do the rest"
        raise error_for("config/invalid-value", reason)


def check_secrets(folder: Path | None) -> None:
    """A folder that is misspelt would look like one without secrets: raises SecretError."""
    if folder is None:
        return
    try:
        is_there = folder.is_dir()
    except OSError:
        is_there = False  # behind a folder that may not be entered
    if not is_there:
        raise error_for("secret/not-found", f"the folder of secrets {folder} is not there")


def check_allow(profile: Profile) -> None:
    """Raises ConfigError when what is allowed is no network, as the core reads them."""
    try:
        Engine.to_ask(profile)
    except ConfigError as error:
        raise error_for(error.code, f"--allow: {error.reason}") from None


def check_files(pipelines: Iterable[PipelineFile], profile: Profile) -> None:
    """An absolute path leads to every customer's files: raises InvalidConfig naming each, unless they are allowed."""
    if problems := absolute_paths(pipelines, profile):
        raise InvalidConfig(problems)


def absolute_paths(pipelines: Iterable[PipelineFile], profile: Profile) -> list[Problem]:
    """The file outs with an absolute path, where the profile does not allow that."""
    if profile.absolute_files or SERVES_FILES not in profile.types:
        return []
    reason = "the path is absolute; a customer's files are below its own folder"
    return [
        one.problem("file/outside", reason, pointer)
        for one in pipelines
        for pointer, path in one.file_outs
        if path.is_absolute()
    ]


def parse_listen(text: str) -> str:
    """What `--listen` says as IP:port. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
        if not 0 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        reason = f"--listen {text}: write IP:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        raise error_for("config/invalid-value", reason) from None
    return f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}"


def open_beyond_loopback(pipelines: Iterable[PipelineFile], listen: str) -> list[Problem]:
    """The pipelines that `listen`, from `parse_listen`, would serve to everybody without `auth`."""
    if ipaddress.ip_address(listen.rpartition(":")[0].strip("[]")).is_loopback:
        return []
    reason = f"the route has no `auth`, and {listen} is more than loopback"
    sources = ((one, one.summary.source) for one in pipelines)
    return [one.problem("config/needs-auth", reason, at.pointer) for one, at in sources if at.loopback_only]


def check_open(pipelines: Iterable[PipelineFile], listen: str) -> None:
    """Raises InvalidConfig naming each of `open_beyond_loopback`."""
    if problems := open_beyond_loopback(pipelines, listen):
        raise InvalidConfig(problems)


def check_free(listen: str) -> None:
    """Whether a node could listen on what `parse_listen` gave. Raises ConfigError `config/cannot-listen`."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As the node does it: connections in TIME_WAIT are not in the way, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except OSError as error:
        raise error_for("config/cannot-listen", f"cannot listen on {listen}: {error.strerror}") from None
