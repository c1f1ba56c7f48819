"""Drives a `BlockConverter` against the clock: a block that cannot be in time goes out as it came in, none waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline import threads
from audio_pipeline.models.convert.blocks import BlockConverter, Window

Array = NDArray[np.float32]
NS = 1_000_000_000
SWITCH_S = 0.0005  # a block gives the lock away and wants it back some twenty times; the usual 5 ms each are too long


class Made(NamedTuple):
    """Samples from `start` on, as they came in and converted; `missed` where the second is only the first."""

    start: int
    dry: Array  # the block, and what is known of the sound behind it
    wet: Array  # (block,)
    missed: bool


@dataclass(frozen=True)
class Deadline:
    """How long after its first sample was captured a block must be out, and how it is computed until then."""

    allowed_ns: int
    pool: Executor
    wake: Callable[[], None]  # called in a thread of the pool when a block is done


def at_leisure() -> Executor:
    """A thread for what nobody waits for, which the others can interrupt at once.

    Its priority is that of the others: one of low priority would lose its core to other programs while it holds the
    interpreter's lock, and all would wait for it.
    """
    sys.setswitchinterval(SWITCH_S)
    return threads.pool("search")


class Driver:
    """Without a deadline every block is converted on the spot; with one the pool does it, and `step` looks."""

    def __init__(self, blocks: BlockConverter, deadline: Deadline | None = None) -> None:
        self.blocks, self._deadline = blocks, deadline
        self.missed = 0
        self.last_s = 0.0  # what the newest block took
        self._likely_s = 0.0  # what the next one may take; believed less and less while none is tried
        self._job: tuple[Window, Future[Array]] | None = None
        self._forget()

    def _forget(self) -> None:
        self._capture: tuple[int, int] | None = None  # a sample and when it was captured
        self._received = self._replayed = 0
        self._window: Window | None = None

    def reset(self) -> None:
        """A new stream from sample 0 on; waits for what is under way, which is a block at most."""
        if self._job is not None:
            self._job[1].exception()
        self._job = None
        self.blocks.reset()
        self._forget()

    def lead(self, samples: int) -> None:
        """The stream begins only after so many samples; they count as silence."""
        if samples:
            self.push(np.zeros(samples, np.float32))

    def push(self, x: Array, captured_ns: int = 0, *, replay: bool = False) -> None:
        """Takes mono sound (samples,), the newest sample of which was captured at `captured_ns`."""
        self.blocks.push(x)
        self._received += len(x)
        self._capture = (self._received, captured_ns)
        if replay:
            self._replayed = self._received

    def step(self, now_ns: int) -> Iterator[Made]:
        """Everything that can be put out now."""
        while (window := self._pending()) is not None:
            y = self._answer(window, now_ns)
            if y is None and not self._late(window, now_ns):
                return
            yield self._put(window, y)

    def _pending(self) -> Window | None:
        self._window = self._window or self.blocks.pending()
        return self._window

    def _answer(self, window: Window, now_ns: int) -> Array | None:
        """The converted window if it is there; has it begun where nobody else's is under way."""
        if self._deadline is None:
            return self._timed(window)
        if self._job is not None and self._job[1].done():
            asked, job = self._job
            self._job = None
            y = job.result()
            if asked is window:
                return y
        if self._job is None and not self._late(window, now_ns + round(self._likely_s * NS)):
            self._job = (window, self._deadline.pool.submit(self._timed, window))
            self._job[1].add_done_callback(self._woken)
        return self._answer(window, now_ns) if self._job and self._job[1].done() else None

    def _woken(self, job: Future[Array]) -> None:
        if self._deadline is not None:
            self._deadline.wake()

    def _timed(self, window: Window) -> Array:
        began = perf_counter()
        y = self.blocks.run(window)
        self.last_s = self._likely_s = perf_counter() - began
        return y

    def _late(self, window: Window, now_ns: int) -> bool:
        due_ns = self.due_ns(window)
        return due_ns is not None and now_ns >= due_ns

    def due_ns(self, window: Window) -> int | None:
        """When the block must be out; None for no deadline."""
        if self._deadline is None or self._capture is None:
            return None
        sample, captured_ns = self._capture
        return captured_ns + (window.start - sample) * NS // self.blocks.rate + self._deadline.allowed_ns

    def deadline_ns(self) -> int | None:
        """When `step` must be called next, whatever the pool does."""
        window = self._pending()
        return None if window is None else self.due_ns(window)

    def _put(self, window: Window, y: Array | None) -> Made:
        ahead = window.sound[window.start - window.first :]
        wet = self.blocks.skip(window) if y is None else self.blocks.accept(window, y)
        self._window = None
        if y is None:
            self._likely_s /= 2
            self.missed += window.start >= self._replayed
        return Made(window.start, ahead, wet, y is None)

    def finish(self, now_ns: Callable[[], int]) -> Iterator[Made]:
        """The stream has ended: the blocks that are still inside, as they come."""
        self.blocks.flush()
        while self._pending() is not None:
            yield from self.step(now_ns())
            if self._job is not None:
                self._job[1].exception()

    def abandon(self) -> Iterator[Made]:
        """The stream broke off: what is still inside, as it came in and at once."""
        self.blocks.flush()
        while (window := self._pending()) is not None:
            wet = self.blocks.skip(window)
            self._window = None
            yield Made(window.start, window.sound[window.start - window.first :], wet, True)
