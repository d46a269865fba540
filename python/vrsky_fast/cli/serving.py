"""What `vrsky run` and `vrsky node` share: the options of a node, and how it is run and shown."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ..config import InvalidConfig
from ..errors import VrskyError
from ..facts import DEFAULTS, MAX_THREADS, NODE_TYPES, TOPOLOGIES, Ceilings
from ..node import MakeOrigin, Profile, Settings, serve
from . import ceilings, exit_codes, nats
from .display import Display, JsonDisplay
from .json_log import JsonLog
from .log import Log


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, the same of every node."""

    settings: Settings
    as_json: bool
    log_format: str

    def of_customer(self, customer: str | None) -> Asked:
        """The same for one customer, with lanes of its own."""
        profile = replace(self.settings.profile, customer=customer)
        return replace(self, settings=replace(self.settings, profile=profile))

    def serve(self, make: MakeOrigin) -> int:
        """Runs the node until it ends in order."""
        if self.as_json and self.log_format == "json":
            raise click.UsageError("--json and --log-format json are two ways to be told the same: choose one")
        with Log(sys.stdout if self.as_json else sys.stderr) as log:
            display = self._display(log)
            try:
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                    runner.run(serve(make, self.settings, display))
            except VrskyError as error:
                if not isinstance(display, JsonLog):
                    raise
                return _log_failure(display, error)
            display.end()
        return exit_codes.OK

    def _display(self, log: Log) -> Display | JsonDisplay | JsonLog:
        if self.as_json:
            return JsonDisplay(log)
        return JsonLog(log) if self.log_format == "json" else Display(log, self.settings.profile.files)


def options(
    what: str, allow_loopback: bool, follows: bool = False
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Adds them; the command gets them as `asked`. `what` says what --nats is for; `allow_loopback` whether receivers
    may listen on this machine's loopback; `follows` whether the topology is that of the deployment's settings unless
    another is asked for."""
    path = click.Path(path_type=Path)
    same = "without it that of `vrsky settings`, also when they change" if follows else "fused by default"
    added: list[Callable[[Any], Any]] = [
        click.option(
            "--listen",
            default="127.0.0.1:8080",
            show_default=True,
            metavar="IP:PORT",
            help="Where HTTP pipelines are served.",
        ),
        nats.options(what),
        click.option(
            "--data", default=".vrsky", show_default=True, type=path, help="Where messages and file outs are kept."
        ),
        click.option(
            "--files",
            "shared_files",
            type=path,
            metavar="DIR",
            help="The folder of customers' files, instead of files in the data folder. Nodes that are to read the same"
            " files share it.",
        ),
        click.option(
            "--threads",
            default=DEFAULTS.threads,
            show_default=True,
            type=click.IntRange(1, MAX_THREADS),
            help="Shards, one thread each.",
        ),
        click.option(
            "--topology",
            type=click.Choice(tuple(TOPOLOGIES)),
            default=None if follows else DEFAULTS.topology,
            help="Whether all steps of a message are run in one go, or each row of steps of one kind from lanes of its"
            f" own, by the node types converter and filter. The same for all nodes of a deployment; {same}.",
        ),
        click.option(
            "--type",
            "types",
            multiple=True,
            type=click.Choice(NODE_TYPES),
            help="Serve this part of the way only; may be repeated. Needs --nats, and other nodes for the rest.",
        ),
        nats.replicas("each stream", "Needs --nats; left out, streams stay as they are."),
        click.option("--secrets", type=path, metavar="DIR", help="Secrets as files DIR/CUSTOMER/NAME."),
        click.option(
            "--allow",
            multiple=True,
            metavar="NETWORK",
            help="Let outgoing HTTP reach this address or network, such as 10.0.0.0/8, though it is not public; may be"
            " repeated. A metadata service, such as 169.254.169.254, has to be named by its own address.",
        ),
        click.option(
            "--files-anywhere",
            is_flag=True,
            help="Let file outs name absolute paths: any file that this process may write, other customers' too."
            " Without it a customer's files are below files/CUSTOMER in the data folder.",
        ),
        click.option(
            "--isolation",
            type=click.Choice(("customer", "none")),
            default="customer" if sys.platform == "linux" else "none",
            show_default=True,
            help="Where customers' scripts run: in a process of each customer, from which the kernel takes network,"
            " files and all else, and which is killed when it does not stop; or in this process, where one may hold up"
            " all others. Where such processes are not to be had, pipelines with scripts are refused; `vrsky doctor`"
            " shows what is missing. Processes need Linux; elsewhere the default is none.",
        ),
        click.option(
            "--script-workers",
            default=1000,
            show_default=True,
            type=click.IntRange(1, 4000),
            help="With --isolation customer, processes for scripts at the same time; one more takes the place of the"
            " one that was used longest ago.",
        ),
        click.option(
            "--script-memory",
            type=click.IntRange(64),
            metavar="MIB",
            help="Memory that all of them may use together; scripts for which there is none left wait. By default what"
            " a container's limit leaves beside the node's own need, or half of the machine's.",
        ),
        ceilings.options,
        click.option(
            "--metrics",
            metavar="IP:PORT",
            help="Where /metrics for Prometheus, /livez and /readyz are served, to whoever reaches it.",
        ),
        click.option(
            "--take-over",
            is_flag=True,
            help="Take the place of the run on the same data folder, if there is one: it hands over the sockets it"
            " listens on, drains and ends, and no connection is refused meanwhile.",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output."),
        click.option(
            "--log-format",
            type=click.Choice(("text", "json")),
            default="text",
            show_default=True,
            help="What is written to standard error: text for people, or one JSON object a line for a collector of"
            " logs. Not with --json, which has everything on standard output.",
        ),
    ]

    def wrap(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def with_settings(
            server: nats.Server,
            listen: str,
            data: Path,
            shared_files: Path | None,
            threads: int,
            topology: str | None,
            types: tuple[str, ...],
            replicas: int | None,
            secrets: Path | None,
            allow: tuple[str, ...],
            files_anywhere: bool,
            isolation: str,
            ceilings: Ceilings,
            script_workers: int,
            script_memory: int | None,
            metrics: str | None,
            take_over: bool,
            as_json: bool,
            log_format: str,
            named_types: tuple[str, ...] = (),
            **rest: Any,
        ) -> int:
            profile = Profile.of_process(
                data,
                listen,
                threads,
                tuple(dict.fromkeys((*named_types, *types))),
                allow,
                files_anywhere,
                replicas,
                topology,
                allow_loopback,
                shared_files,
                isolation == "customer",
                ceilings,
                script_workers,
                None if script_memory is None else script_memory << 20,
            )
            settings = Settings(
                data,
                profile,
                server.url,
                server.tls,
                secrets,
                access=server.access,
                metrics=metrics,
                take_over=take_over,
            )
            return function(asked=Asked(settings, as_json, log_format), **rest)

        if follows:
            added.append(click.argument("named_types", metavar="[TYPE]...", nargs=-1, type=click.Choice(NODE_TYPES)))
        wrapped: Callable[..., int] = with_settings
        for option in reversed(added):
            wrapped = option(wrapped)
        return wrapped

    return wrap


def _log_failure(display: JsonLog, error: VrskyError) -> int:
    """A collector of logs reads no text for people."""
    for problem in error.problems if isinstance(error, InvalidConfig) else ():
        display.failed(problem.code, f"{problem.place}: {problem.reason}")
    if not isinstance(error, InvalidConfig):
        display.failed(error.code, error.reason)
    return exit_codes.of(error)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
