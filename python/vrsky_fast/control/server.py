"""The embedded nats-server of a data folder: started, watched, restarted, stopped.

The server inherits a lock on `server.lock` and so holds it exactly as long as it lives, even when the
run that started it is killed before it could write anything down. The next run that cannot take that
lock ends the orphan first: two servers must never write the same store.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from ..errors import VrskyError, error_for
from . import server_config as conf
from .failure import fail
from .lock import Lock, on_disk
from .process import Identity
from .server_config import Endpoint, Layout
from .store import StoreWatch

_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
# Given up after so many restarts in a row that did not last.
_MAX_RESTARTS = 5
_LASTING_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_BETWEEN_RESTARTS_SECONDS = 2.0


class Server:
    """Belongs to the one process that holds the data folder's lock."""

    def __init__(self, data: Path) -> None:
        self.layout = Layout(data)
        self.endpoint = Endpoint("")
        self._lock = Lock(self.layout.lock)
        self._process: asyncio.subprocess.Process | None = None
        self._port = -1
        self._restarting = False
        self._store = StoreWatch(self.layout.log, self.layout.data)
        self._user, self._password = conf.credentials()

    async def start(self) -> Endpoint:
        """Returns when the server takes connections. Raises NatsError `nats/server-start`, and ConfigError
        when the data folder cannot be written."""
        if not self._store.has_a_little_room():
            # It would start, wait for its first write, and say nothing.
            reason = f"the data folder {self.layout.data} cannot be used: its disk is full"
            raise error_for("config/data-folder-unusable", reason)
        with on_disk(self.layout.data):
            if not self._lock.try_acquire():
                await asyncio.to_thread(self._end_orphan)
            conf.write(self.layout, self._port, self._user, self._password)
            self._forget_ports()
        # What the server meets while it starts counts.
        self._store.mended()
        try:
            self._process = await asyncio.create_subprocess_exec(
                conf.binary(),
                "-c",
                str(self.layout.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=[self._lock.descriptor],
                # Ctrl-C in the terminal is for the run, which drains before it stops the server.
                start_new_session=True,
            )
        except OSError as error:
            fail("nats/server-start", f"{conf.binary()} cannot be run: {error.strerror}")
        url = await self._ready(self._process)
        self._port = int(url.rpartition(":")[2])
        self.endpoint = Endpoint(url, self._user, self._password)
        identity = Identity.of(self._process.pid)
        if identity is not None:
            with on_disk(self.layout.data):
                conf.remember(self.layout, identity, self.endpoint)
        return self.endpoint

    async def watch(self, note: Callable[[str], None]) -> None:
        """Starts the server again, on the same port, whenever it ends by itself, and says so. Returns only
        by being cancelled; raises NatsError when it does not stay up."""
        loop = asyncio.get_running_loop()
        failures = 0
        while self._process is not None:
            since = loop.time()
            code = await self._ended(self._process, note)
            if self._restarting:
                self._restarting = False
                await self._start_again(note)
                continue
            failures = 1 if loop.time() - since > _LASTING_SECONDS else failures + 1
            if failures > _MAX_RESTARTS:
                reason = f"nats-server ended {failures} times, the last time with {code}; see {self.layout.log}"
                fail("nats/server-start", reason)
            note(f"nats-server ended with {code}; starting it again")
            await asyncio.sleep(0.1 * (failures - 1))
            await self._start_again(note)

    async def _start_again(self, note: Callable[[str], None]) -> None:
        """One that does not start counts as one that has ended."""
        self._lock.release()
        if not self._store.has_a_little_room():
            note(f"the disk of {self.layout.data} is full: nats-server starts when there is room")
        while not self._store.has_a_little_room():
            await asyncio.sleep(_LOOK_SECONDS)
        with contextlib.suppress(VrskyError):
            await self.start()

    async def _ended(self, process: asyncio.subprocess.Process, note: Callable[[str], None]) -> int:
        """Waits for the server's end, which is ours to bring when its store has given up and could go on."""
        store, loop = self._store, asyncio.get_running_loop()
        since = loop.time()
        ended = asyncio.ensure_future(process.wait())
        while True:
            await asyncio.wait([ended], timeout=_LOOK_SECONDS)
            if ended.done():
                return ended.result()
            if store.look():
                reason = self._last_error(process.returncode)
                note(f"the NATS store could not write, and takes nothing until there is room: {reason}")
            # A server that meets a full disk again at once is given time until the next one.
            is_time = loop.time() - since >= _BETWEEN_RESTARTS_SECONDS
            if store.broken and not self._restarting and is_time and store.has_room():
                note("there is room again: restarting nats-server")
                self._restarting = True
                process.terminate()

    async def stop(self) -> None:
        """Ends the server in order; everything it has acknowledged is on disk."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        # A disk that has become read-only keeps them: the password is of no use without the server.
        with contextlib.suppress(OSError):
            self.layout.record.unlink(missing_ok=True)
            self.layout.config.unlink(missing_ok=True)
        self._lock.release()

    def kill(self) -> None:
        """Ends the server at once. What it has acknowledged is on disk all the same."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def _end_orphan(self) -> None:
        """The server of a killed run still holds the lock. Blocks until it is gone."""
        identity = self._orphan()
        if identity is None or not identity.end(_STOP_SECONDS) or not self._lock.try_acquire():
            fail(
                "nats/server-start",
                f"a nats-server of an earlier run still uses {self.layout.data}; see {self.layout.pid}",
            )

    def _orphan(self) -> Identity | None:
        """The process of the record or of the server's own pid file, if its command line is ours."""
        recorded = conf.recall(self.layout)
        candidates = [recorded[0]] if recorded else []
        try:
            named = Identity.of(int(self.layout.pid.read_text()))
            candidates += [named] if named else []
        except (OSError, ValueError):
            pass
        return next((one for one in candidates if one.runs(str(self.layout.config))), None)

    async def _ready(self, process: asyncio.subprocess.Process) -> str:
        """The server writes its ports file once it listens."""
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        while process.returncode is None and asyncio.get_running_loop().time() < deadline:
            for file in self.layout.folder.glob(f"*_{process.pid}.ports"):
                try:
                    return str(json.loads(file.read_text())["nats"][0])
                except (OSError, ValueError, KeyError, IndexError):
                    pass  # half written
            await asyncio.sleep(0.005)
        if process.returncode is None:
            process.kill()
        fail("nats/server-start", f"nats-server did not start: {self._last_error(process.returncode)}")

    def _last_error(self, code: int | None) -> str:
        try:
            lines = self.layout.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        said = [line for line in lines[-20:] if re.search(r"\[(ERR|FTL)\]", line)]
        return f"{said[-1] if said else f'it ended with {code}'} (log: {self.layout.log})"

    def _forget_ports(self) -> None:
        for file in self.layout.folder.glob("*.ports"):
            file.unlink(missing_ok=True)
