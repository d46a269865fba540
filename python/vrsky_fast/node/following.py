"""A node that follows the deployment's settings while it runs: the topology, and whose ins are closed.

    settings in the bucket ──► streams of the new lanes ──► the engine reads and fills them ──► `profile`

What waits in lanes of the topology before is taken by the nodes of the new one, and the other way round while nodes
change one after the other, so that nothing has to be drained first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..config import Problem
from ..config.deployment import PLACE, DeploymentSettings
from ..config.pipeline import advice
from ..control.connection import connect
from ..control.server import Server
from ..control.server_config import Endpoint
from ..errors import VrskyError
from .engine import Engine
from .profile import Profile
from .provision import make_streams


class Following:
    """`profile` is what the node serves at present."""

    def __init__(
        self, profile: Profile, engine: Engine, endpoint: Endpoint, server: Server | None, note: Callable[[str], None]
    ) -> None:
        self.profile = profile
        self._engine, self._endpoint, self._server, self._note = engine, endpoint, server, note
        self._said = self._failed = ""
        self.waits = False
        """Whether something could not be done that may work later."""

    async def follow(self, settings: DeploymentSettings | None, closed: Collection[str] = ()) -> None:
        """Serves what the settings say, with the ins of these customers closed; they are None where there are none.
        Raises nothing: what does not work is said once, and tried again by the next call."""
        problem = conflict(self.profile, settings)
        self._say("" if problem is None else problem.reason)
        before, wanted = self.profile, self.profile.following(settings, closed)
        self.waits = False
        if wanted == before:
            return
        try:
            if wanted.topology != before.topology:
                async with connect(self._endpoint) as client:
                    await make_streams(client, self._server, wanted)
            await self._engine.serve_as(wanted)
        except (VrskyError, OSError) as error:
            self.waits = True
            self._say_failed(f"the settings of the deployment cannot be followed, which is tried again: {error}")
            return
        self.profile, self._failed = wanted, ""
        if wanted.topology != before.topology:
            self._note(f"the topology is {wanted.topology} now; this node serves {', '.join(wanted.types)}")

    def _say(self, text: str) -> None:
        if text and text != self._said:
            self._note(text)
        self._said = text

    def _say_failed(self, text: str) -> None:
        if text != self._failed:
            self._note(text)
        self._failed = text


def conflict(profile: Profile, settings: DeploymentSettings | None) -> Problem | None:
    """That the node was started with another topology than the deployment has."""
    wanted = settings and settings.topology
    if not profile.is_fixed or wanted in {None, profile.topology}:
        return None
    code = "config/other-topology"
    reason = (
        f"the settings of the deployment say topology {wanted}, and this node was started with --topology"
        f" {profile.topology}, with which it goes on"
    )
    return Problem(code, reason, PLACE, hint=advice(code), pointer="/topology")
