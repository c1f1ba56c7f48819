"""Plays sound that comes in pieces: for commands, which have no clock to keep."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.clock import MonotonicClock
from audio_pipeline.devices.sound_stream import NullOutput, Output
from audio_pipeline.errors import DeviceError

Samples = NDArray[np.float32]
BLOCK_MS = 20
CHECK_S = 0.5
NULL = "null"


class QueuePlayer:
    """Mono pieces (samples,) in a row on a sound output; silence while the next one is not there yet."""

    def __init__(self, device: str, rate: int) -> None:
        self._rate = rate
        self._waiting: deque[Samples] = deque()
        self._lock = threading.Condition()
        self._played = 0
        self._tail = 0  # blocks of silence still to come, so that the device's buffer runs out
        self._output = self._open(device, rate * BLOCK_MS // 1000)

    def _open(self, device: str, block: int) -> Output:
        if device == NULL:
            return NullOutput(self._rate, 1, block, self._pull, MonotonicClock())
        from audio_pipeline.devices.sound import OutputDevice

        return OutputDevice(device, self._rate, 1, block, self._pull, latency="high")

    def put(self, sound: Samples) -> None:
        """Adds a piece."""
        with self._lock:
            self._waiting.append(sound)

    def finish(self) -> float:
        """Waits until everything was heard; returns the seconds that were."""
        with self._lock:
            self._wait(lambda: not self._waiting)
            self._tail = 1 + round(2 * self._output.latency_samples * 1000 / self._rate / BLOCK_MS)
            self._wait(lambda: self._tail <= 0)
        return self._played / self._rate

    def _wait(self, over: Callable[[], bool]) -> None:
        while not self._lock.wait_for(over, CHECK_S):
            if not self._output.active:
                raise DeviceError("the sound output has stopped: was it pulled out?")

    def _pull(self, n: int, dac_ns: int) -> Samples:
        out = np.zeros((n, 1), np.float32)
        with self._lock:
            filled = 0
            while self._waiting and filled < n:
                piece = self._waiting[0]
                part = piece[: n - filled]
                out[filled : filled + len(part), 0] = part
                filled += len(part)
                self._waiting[0] = piece[len(part) :]
                if not len(self._waiting[0]):
                    self._waiting.popleft()
            self._played += filled
            self._tail -= not filled
            self._lock.notify_all()
        return out

    def __enter__(self) -> QueuePlayer:
        self._output.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._output.close()
