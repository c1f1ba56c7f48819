"""What plays and what listens, whatever is behind it; and an output into nothing."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from audio_pipeline import threads
from audio_pipeline.clock import HostClock
from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.level import overs

# Samples wanted, and the time.monotonic_ns() at which the first of them is heard -> (n, channels).
Pull = Callable[[int, int], NDArray[np.float32]]
# (n, channels), a copy to keep, and the time.monotonic_ns() at which its first sample was at the converter.
Push = Callable[[NDArray[np.float32], int], None]

NULL_BUFFER_BLOCKS = 4

_S = TypeVar("_S", bound="SoundStream")


class SoundStream(ABC):
    """What outputs and inputs have in common."""

    rate: int
    channels: int
    latency_samples: int  # between callback and air, as far as the device knows
    xruns: int

    @property
    @abstractmethod
    def active(self) -> bool:
        """Whether it runs; a device that was pulled out does not."""

    @abstractmethod
    def start(self) -> None:
        """Begin to call back."""

    @abstractmethod
    def close(self) -> None:
        """Stop at once; a second call changes nothing."""

    def __enter__(self: _S) -> _S:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Output(SoundStream):
    """Counts what an output has to count: `clipped` values beyond full scale, samples the pull left out."""

    def __init__(self, pull: Pull) -> None:
        self.xruns = self.clipped = self.starved_samples = 0
        self._pull = pull

    def _take(self, n: int, dac_ns: int) -> NDArray[np.float32]:
        """(n, channels) within full scale, silence where the pull gave too little."""
        x = to_channels(self._pull(n, dac_ns)[:n], self.channels)
        self.clipped += overs(x)
        self.starved_samples += n - len(x)
        out = np.zeros((n, self.channels), np.float32)
        np.clip(x, -1.0, 1.0, out=out[: len(x)])
        return out


class NullOutput(Output):
    """An output into nothing for hosts without a card: pulls each block when a card would.

    `start` paces it in a thread; with a clock that only moves when told to, call `tick` instead. Held up for
    longer than a card's buffer lasts it counts an xrun and goes on from now, as a card would.
    """

    def __init__(self, rate: int, channels: int, block: int, pull: Pull, clock: HostClock) -> None:
        super().__init__(pull)
        self.rate, self.channels, self.latency_samples = rate, channels, 0
        self._block, self._clock = block, clock
        self._start_ns: int | None = None
        self._played = 0  # samples since the start
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def active(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        self._thread = threads.start(self._run, "null output", stop=self._stop)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def tick(self) -> int:
        """Pull the blocks that are due by now, the first at once; returns how many."""
        now = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now
        if now - self._due_ns() > NULL_BUFFER_BLOCKS * self._block * 1_000_000_000 // self.rate:
            self.xruns += 1
            self._start_ns, self._played = now, 0
        pulled = 0
        while self._due_ns() <= now:
            self._take(self._block, self._due_ns())
            self._played += self._block
            pulled += 1
        return pulled

    def _due_ns(self) -> int:
        return (self._start_ns or 0) + self._played * 1_000_000_000 // self.rate

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tick()
            self._stop.wait(max(0, self._due_ns() - self._clock.now_ns()) / 1e9)
