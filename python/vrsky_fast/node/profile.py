"""The profile of a node: which part of the way it serves, how much of it, and what it may reach."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from ..config.deployment import DeploymentSettings
from ..control.server_config import Endpoint
from ..control.streams import Stream, left_behind, topology
from ..facts import DEFAULTS, TIERS, TOPOLOGIES, Ceilings


@dataclass(frozen=True)
class Profile:
    """The engine's settings but for the NATS server. Everything that is not named is the engine's default, which
    suits a node that customers share: no loopback, no absolute paths.

    `types` are some of the node types of `topology`, which is one of `facts.TOPOLOGIES`; `asked` are those that
    somebody has asked for, none for all of them. With `is_fixed` the topology is what was asked for, and not what the
    settings of the deployment say. `customer` is the one that it serves, which has lanes of its own; None for those of
    the shared lanes. The ins of `closed` customers take nothing in. `lanes` and `tiers` name the streams; they have to
    be the same for all nodes of a deployment. `listen` is IP:PORT, or None where no HTTP is served; `inherited` are
    descriptors of sockets that listen there already. `files` is the folder of file outs, in which each customer has its
    own; with `absolute_files` their paths may lead anywhere. `allow` names networks that outgoing HTTP may reach though
    they are not public. After `park_after` failures in a row an out's messages are parked. `replicas` is the number of
    servers of a cluster that hold each stream; None leaves it to who made them. With `leases`
    sources that one node alone may read are read by a lease alone. With `isolates` scripts run in processes of their
    customers, not in this one: at most so many `script_workers`, which use at most `script_memory` bytes together; None
    leaves it to what there is. A pipeline that asks for more than `ceilings` is refused."""

    files: Path
    topology: str = DEFAULTS.topology
    customer: str | None = None
    closed: tuple[str, ...] = ()
    types: tuple[str, ...] = DEFAULTS.types
    asked: tuple[str, ...] = ()
    is_fixed: bool = True
    threads: int = DEFAULTS.threads
    lanes: int = DEFAULTS.lanes
    tiers: tuple[str, ...] = tuple(TIERS)
    listen: str | None = None
    inherited: tuple[int, ...] = ()
    allow_loopback: bool = DEFAULTS.allow_loopback
    allow: tuple[str, ...] = ()
    absolute_files: bool = DEFAULTS.absolute_files
    park_after: int = DEFAULTS.park_after
    replicas: int | None = None
    leases: bool = False
    isolates: bool = False
    script_workers: int = 1000
    script_memory: int | None = None
    ceilings: Ceilings = DEFAULTS.ceilings

    @classmethod
    def of_process(
        cls,
        data: Path,
        listen: str | None = None,
        threads: int = DEFAULTS.threads,
        types: tuple[str, ...] = (),
        allow: tuple[str, ...] = (),
        files_anywhere: bool = False,
        replicas: int | None = None,
        topology: str | None = DEFAULTS.topology,
        allow_loopback: bool = True,
        shared_files: Path | None = None,
        isolates: bool = False,
        ceilings: Ceilings = DEFAULTS.ceilings,
        script_workers: int = 1000,
        script_memory: int | None = None,
    ) -> Self:
        """A node with this data folder. As `vrsky run` makes it, one user's on one machine, receivers may listen on
        loopback; that of a deployment, as `vrsky node` makes it, is nobody's receiver there. Without `types` it serves
        all of the way. `topology` None is that of the deployment's settings. `shared_files` is used in place of the
        folder for files in `data`."""
        made = cls(
            files=shared_files.absolute() if shared_files is not None else data.absolute() / "files",
            listen=listen,
            threads=threads,
            topology=topology or DEFAULTS.topology,
            types=types or TOPOLOGIES[topology or DEFAULTS.topology].node_types,
            asked=types,
            is_fixed=topology is not None,
            allow=allow,
            allow_loopback=allow_loopback,
            absolute_files=files_anywhere,
            replicas=replicas,
            isolates=isolates,
            ceilings=ceilings,
            script_workers=script_workers,
            script_memory=script_memory,
        )
        return made if made.is_fixed else made._of(made.topology)

    def following(self, settings: DeploymentSettings | None, closed: Collection[str] = ()) -> Self:
        """What it is by the settings of the deployment, where nobody has asked for something else, with these customers
        closed."""
        made = replace(self, closed=tuple(sorted(closed)))
        if settings is None or self.is_fixed:
            return made
        return made._of(settings.topology or DEFAULTS.topology)

    def streams(self) -> list[Stream]:
        """Those of its deployment that it has to do with."""
        return list(topology(self.tiers, self.lanes, self.replicas, self.topology, self.customer))

    def streams_left_behind(self) -> list[Stream]:
        """Lanes of another topology, which are there or not."""
        return list(left_behind(self.tiers, self.lanes, self.topology, self.customer))

    def _of(self, topology: str) -> Self:
        """Steps are run where steps were asked for: what has no counterpart is all steps of the topology."""
        known = TOPOLOGIES[topology]
        wanted = {one for each in self.asked for one in ([each] if each in known.node_types else known.step_lanes)}
        types = tuple(one for one in known.node_types if not wanted or one in wanted)
        return replace(self, topology=topology, types=types)

    def part(self) -> str:
        """What of it may change while the engine runs, as that takes it: JSON."""
        return json.dumps({"topology": self.topology, "types": self.types, "closed": self.closed})

    def for_engine(self, endpoint: Endpoint, max_payload: int | None = None) -> str:
        """As the engine takes it, with the server and its `max_payload` where that is known, as JSON. Holds the
        server's credentials."""
        tls, access = endpoint.tls, endpoint.access
        nats = {
            "url": endpoint.url,
            "user": endpoint.user,
            "password": endpoint.password,
            "token": endpoint.token,
            "ca": tls.ca and str(tls.ca),
            "cert": tls.cert and str(tls.cert),
            "key": tls.key and str(tls.key),
            "tls_first": tls.first,
            "creds": access.creds and str(access.creds),
            "nkey": access.nkey and str(access.nkey),
            "discover": None if access.discover else False,
            "domain": access.domain,
            "api_prefix": access.api_prefix,
        }
        return json.dumps(
            {
                "nats": {name: value for name, value in nats.items() if value is not None},
                "topology": self.topology,
                "types": self.types,
                "customer": self.customer,
                "closed": self.closed,
                "threads": self.threads,
                "lanes": self.lanes,
                "tiers": self.tiers,
                "listen": self.listen,
                "inherited": self.inherited,
                "files": str(self.files),
                "allow_loopback": self.allow_loopback,
                "allow": self.allow,
                "absolute_files": self.absolute_files,
                "park_after": self.park_after,
                "leases": self.leases,
                "max_payload": max_payload,
                "ceilings": asdict(self.ceilings),
            }
        )
