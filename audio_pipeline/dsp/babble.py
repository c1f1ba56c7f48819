"""Ends made speech where it has ended: a long silence, after which a synthesiser that went astray would babble on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 0.01
QUIET_DB = -40.0  # under the loudest window so far
PAUSE_S = 1.2  # speakers pause shorter than this inside a sentence
KEEP_S = 0.3  # of the silence at the end


class SpeechEnd:
    """Passes mono speech on, holds silence back until more speech follows, and stops for good after a long one.

    What comes out does not depend on how the sound was cut. Latency: a window of 10 ms, and in a pause the pause.
    """

    def __init__(self, rate: int) -> None:
        self._window, self._pause, self._keep = (round(s * rate) for s in (WINDOW_S, PAUSE_S, KEEP_S))
        self.reset()

    def reset(self) -> None:
        """The next sample is the first of another utterance."""
        self._rest = np.zeros(0, np.float32)  # less than a window
        self._held: list[NDArray[np.float32]] = []  # the silence so far
        self._silent = 0  # samples of it
        self._peak, self.ended = 0.0, False

    def process(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """What of x (samples,) and what was held can be heard now; nothing once `ended`."""
        self._rest = np.concatenate([self._rest, x.astype(np.float32)])
        count = len(self._rest) // self._window
        rows = self._rest[: count * self._window].reshape(count, self._window)
        self._rest = self._rest[count * self._window :]
        return _joined([part for row in rows for part in self._take(row)])

    def flush(self) -> NDArray[np.float32]:
        """The end: the last part of a window, and a little of the silence."""
        parts = self._take(self._rest) if len(self._rest) else []
        rest = _joined([*parts, *self._held])
        end = len(_joined(parts)) + self._keep
        ended = self.ended
        self.reset()
        return rest[:0] if ended else rest[:end]

    def _take(self, row: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The windows that are let out by this one."""
        if self.ended:
            return []
        level = float(np.sqrt(np.mean(np.square(row, dtype=np.float64))))
        self._peak = max(self._peak, level)
        self._held.append(row)
        if level > self._peak * 10 ** (QUIET_DB / 20):
            out, self._held, self._silent = self._held, [], 0
            return out
        self._silent += len(row)
        self.ended = self._peak > 0 and self._silent >= self._pause
        return [_joined(self._held)[: self._keep]] if self.ended else []


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
