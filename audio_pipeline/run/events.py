"""Events of a running pipeline for programs that embed it: a numbered subscription for each reader."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from audio_pipeline.control.client import Client
from audio_pipeline.control.events import Event
from audio_pipeline.control.pushes import EventBatch
from audio_pipeline.control.requests import EVENTS
from audio_pipeline.control.subscription import Subscription
from audio_pipeline.errors import ControlError
from audio_pipeline.settings import setting
from audio_pipeline.supervisor.supervisor import Supervisor

POLL_S = 0.1  # between two checks whether the pipeline has ended


@dataclass(frozen=True, kw_only=True)
class MissedEvents(Event):
    """Stands where events were forgotten before this reader took them."""

    kind: str = setting("missed", choices=("missed",))
    events: int = setting(doc="how many")


class RunEvents:
    """Where the readers of one run get their events."""

    def __init__(self) -> None:
        self._readers: weakref.WeakSet[Events] = weakref.WeakSet()
        self._supervisor: Supervisor | None = None
        self._client: Client | None = None
        self._is_over = False
        self._changed = threading.Event()

    def begin(self, supervisor: Supervisor, client: Client) -> None:
        """The run has started."""
        self._supervisor, self._client = supervisor, client
        self._changed.set()

    def finish(self) -> None:
        """The run is over, or never began: readers keep what is left, and their subscriptions end."""
        self._is_over = True
        self._changed.set()
        for reader in list(self._readers):
            reader.finish()

    def reader(self, kinds: tuple[str, ...]) -> Events:
        """One that gets every event from now on."""
        reader = Events(self, kinds)
        self._readers.add(reader)
        return reader

    @property
    def has_ended(self) -> bool:
        return self._is_over or (self._supervisor is not None and self._supervisor.wait(0))

    def wait_begun(self, timeout_s: float) -> bool:
        """Whether the run has started, or will not."""
        return self._changed.wait(timeout_s)

    @property
    def next(self) -> int:
        """Number of the next event that happens; 1 before the start."""
        return 1 if self._supervisor is None else self._supervisor.event_log.next

    def subscribe(self, since: int) -> Subscription | None:
        """None before the start. Raises ControlError where nobody answers."""
        return None if self._client is None else self._client.subscribe([EVENTS], since=since)

    def rest(self, since: int) -> EventBatch:
        """What a run that has ended left from a number on."""
        if self._supervisor is None:
            return EventBatch(since, ())
        log = self._supervisor.event_log  # nobody writes to it any more
        first = max(since, log.first)
        return EventBatch(first, tuple(log.since(first)[1]), first - since)


class Events(Iterator[Event]):
    """Events in order, until the pipeline ends.

    The supervisor keeps the newest 2,000 for whoever is slow; `MissedEvents` takes the place of those that it has
    forgotten before they were taken. Several threads may share one reader: each event goes to one of them.
    """

    def __init__(self, run: RunEvents, kinds: tuple[str, ...]) -> None:
        self._run, self._kinds = run, kinds
        self._waiting: deque[Event] = deque()
        self._lock = threading.Lock()
        self._next = run.next  # number of the first event that has not come
        self._subscription: Subscription | None = None
        self._is_over = False

    def get(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when the pipeline has ended, or when none came within `timeout_s`."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with self._lock:
                if self._waiting or self._is_over:
                    return self._waiting.popleft() if self._waiting else None
                left_s = POLL_S if until_s is None else min(POLL_S, until_s - time.monotonic())
                self._take(max(left_s, 0.0))
                if left_s <= 0 and not self._waiting:
                    return None

    def _take(self, timeout_s: float) -> None:
        if self._run.has_ended:
            self._finish()
        elif self._run.wait_begun(timeout_s):
            try:
                self._take_pushed(timeout_s)
            except ControlError:  # it has ended, or is too busy: what comes next has a number
                self._close()

    def _take_pushed(self, timeout_s: float) -> None:
        if self._subscription is None:
            self._subscription = self._run.subscribe(self._next)
        push = self._subscription.take(timeout_s) if self._subscription is not None else None
        if push is not None and isinstance(push.data, EventBatch):
            self._add(push.data)

    def _add(self, batch: EventBatch) -> None:
        if batch.lost:
            self._waiting.append(MissedEvents(events=batch.lost))
        self._waiting += [event for event in batch.events if not self._kinds or event.kind in self._kinds]
        self._next = batch.first + len(batch.events)

    def finish(self) -> None:
        """Keeps what is left of a run that has ended."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._close()
            self._add(self._run.rest(self._next))

    def _close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def __next__(self) -> Event:
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def __del__(self) -> None:
        self._close()
