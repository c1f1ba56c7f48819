"""Cuts a stream of blocks of any size into frames of one size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

Positioned = tuple[int, NDArray[np.float32]]


class Reframer:
    """Frames of `frame_samples`; a shorter one only before a jump in position or at a flush.

    For a break without a jump (a new generation or epoch) call `flush` first.
    """

    def __init__(self, channels: int, frame_samples: int) -> None:
        if channels < 1 or frame_samples < 1:
            raise ConfigError(
                f"a reframer needs 1 channel and 1 sample a frame or more, got {channels} and {frame_samples}"
            )
        self._frame = frame_samples
        self._rest = np.zeros((0, channels), np.float32)
        self._position = 0

    @property
    def pending_samples(self) -> int:
        """Samples held back until a frame is full."""
        return len(self._rest)

    def push(self, position: int, x: NDArray[np.float32]) -> list[Positioned]:
        """The frames that `x` (n, channels) at `position` completes; they may share its memory."""
        if len(x) == self._frame and not len(self._rest):  # as nearly always
            self._position = position + len(x)
            return [(position, x)]
        out = self.flush() if position != self._position + len(self._rest) else []
        if not len(self._rest):
            self._position = position
        x = np.concatenate([self._rest, x]) if len(self._rest) else x
        full = len(x) - len(x) % self._frame
        out += [(self._position + i, x[i : i + self._frame]) for i in range(0, full, self._frame)]
        self._rest = x[full:].copy()  # x may be a buffer that its owner uses again
        self._position += full
        return out

    def flush(self) -> list[Positioned]:
        """The rest as one short frame, or nothing."""
        if not len(self._rest):
            return []
        out = [(self._position, self._rest)]
        self._position += len(self._rest)
        self._rest = self._rest[:0]
        return out
