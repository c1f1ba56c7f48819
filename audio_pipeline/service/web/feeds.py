"""One subscription a session for all who watch it, and a bounded queue for each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from audio_pipeline.control.async_subscription import AsyncSubscription
from audio_pipeline.control.pushes import EventBatch, Push
from audio_pipeline.control.requests import EVENTS, GRAPH, METERS
from audio_pipeline.control.snapshots import Description, Meters
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.service.merge_patch import difference
from audio_pipeline.service.session.folder import SessionFolder
from audio_pipeline.service.web.shown import about, binary_meters, meter_names, recording_of, shown_event, state_of
from audio_pipeline.service.web.state import Service

QUEUE = 64  # messages; who is further behind gets the whole state anew
METERS_MS = 50
PATCH_S = 0.25
WAIT_S = 0.2
RENEW_S = 5.0
Message = str | bytes


class Viewer:
    """One connection."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(QUEUE)
        self.is_behind = True  # it is owed the whole state

    def put(self, message: Message) -> None:
        """Queues it; what is queued for one who is too slow is dropped, and the whole state follows."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self.is_behind = True

    @property
    def is_waiting(self) -> bool:
        """Whether something is queued."""
        return not self._waiting.empty()

    async def take(self) -> Message:
        """The next message, as soon as there is one."""
        return await self._waiting.get()


class Feed:
    """What the viewers of one session get. It reads while there is one."""

    def __init__(self, service: Service, folder: SessionFolder) -> None:
        self._service, self._folder = service, folder
        self._job, self._entry = folder.job(), service.sessions.entry(folder)
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._state: dict[str, Any] = {}
        self._revision = 0
        self._description: Description | None = None
        self._meters: Meters | None = None
        self._sent_s = 0.0
        self._recorded_since_s: float | None = None

    def join(self) -> Viewer:
        """One more viewer, who gets the state first."""
        viewer = Viewer()
        self._viewers.add(viewer)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return viewer

    def leave(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)

    @property
    def is_watched(self) -> bool:
        return bool(self._viewers)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    # -- reading ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        last_renewal_s = -RENEW_S
        while self._viewers:
            if time.monotonic() - last_renewal_s >= RENEW_S:
                last_renewal_s = time.monotonic()
                self._folder.renew()
            try:
                await self._follow(last_renewal_s + RENEW_S)
            except ControlError:
                self._description = self._meters = None
                self._publish()
                await asyncio.sleep(WAIT_S)

    async def _follow(self, until_s: float) -> None:
        """Passes on what the pipeline pushes; returns in time for the lease. Raises ControlError where nobody is."""
        client = self._service.sessions.client(self._folder)
        self._description, self._meters = await client.describe(), await client.meters()
        self._publish()
        async with await client.subscribe([EVENTS, METERS, GRAPH], METERS_MS) as subscription:
            await self._pass_on(subscription, until_s)

    async def _pass_on(self, subscription: AsyncSubscription, until_s: float) -> None:
        while self._viewers and not subscription.ended:
            push = await subscription.take(PATCH_S)
            if push is not None:
                self._on_push(push)
            if time.monotonic() - self._sent_s >= PATCH_S:
                self._publish()
            if time.monotonic() >= until_s:
                until_s = time.monotonic() + RENEW_S
                self._folder.renew()
        if subscription.ended:
            raise ControlError("the pipeline has ended")

    def _on_push(self, push: Push) -> None:
        data = push.data
        if isinstance(data, Meters):
            self._meters = data
            if self._description is not None:
                self._send(binary_meters(meter_names(self._description), data))
        elif isinstance(data, Description):
            self._description = data
        elif isinstance(data, EventBatch):
            for event in data.events:
                self._send(_text({"t": "event", "event": shown_event(event, f"{self._service.options.state}/")}))

    # -- sending ----------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """A patch to those who have the state, the state to those who have not."""
        self._sent_s = time.monotonic()
        state = self._now()
        patch = difference(self._state, state)
        if patch:
            self._state, self._revision = state, self._revision + 1
        whole = ""
        for viewer in self._viewers:
            if viewer.is_behind:
                whole = whole or _text({"t": "state", "revision": self._revision, "state": state})
                viewer.is_behind = False
                viewer.put(whole)
            elif patch:
                viewer.put(_text({"t": "patch", "revision": self._revision, "merge": patch}))

    def _now(self) -> dict[str, Any]:
        session = about(self._folder.id, self._job, self._service.sessions.status(self._folder))
        if self._description is None or self._meters is None:
            return session
        recording = recording_of(self._description, self._entry.recorders, self._recorded_s())
        return state_of(session, self._description, self._meters, recording, self._service.uploads)

    def _recorded_s(self) -> float | None:
        """Since a recorder was first seen here."""
        nodes = self._description.nodes if self._description is not None else {}
        if not self._entry.recorders.keys() & nodes.keys():
            self._recorded_since_s = None
            return None
        now_s = time.monotonic()
        self._recorded_since_s = now_s if self._recorded_since_s is None else self._recorded_since_s
        return now_s - self._recorded_since_s

    def _send(self, message: Message) -> None:
        for viewer in self._viewers:
            if not viewer.is_behind:
                viewer.put(message)


def _text(message: Mapping[str, Any]) -> str:
    return msgspec.json.encode(message).decode()


class Feeds:
    """Those of all sessions."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._feeds: dict[str, Feed] = {}

    def of(self, folder: SessionFolder) -> Feed:
        """Raises PipelineError for a session that cannot be read."""
        for session in [session for session, feed in self._feeds.items() if not feed.is_watched]:
            if session != folder.id:
                del self._feeds[session]
        if folder.id not in self._feeds:
            self._feeds[folder.id] = Feed(self._service, folder)
        return self._feeds[folder.id]

    async def close(self) -> None:
        for feed in self._feeds.values():
            with suppress(PipelineError):
                await feed.close()
