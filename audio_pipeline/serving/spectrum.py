"""The frames of spectrum that both ends of a served model know: what a hop must bring, and the window made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.errors import WireError
from audio_pipeline.models.separation.render import Rows
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.stream import mirror
from audio_pipeline.models.separation.types import HOPS

Array = np.ndarray[Any, np.dtype[Any]]


def longest_window(spec: ModelSpec) -> int:
    """Frames in the longest window of a sliding mode."""
    return max(mode.window for mode in spec.modes.values() if mode.sliding)


def kept_frames(spec: ModelSpec) -> int:
    """Frames that a place keeps: the longest window and the longest hop."""
    return longest_window(spec) + HOPS[-1]


def dtype_of(spec: ModelSpec) -> np.dtype[Any]:
    """Of a frame, and of an answer."""
    return np.dtype(np.float32 if spec.representation == "magnitude" else np.complex64)


def frame_bytes(spec: ModelSpec) -> int:
    """Of one frame, and of one stem's share of an answer for it."""
    return spec.bins * spec.channels * dtype_of(spec).itemsize


@dataclass
class Sent:
    """Which frames the host has, as the client knows it: the newest `keep` of those that were sent without a hole."""

    keep: int
    start: int = 0
    stop: int = 0

    def missing(self, first: int, stop: int) -> range:
        """The frames that a window [first, stop) still lacks there; afterwards the host has them.

        >>> sent = Sent(keep=4)
        >>> sent.missing(0, 4), sent.missing(2, 6), sent.missing(9, 13)
        (range(0, 4), range(4, 6), range(9, 13))
        """
        first = max(first, 0)
        goes_on = self.start <= first <= self.stop
        new = range(max(self.stop, first) if goes_on else first, stop)
        self.start = max(self.start if goes_on else first, stop - self.keep)
        self.stop = max(stop, self.stop) if goes_on else stop
        return new


class FrameMemory:
    """The newest `keep` frames of one stream (frames, bins, channels), by their number."""

    def __init__(self, spec: ModelSpec, keep: int) -> None:
        self._spec, self._keep = spec, keep
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        self._rows = Rows((self._spec.bins, self._spec.channels), dtype_of(self._spec).type)

    def add(self, first: int, data: bytes) -> None:
        """Takes the frames from number `first` on; those that do not follow the last begin anew. Raises WireError."""
        frame = frame_bytes(self._spec)
        if len(data) % frame or len(data) > self._keep * frame:
            raise WireError(f"frames of {len(data)} bytes, expected at most {self._keep} of {frame} bytes each")
        if not data:
            return
        frames = np.frombuffer(data, dtype_of(self._spec)).reshape(-1, self._spec.bins, self._spec.channels)
        if first != self._rows.count:
            self.forget()
            self._rows.first = self._rows.count = first
        self._rows.append(frames)
        self._rows.forget(self._rows.count - self._keep)

    def window(self, first: int, length: int) -> Array:
        """The frames [first, first + length), read-only; those before the stream as `SeparatorStream` has them.

        Raises WireError where one was not sent, or is older than what is kept.
        """
        start, stop = max(first, 0), first + length
        if not self._rows.first <= start < stop <= self._rows.count:
            held = f"{self._rows.first} .. {self._rows.count}"
            raise WireError(f"a window of frames {start} .. {stop}, expected within {held}")
        frames = np.zeros((length, self._spec.bins, self._spec.channels), dtype_of(self._spec))
        frames[start - first :] = self._rows.view(start, stop)
        if not self._spec.stateful:
            mirror(frames, start - first)
        frames.flags.writeable = False
        return frames
