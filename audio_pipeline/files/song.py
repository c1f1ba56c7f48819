"""A file of a player's list: opened at a place, then converted to the player's rate and channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import PipelineError
from audio_pipeline.files.read_ahead import ReadAhead
from audio_pipeline.files.song_map import Map

Samples = NDArray[np.float32]


class Coming(NamedTuple):
    """Where to go on, once the file is open there."""

    file: int
    media_s: float
    source: ReadAhead

    @property
    def error(self) -> PipelineError | None:
        """Why the file could not be opened, once that is known."""
        return self.source.error if self.source.has_failed else None


class Song:
    """The file that is heard, with a converter of its own."""

    def __init__(self, coming: Coming, rate: int, channels: int) -> None:
        self.file, self.source = coming.file, coming.source
        self._channels = channels
        self._resampler = StreamResampler(self.source.reader.rate, rate, channels)
        self._origin = self._taken = 0

    def place(self, origin: int) -> None:
        """What is converted next lies at `origin` of the stream."""
        self._origin, self._taken = origin, 0

    def map(self, at: int) -> Map:
        """That what is converted next is the file's from its sample `at` on."""
        reader = self.source.reader
        length_s = None if reader.samples is None else reader.samples / reader.rate
        position = self._origin + self._resampler.map_position(self._taken)
        return Map(position, self.file, at / reader.rate, length_s)

    def take(self) -> tuple[int, Samples, list[str]]:
        """The next samples of the file, from which of its samples on, and why there are none if that is no end."""
        try:
            return *self.source.take(), []
        except PipelineError as error:
            return 0, np.zeros((0, self.source.reader.channels), np.float32), [str(error)]

    def convert(self, block: Samples) -> Samples:
        """(n, channels of the file) at its rate, as the player wants it."""
        self._taken += len(block)
        return self._resampler.process(to_channels(block, self._channels, self.source.reader.layout))

    def flush(self) -> Samples:
        """What the converter still holds."""
        return self._resampler.flush()

    def faults(self) -> list[str]:
        """What was wrong with the file so far."""
        return self.source.reader.faults.sentences(self.source.path)
