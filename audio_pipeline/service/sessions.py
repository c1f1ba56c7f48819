"""The sessions of this host as the web process knows them: found on disk, started one at a time, counted, let go."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil

from audio_pipeline.control.async_client import AsyncClient
from audio_pipeline.control.snapshots import Meters
from audio_pipeline.errors import ConfigError, ControlError, PipelineError
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.service.budget import Budget, Cost
from audio_pipeline.service.catalog import Catalog, Entry
from audio_pipeline.service.estimate import SUPERVISOR, served_share
from audio_pipeline.service.launch import end_session, start_session
from audio_pipeline.service.session.folder import (
    FAILED,
    ID,
    STARTING,
    SessionFolder,
    SessionJob,
    SessionStatus,
    session_folders,
)
from audio_pipeline.service.takes import take_entries

START_S, TURN_S = 30.0, 0.1
MEASURE_S = 10.0  # of playing, before a session's cost is taken from it
MOST_OVER = 20  # sessions without a take that have ended and are still shown
MOST_SESSIONS = 200

Start = Callable[[SessionFolder], subprocess.Popen[bytes]]
Pause = Callable[[float], Awaitable[None]]


class Sessions:
    """In one event loop. What is durable is in the folders: a web process that dies loses nothing."""

    def __init__(
        self, folder: Path, catalog: Catalog, budget: Budget, start: Start = start_session, pause: Pause = asyncio.sleep
    ) -> None:
        self._folder, self._catalog, self.budget = folder, catalog, budget
        self._start, self._pause = start, pause
        self._starting = asyncio.Lock()
        self._waiting: set[str] = set()  # accepted, and not started yet
        self._tasks: set[asyncio.Task[None]] = set()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: dict[str, AsyncClient] = {}
        self._playing_s: dict[str, float] = {}  # since when, on the monotonic clock
        self.on_over: Callable[[str], None] = lambda session: None  # called once, when a session is seen to be over
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    # -- what there is --------------------------------------------------------------------------------

    def all(self) -> list[SessionFolder]:
        """Oldest first."""
        return list(session_folders(self._folder))

    def find(self, session: str) -> SessionFolder | None:
        """By its id; None for what is no id or not there."""
        folder = SessionFolder(self._folder / session)
        return folder if ID.fullmatch(session) and folder.path.is_dir() else None

    def status(self, folder: SessionFolder) -> SessionStatus:
        """One that waits for its turn is starting."""
        child = self._children.get(folder.id)
        if folder.id in self._waiting or (child is not None and child.poll() is None):
            written = folder.status()
            return written if written.run else SessionStatus(STARTING)
        status = folder.status()
        if not status.pid and not folder.is_alive:
            return SessionStatus(FAILED, error="it was never started")
        return status

    def entry(self, folder: SessionFolder) -> Entry:
        """The pipeline of a session. Raises ConfigError, PipelineError."""
        return self._catalog.entry(folder.job().config)

    @property
    def live(self) -> list[SessionFolder]:
        """Those that are not over."""
        return [folder for folder in self.all() if not self.status(folder).is_over]

    # -- beginning and ending ---------------------------------------------------------------------------

    def adopt(self) -> None:
        """Takes over what a predecessor left: sessions that run are counted, those it had no time to start begin."""
        for folder in self.all():
            status = folder.status()
            if folder.is_alive and not status.is_over:
                self._reserve(folder)
            elif not status.is_over and not status.pid:
                self._reserve(folder)
                self._begin(folder)

    def _reserve(self, folder: SessionFolder) -> None:
        try:
            entry = self.entry(folder)
        except PipelineError:
            return  # of a pipeline that is not offered any more
        self.budget.adopt(folder.id, entry.offer.id, entry.cost)

    def create(self, entry: Entry, job: SessionJob) -> SessionFolder:
        """Accepts a session: it is reserved for at once and starts in its turn. Raises ShortageError, PipelineError."""
        if len(self.all()) >= MOST_SESSIONS:
            raise PipelineError(f"there are {MOST_SESSIONS} sessions already, those with takes included; delete some")
        self.budget.reserve(NEW, entry.offer.id, entry.cost)
        try:
            folder = SessionFolder.create(self._folder, job)
            self.budget.adopt(folder.id, entry.offer.id, entry.cost)
        finally:
            self.budget.release(NEW)
        self._begin(folder)
        return folder

    def _begin(self, folder: SessionFolder) -> None:
        self._waiting.add(folder.id)
        task = asyncio.get_running_loop().create_task(self._begin_in_turn(folder))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin_in_turn(self, folder: SessionFolder) -> None:
        """One at a time: a start takes a core for two seconds."""
        async with self._starting:
            if folder.id not in self._waiting:
                return  # it was ended meanwhile
            try:
                self._children[folder.id] = self._start(folder)
            except PipelineError as error:
                folder.write_status(SessionStatus(FAILED, error=str(error)))
            finally:
                self._waiting.discard(folder.id)
            until_s = time.monotonic() + START_S
            while self.status(folder).state == STARTING and time.monotonic() < until_s:
                await self._pause(TURN_S)

    def end(self, folder: SessionFolder) -> None:
        """Ends one cleanly; one that is over already is deleted with its takes."""
        if folder.id in self._waiting:
            self._waiting.discard(folder.id)
            self._forget(folder)
        elif self.status(folder).is_over:
            self._forget(folder)
        else:
            end_session(folder)

    def _forget(self, folder: SessionFolder) -> None:
        self.budget.release(folder.id)
        shutil.rmtree(folder.path, ignore_errors=True)

    async def turn(self) -> None:
        """To be called each second: collects what has ended, measures what plays."""
        over = []
        for folder in self.all():
            if self.status(folder).is_over:
                await self._let_go(folder.id)
                if not take_entries(folder.takes):
                    over.append(folder)
            else:
                self._hold(folder)
                await self._measure(folder)
        for folder in over[: max(len(over) - MOST_OVER, 0)]:
            self._forget(folder)

    @staticmethod
    def _hold(folder: SessionFolder) -> None:
        """Renews the lease of a session that is the service's own."""
        with suppress(PipelineError):
            if folder.job().pinned:
                folder.renew()

    async def _let_go(self, session: str) -> None:
        if self.budget.release(session):
            self.on_over(session)
        self._playing_s.pop(session, None)
        child, client = self._children.pop(session, None), self._clients.pop(session, None)
        if child is not None and child.poll() is None:
            self._children[session] = child  # it has said that it is over and is about to end
        if client is not None:
            await client.close()

    # -- its pipeline -----------------------------------------------------------------------------------

    def client(self, folder: SessionFolder) -> AsyncClient:
        """Of the session's pipeline. Raises ControlError while there is none."""
        status = self.status(folder)
        if status.is_over or not status.run:
            raise ControlError(f"the session is {status.state}")
        if folder.id not in self._clients:
            self._clients[folder.id] = client_of(status)
        return self._clients[folder.id]

    async def _measure(self, folder: SessionFolder) -> None:
        """What a session takes, once it has played for a while."""
        status, now_s = self.status(folder), time.monotonic()
        since_s = self._playing_s.setdefault(folder.id, now_s) if status.state == "playing" else now_s
        if now_s - since_s < MEASURE_S:
            return
        self._playing_s[folder.id] = now_s
        try:
            meters = await self.client(folder).meters()
            share = served_share(self.entry(folder).graph)
        except (ControlError, ConfigError, PipelineError):
            return  # it has ended just now
        self.budget.note(folder.id, measured(meters, _supervisor_cost(status.pid)) + share)

    async def close(self) -> None:
        """Lets go of everything; the sessions play on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.close()


NEW = "(new)"  # the reservation of a session whose folder is being made


def client_of(status: SessionStatus) -> AsyncClient:
    """Raises ControlError where its runtime folder is gone."""
    run = RunDir(Path(status.run))
    try:
        return AsyncClient(run.control, run.token)
    except PipelineError as error:
        raise ControlError(str(error)) from error


def measured(meters: Meters, supervisor: Cost) -> Cost:
    """Cores and memory of a session: nodes that share a process say the same of its memory."""
    memory = {node.pid: node.rss_mb for node in meters.nodes.values() if node.pid}
    cores = sum(node.cpu for node in meters.nodes.values())
    return Cost(round(cores, 3), round(sum(memory.values()), 1)) + supervisor


def _supervisor_cost(pid: int) -> Cost:
    """Its memory as it is; its cores as estimated, since it works most where nothing plays yet."""
    try:
        return Cost(SUPERVISOR.cores, round(psutil.Process(pid).memory_info().rss / 1e6, 1))
    except psutil.Error:
        return SUPERVISOR
