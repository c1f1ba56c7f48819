"""Events of a running pipeline for programs that embed it: a bounded queue for each reader."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
CAPACITY = 1_000  # events that wait for one reader
POLL_S = 0.1  # between two checks whether the pipeline has ended


class Events(Iterator[Event]):
    """Events in order, until the pipeline ends.

    A reader that falls behind by more than `CAPACITY` events loses the oldest ones; `{kind: "missed", events: N}` takes
    their place. Several threads may share one reader: each event goes to one of them.
    """

    def __init__(self, kinds: tuple[str, ...], has_ended: Callable[[], bool], capacity: int = CAPACITY) -> None:
        self._kinds, self._has_ended, self._capacity = kinds, has_ended, capacity
        self._queue: deque[Event] = deque()
        self._missed = 0
        self._changed = threading.Condition()

    def put(self, event: Event) -> None:
        """Takes an event in; called from the supervisor's thread, never waits for a reader."""
        if self._kinds and event.get("kind") not in self._kinds:
            return
        with self._changed:
            if len(self._queue) == self._capacity:
                self._queue.popleft()
                self._missed += 1
            self._queue.append(event)
            self._changed.notify()

    def get(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when the pipeline has ended, or when none came within `timeout_s`."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._queue:
                ended = self._has_ended()  # before the last look at the queue: whatever came before the end is in it
                left_s = POLL_S if until_s is None else min(POLL_S, until_s - time.monotonic())
                if ended or left_s <= 0:
                    return self._next()
                self._changed.wait(left_s)
            return self._next()

    def _next(self) -> Event | None:
        if self._missed:
            missed, self._missed = self._missed, 0
            return {"kind": "missed", "events": missed}
        return self._queue.popleft() if self._queue else None

    def __next__(self) -> Event:
        event = self.get()
        if event is None:
            raise StopIteration
        return event


class EventFeed:
    """Hands each event of a supervisor to every reader."""

    def __init__(self) -> None:
        self._readers: list[Events] = []
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """A listener of the supervisor."""
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.put(event)

    def add(self, reader: Events) -> Events:
        """Gives `reader` every event from now on."""
        with self._lock:
            self._readers.append(reader)
        return reader
