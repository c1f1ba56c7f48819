"""A thread that works on files, so that a slow disk holds up nobody's turn.

What is to be done waits in a queue with a bound, in bytes and in seconds. What finds no room there is refused, and
whoever offered it says what becomes of it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from audio_pipeline import threads

MAX_BYTES = 128 << 20
MAX_S = 120.0
BATCH_BYTES = 4 << 20
ITEM_BYTES = 256  # what an item costs beside its data
POLL_S = 0.2


class Files(Protocol):
    """What the thread works on."""

    def flush(self) -> None:
        """Gives the system what was done; after each batch."""

    def tick(self) -> float | None:
        """Does one thing that is due by the clock; seconds until the next, None for never."""


class Item(NamedTuple):
    work: Callable[[], Any]
    size: int
    since_s: float


class Disk:
    """The queue and its thread. All but the work itself may be called from one other thread."""

    def __init__(
        self,
        files: Files,
        name: str,
        woken: Callable[[], None] = lambda: None,
        *,
        max_bytes: int = MAX_BYTES,
        max_s: float = MAX_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._woken, self._clock = files, woken, clock
        self._max_bytes, self._max_s = max_bytes, max_s
        self._queue: deque[Item] = deque()
        self._batch: list[Item] = []  # being worked on
        self._held = 0
        self._news = threading.Condition()
        self._closing = self._killed = False
        self._thread = threads.start(self._loop, f"{name}: disk")

    @property
    def held_bytes(self) -> int:
        """What waits, with what is being worked on."""
        return self._held

    @property
    def age_s(self) -> float:
        """How long the oldest of it has waited."""
        with self._news:
            return self._oldest_s()

    def offer(self, work: Callable[[], Any], size: int) -> bool:
        """Has `work` done in its turn; False where the queue is full."""
        with self._news:
            if self._held and (self._held + size > self._max_bytes or self._oldest_s() > self._max_s):
                return False
            self._add(work, size)
            return True

    def submit(self, work: Callable[[], Any], size: int = 0) -> None:
        """As `offer`, for what must be done: it is small and rare, or the caller waits for room."""
        with self._news:
            self._add(work, size)

    def _add(self, work: Callable[[], Any], size: int) -> None:
        self._queue.append(Item(work, size + ITEM_BYTES, self._clock()))
        self._held += size + ITEM_BYTES
        self._news.notify_all()

    def _oldest_s(self) -> float:
        oldest = self._batch[0] if self._batch else self._queue[0] if self._queue else None
        return self._clock() - oldest.since_s if oldest else 0.0

    def wait(self, held_bytes: int = 0, alive: Callable[[], None] = lambda: None) -> None:
        """Until no more than so much waits; calls `alive` meanwhile."""
        with self._news:
            while not self._news.wait_for(lambda: self._held <= held_bytes or self._killed, POLL_S):
                alive()

    def close(self) -> None:
        """Does all that waits and ends the thread."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join()

    def kill(self) -> None:
        """Ends the thread and forgets what waits, as the end of the process would."""
        with self._news:
            self._killed = True
            self._news.notify_all()
        self._thread.join()

    # -- the thread -------------------------------------------------------------------------------

    def _loop(self) -> None:
        due_s: float | None = None
        while self._take(due_s):
            for item in self._batch:
                if self._killed:
                    return
                item.work()
            self._files.flush()
            with self._news:
                self._held -= sum(item.size for item in self._batch)
                done, self._batch = bool(self._batch), []
                self._news.notify_all()
            if done:
                self._woken()
            due_s = self._files.tick()

    def _take(self, due_s: float | None) -> bool:
        """Waits for the next batch, or until something is due; False at the end."""
        with self._news:
            self._news.wait_for(lambda: self._queue or self._closing or self._killed, due_s)
            size = 0
            while self._queue and size < BATCH_BYTES:
                self._batch.append(self._queue.popleft())
                size += self._batch[-1].size
            return not self._killed and (bool(self._batch) or not self._closing)
