"""Whether a run can be what it was asked for. Nothing is started or made here."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from pathlib import Path

from ..config import PipelineFile, Problem
from ..errors import ConfigError, error_for
from ..facts import SERVES_FILES, SERVES_HTTP, TOPOLOGIES
from .engine import Engine
from .profile import Profile
from .settings import Settings


def check_types(profile: Profile, nats: str | None) -> None:
    """A part of the way needs somebody for the rest: raises ConfigError where nobody could be."""
    known = TOPOLOGIES[profile.topology].node_types
    if others := [one for one in profile.types if one not in known]:
        reason = f"the topology {profile.topology} has no node type {', '.join(others)}; it has {', '.join(known)}"
        raise error_for("config/invalid-value", reason)
    if nats is None and set(profile.types) != set(known):
        reason = "--type needs --nats: only this process knows the embedded server, and nobody would do the rest"
        raise error_for("config/invalid-value", reason)


def check_replicas(profile: Profile, nats: str | None) -> None:
    """Raises ConfigError where there is no cluster to hold them."""
    if nats is None and profile.replicas is not None:
        raise error_for("config/invalid-value", "--replicas needs --nats: the embedded server is one alone")


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
        # Where it listens is read as people write it, later on.
        Engine.to_ask(replace(profile, listen=None))
    except ConfigError as error:
        raise error_for(error.code, f"--allow: {error.reason}") from None


def checked(settings: Settings) -> Profile:
    """The profile as the engine gets it: it listens only where HTTP is served. Raises ConfigError and SecretError."""
    profile = settings.profile
    check_types(profile, settings.nats)
    check_replicas(profile, settings.nats)
    check_secrets(settings.secrets)
    check_allow(profile)
    if profile.listen is None or SERVES_HTTP not in profile.types:
        return replace(profile, listen=None)
    return replace(profile, listen=parse_listen(profile.listen))


def refused(one: PipelineFile, profile: Profile) -> list[Problem]:
    """Why a node of this profile, from `checked`, does not serve a file that is right in itself."""
    return _absolute_paths(one, profile) + _open_beyond_loopback(one, profile.listen)


def _absolute_paths(one: PipelineFile, profile: Profile) -> list[Problem]:
    """The file outs with an absolute path, which leads to every customer's files, where that is not allowed."""
    if profile.absolute_files or SERVES_FILES not in profile.types:
        return []
    reason = "the path is absolute; a customer's files are below its own folder"
    return [one.problem("file/outside", reason, pointer) for pointer, path in one.file_outs if path.is_absolute()]


def parse_listen(text: str, option: str = "--listen") -> str:
    """What `--listen`, or another option, says as IP:port. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
        if not 0 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        reason = f"{option} {text}: write IP:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        raise error_for("config/invalid-value", reason) from None
    return f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}"


def _open_beyond_loopback(one: PipelineFile, listen: str | None) -> list[Problem]:
    """The in that `listen` would serve to everybody without `auth`."""
    source = one.summary.source
    if listen is None or not source.loopback_only:
        return []
    if ipaddress.ip_address(listen.rpartition(":")[0].strip("[]")).is_loopback:
        return []
    reason = f"the route has no `auth`, and {listen} is more than loopback"
    return [one.problem("config/needs-auth", reason, source.pointer)]


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
