"""The stream of changes: the newest events, as many as memory may hold, and as many at once as a message may."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from audio_pipeline.control.codec import MSGPACK
from audio_pipeline.control.events import Event
from audio_pipeline.packed import UNPACKABLE

KEEP_EVENTS = 2_000
KEEP_BYTES = 4 << 20
ANSWER_BYTES = 1 << 20


class EventLog:
    """Events by number, oldest first."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, int, Event]] = deque()  # number, bytes, event
        self._bytes = 0
        self.next = 1

    def add(self, event: Event) -> None:
        """Takes one in; the oldest go where there are too many, or too large ones. What cannot be sent is left out."""
        try:
            size = len(MSGPACK.encode(event))
        except UNPACKABLE:
            return
        self._events.append((self.next, size, event))
        self._bytes += size
        self.next += 1
        while self._events and (len(self._events) > KEEP_EVENTS or self._bytes > KEEP_BYTES):
            self._bytes -= self._events.popleft()[1]

    @property
    def first(self) -> int:
        """Number of the oldest event that is kept, or of the next one where none is."""
        return self._events[0][0] if self._events else self.next

    def since(
        self, number: int, most_bytes: int = ANSWER_BYTES, most_events: int = KEEP_EVENTS
    ) -> tuple[int, list[Event]]:
        """The events from a number on, as many as one message holds, and the number to ask from next."""
        found: list[Event] = []
        size = 0
        for at, bytes_, event in islice(self._events, max(number - self.first, 0), None):
            size += bytes_
            if found and (size > most_bytes or len(found) >= most_events):
                return at, found
            found.append(event)
        return self.next, found

    def __iter__(self) -> Iterator[Event]:
        return (event for _, _, event in self._events)

    def __len__(self) -> int:
        return len(self._events)
