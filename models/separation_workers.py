"""Who computes the windows of a separator: the caller itself, or a thread beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from audio_pipeline.models.separation import Array, Model, State, Window


class Worker(Protocol):
    """Answers one window at a time."""

    last_s: float  # what the last inference took

    def submit(self, window: Window) -> None:
        """Starts on a window; only when `idle`."""

    def take(self, window: Window) -> Array | None:
        """The masks for a window, once they are there."""

    def has(self, window: Window) -> bool:
        """Whether this very window was submitted."""

    @property
    def idle(self) -> bool:
        """Whether a window can be submitted."""

    def wait(self, timeout_s: float) -> None:
        """Until something is done."""

    def reset(self) -> None:
        """A new stream: what is under way is wanted no more."""

    def close(self) -> None:
        """Ends what runs."""


class Inline:
    """Computes on the spot: for offline work."""

    idle = True

    def __init__(self, model: Model) -> None:
        self._model = model
        self.last_s = 0.0
        self._state: State = model.initial_state()
        self._done: tuple[Window, Array] | None = None

    def submit(self, window: Window) -> None:
        began = time.perf_counter()
        masks, (self._state,) = self._model.step([window], [self._state])
        self.last_s = time.perf_counter() - began
        self._done = (window, masks[0])

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


class Threaded:
    """Computes in a thread of its own, and calls `wake` from it after each window."""

    def __init__(self, model: Model, wake: Callable[[], None]) -> None:
        self._model, self._wake = model, wake
        self._pool = ThreadPoolExecutor(1, "inference")
        self._future: Future[Array] | None = None
        self._window: Window | None = None  # what the future is for
        self._fresh = True  # the next window begins a stream
        self._state: State = None
        self.last_s = 0.0

    def submit(self, window: Window) -> None:
        self._window, fresh, self._fresh = window, self._fresh, False
        self._future = self._pool.submit(self._answer, window, fresh)
        self._future.add_done_callback(lambda _: self._wake())

    def _answer(self, window: Window, fresh: bool) -> Array:
        if fresh:
            self._state = self._model.initial_state()
        began = time.perf_counter()
        masks, (self._state,) = self._model.step([window], [self._state])
        self.last_s = time.perf_counter() - began
        answer: Array = masks[0]
        return answer

    def take(self, window: Window) -> Array | None:
        ready = self._future is not None and self._future.done() and self.has(window)
        return self._future.result() if ready and self._future else None

    def has(self, window: Window) -> bool:
        return self._window is window

    @property
    def idle(self) -> bool:
        return self._future is None or self._future.done()

    def wait(self, timeout_s: float) -> None:
        if self._future is not None:
            wait([self._future], timeout_s)

    def reset(self) -> None:
        self._window, self._fresh = None, True

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
