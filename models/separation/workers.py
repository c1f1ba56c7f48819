"""Who computes the windows of a separator: the caller itself, or a model that it may share with other streams."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import Protocol

from audio_pipeline.models.separation.batching import Batcher, Job
from audio_pipeline.models.separation.types import Array, Model, State, Window


class Worker(Protocol):
    """Answers one window at a time."""

    @property
    def last_s(self) -> float:
        """What the last inference took."""

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        """Starts on a window, of use until a host time; only when `idle`."""

    def take(self, window: Window) -> Array | None:
        """The answer for a window, once it is there."""

    def has(self, window: Window) -> bool:
        """Whether this very window was submitted."""

    @property
    def idle(self) -> bool:
        """Whether a window can be submitted."""

    @property
    def available(self) -> bool:
        """False while there is nobody who could compute: what is missed then says nothing of the machine's load."""

    def wait(self, timeout_s: float) -> None:
        """Until something is done."""

    def reset(self) -> None:
        """A new stream: what is under way is wanted no more."""

    def close(self) -> None:
        """Ends what runs."""


class Inline:
    """Computes on the spot: for offline work."""

    idle = available = True

    def __init__(self, model: Model) -> None:
        self._model = model
        self.last_s = 0.0
        self._state: State = model.initial_state()
        self._done: tuple[Window, Array] | None = None

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        began = time.perf_counter()
        answers, (self._state,) = self._model.step([window], [self._state])
        self.last_s = time.perf_counter() - began
        self._done = (window, answers[0])

    def take(self, window: Window) -> Array | None:
        return self._done[1] if self.has(window) and self._done else None

    def has(self, window: Window) -> bool:
        return self._done is not None and self._done[0] is window

    def wait(self, timeout_s: float) -> None:
        """Nothing is ever under way."""

    def reset(self) -> None:
        self._state, self._done = self._model.initial_state(), None

    def close(self) -> None:
        """Nothing runs."""


class Seated:
    """Has a place at a model that runs in a thread of its own, maybe with other streams' windows.

    `wake` is called from that thread after each window, `left` once the place was given back.
    """

    available = True

    def __init__(
        self, batcher: Batcher, stream: str, wake: Callable[[], None], left: Callable[[], None] = lambda: None
    ) -> None:
        self._batcher, self._wake, self._left = batcher, wake, left
        self._place = batcher.join(stream)
        self._job: Job | None = None
        self._wanted = True  # whether what the job finds is still of use

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        self._job, self._wanted = self._batcher.submit(self._place, window, due_ns, self._wake), True

    @property
    def last_s(self) -> float:
        """From asking to the answer: what it waited for others is part of it."""
        if self._job is None or self._job.answered_ns is None:
            return 0.0
        return (self._job.answered_ns - self._job.asked_ns) / 1e9

    def take(self, window: Window) -> Array | None:
        return self._job.future.result() if self._job and self.has(window) and self._job.future.done() else None

    def has(self, window: Window) -> bool:
        return self._wanted and self._job is not None and self._job.window is window

    @property
    def idle(self) -> bool:
        return self._job is None or self._job.future.done()

    def wait(self, timeout_s: float) -> None:
        if self._job is not None:
            wait([self._job.future], timeout_s)

    def reset(self) -> None:
        self._wanted = False
        self._batcher.begin_anew(self._place)

    def close(self) -> None:
        self._batcher.leave(self._place)
        self._left()
