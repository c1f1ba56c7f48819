"""One WAV that grows by positions: what is missing becomes silence or a jump."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.files.sidecar import TrackInfo
from audio_pipeline.files.wav import WavWriter

MAX_FILL_S = 600  # a longer hole is not filled: the track goes on behind a `jump`

Samples = NDArray[np.float32]
Note = Callable[[str, int, int], None]  # (kind, at, samples)


class Track:
    """One WAV that grows by positions."""

    def __init__(self, writer: WavWriter, info: TrackInfo, note: Note) -> None:
        self.writer, self.info, self._note = writer, info, note
        self._clipped, self._peak = info.clipped, info.peak  # of the processes before
        self._gain = np.float32(10 ** (info.gain_db / 20))
        self.synced_s = 0.0  # when the disk last had all of it

    @property
    def position(self) -> int:
        """The content position that is written next."""
        return self.info.base_position + sum(jump["samples"] for jump in self.info.jumps) + self.writer.samples

    def put(self, position: int, x: Samples | int, what: str = "") -> int:
        """Writes (n, channels), or n samples of silence, at `position`: fills up to it, drops what is there already.

        `what` is `gaps` or `concealed` where x is not the stream's own. Returns the samples of silence that were
        filled in. Raises PipelineError where the disk refuses.
        """
        filled = self._reach(position)
        skip = max(self.position - position, 0)
        n = max((x if isinstance(x, int) else len(x)) - skip, 0)
        if what and n:
            self._note(what, self.writer.samples, n)
        if isinstance(x, int):
            self.writer.skip(n)
        elif n:
            new = to_channels(x[skip:], self.writer.format.channels)
            self.writer.write(new * self._gain if self.info.gain_db else new)
        self._take_stock()
        return filled

    def end_at(self, position: int) -> None:
        """The stream got so far: what did not come of it is silence."""
        self._reach(position)
        self._take_stock()

    def _take_stock(self) -> None:
        self.info.samples = self.writer.samples
        self.info.clipped = self._clipped + self.writer.clipped
        self.info.peak = max(self._peak, self.writer.peak)

    def _reach(self, position: int) -> int:
        """Silence up to `position`, or a jump to it; how many samples of silence."""
        ahead = position - self.position
        if ahead > MAX_FILL_S * self.writer.format.rate:
            self._jump(ahead)
            return 0
        filled = max(ahead, 0)
        if filled:
            self._note("gaps", self.writer.samples, filled)
            self.writer.skip(filled)
        return filled

    def _jump(self, samples: int) -> None:
        at, jumps = self.writer.samples, self.info.jumps
        before = jumps[-1]["samples"] if jumps and jumps[-1]["at"] == at else 0
        self._note("jumps", at, before + samples)
