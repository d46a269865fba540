"""What became of a change of the bucket: waited for and shown, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nats.aio.client import Client

from ..config.problem import visible
from ..control.buckets import name_of
from ..control.nodes import Refusal
from ..control.rollout import NodeState, wait
from . import exit_codes
from .terminal import Terminal, safe

_SHOWN = 20


async def waited(client: Client, wanted: Mapping[str, int], seconds: float) -> list[NodeState]:
    """Of the keys that were written and their sequences. Nothing where nobody wants to wait."""
    return await wait(client, wanted, seconds) if wanted and seconds > 0 else []


def exit_code(states: Sequence[NodeState]) -> int:
    found = {one.state for one in states}
    if "refused" in found:
        return exit_codes.FINDINGS
    return exit_codes.ENVIRONMENT if found & {"waiting", "missing"} else exit_codes.OK


def show(terminal: Terminal, states: Sequence[NodeState], seconds: float) -> None:
    if not states and seconds > 0:
        terminal.line(terminal.warning("no node answers: what is in the bucket is served when one starts"))
    for one in states:
        node = one.node
        name = f"{node.id}  {','.join(node.types)}  {node.version}"
        match one.state:
            case "applied":
                terminal.line(f"{terminal.good('applied')}  {safe(name)}")
            case "refused":
                terminal.line(f"{terminal.bad('refused')}  {safe(name)}")
                show_refused(terminal, one.refused)
            case "waiting":
                terminal.line(f"{terminal.warning('waiting')}  {safe(name)}: not yet, after {seconds:g} s")
            case "missing":
                terminal.line(f"{terminal.warning('missing')}  {safe(name)}: it does not answer any more")


def show_refused(terminal: Terminal, refused: Mapping[str, Refusal]) -> None:
    for key, one in list(refused.items())[:_SHOWN]:
        goes_on = "; what was before goes on" if one.goes_on else ""
        terminal.line(f"  {terminal.strong(safe(name_of(key)))}  not served{goes_on}")
        for problem in one.problems:
            terminal.line(f"    {_problem(problem)}")
    if len(refused) > _SHOWN:
        terminal.line(terminal.quiet(f"  ... and {len(refused) - _SHOWN} more"))


def _problem(problem: Mapping[str, Any]) -> str:
    place = str(problem.get("file"))
    if problem.get("line"):
        place += f":{problem['line']}:{problem.get('column')}"
    return visible(f"{place}: {problem.get('code')}: {problem.get('reason')}")
