"""Where notes and drums begin, while the sound comes in."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.windows import hann

Samples = NDArray[np.float32]

FRAME, HOP = 512, 128  # samples: 12 ms, every 3 ms at 44.1 kHz
LOW_HZ = 1500.0  # below it tones beat in so short a frame
FLOOR_DB = -60.0  # under the loudest of the last second: what rises below it is not heard as a beginning
RISE_DB = 6.0  # mean over the bins, over two frames
APART = 12  # frames between two onsets, at least: 35 ms
MEMORY = 344  # frames: a second


class Onsets:
    """Positions of onsets in a stream (n, channels), each known once `lookahead` samples more have come in.

    An onset is a local maximum of the rise of the log spectrum above 1.5 kHz (spectral flux; S. Dixon, "Onset
    detection revisited", DAFx 2006). Frames lie on a grid from sample 0 on, so that no cut changes anything.
    """

    lookahead = FRAME + (APART // 2) * HOP

    def __init__(self, rate: int, channels: int) -> None:
        self._channels, self._low = channels, round(LOW_HZ * FRAME / rate)
        self._window = hann(FRAME)
        self.reset()

    def reset(self) -> None:
        """The next sample is sample 0."""
        self._tail: Samples = np.zeros(FRAME, np.float32)  # of the mean of the channels' magnitudes' input
        self._logs: deque[NDArray[np.float32]] = deque(maxlen=3)
        self._loudest: deque[float] = deque(maxlen=MEMORY)
        self._rises: deque[float] = deque([0.0] * (APART + 1), maxlen=APART + 1)
        self._frames = 0

    def process(self, x: Samples) -> list[int]:
        """The onsets that x (n, channels) completes."""
        self._tail = np.concatenate([self._tail, x.sum(axis=1)])
        found = []
        while len(self._tail) >= FRAME + HOP:
            self._tail = self._tail[HOP:]
            self._rises.append(self._rise(self._tail[:FRAME]))
            self._frames += 1
            found += [position] if (position := self._peak()) is not None else []
        return found

    def _rise(self, part: Samples) -> float:
        magnitude: Any = np.abs(np.fft.rfft(part * self._window))[self._low :]
        self._loudest.append(float(magnitude.max(initial=1e-9)))
        floor = max(self._loudest) * 10 ** (FLOOR_DB / 20)
        self._logs.append(20 * np.log10(np.maximum(magnitude, floor)).astype(np.float32))
        return float(np.maximum(self._logs[-1] - self._logs[0], 0.0).mean()) if len(self._logs) == 3 else 0.0

    def _peak(self) -> int | None:
        """The position of an onset half of APART frames ago, if there was one."""
        middle = self._rises[APART // 2]
        if middle < RISE_DB or middle < max(self._rises) or self._rises.index(middle) != APART // 2:
            return None
        frame = self._frames - APART // 2
        return frame * HOP - FRAME // 2 + HOP  # the frame's end lies at frame * HOP; the rise is in its newer half
