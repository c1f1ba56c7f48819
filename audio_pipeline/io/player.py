"""A list of sound files as one stream: seek, next and loop without a click or a gap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import MediaError
from audio_pipeline.io.media import MediaReader, open_media

Samples = NDArray[np.float32]

BLOCK_SAMPLES = 4096
FADE_MS = 10


class Map(NamedTuple):
    """From stream position `position` on, the sound is that of file `file` from second `media_s` on."""

    position: int
    file: int  # its number in the list
    media_s: float
    length_s: float | None


class Player:
    """Reads (n, channels) at one rate from files of any rate and layout.

    `position` counts what was read and never goes back. A loop runs through the rate converter without a
    break, a seek is a crossfade of 10 ms. NaN and infinities are replaced by 0 and counted in `bad_samples`.
    A file that turns out damaged ends there, with its error in `errors`. MediaError where a file that was
    asked for cannot be opened; what was playing before plays on.
    """

    def __init__(
        self, paths: Sequence[Path], rate: int, channels: int, *, loop: bool = False,
        position: int = 0, file: int = 0, media_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.paths, self.rate, self.channels, self.loop = list(paths), rate, channels, loop
        self.position = position
        self.bad_samples = 0
        self.errors: list[str] = []
        self._noted: set[str] = set()
        self._fresh: list[Map] = []
        self._maps: list[Map] = []
        self._ready = np.zeros((0, channels), np.float32)
        self._barren = 0  # starts of a file in a row that gave no sample
        self._reader: MediaReader | None = None
        self._begin(file, self._opened(file, media_s))

    @property
    def file(self) -> int:
        """Number of the file that is heard next."""
        return self._now().file

    @property
    def media_s(self) -> float:
        """Song time of the next sample."""
        now = self._now()
        return now.media_s + (self.position - now.position) / self.rate

    def _now(self) -> Map:
        while len(self._maps) > 1 and self._maps[1].position <= self.position:
            self._maps.pop(0)
        return self._maps[0]

    def take_maps(self) -> list[Map]:
        """Which song time lies where, as far as it was not told yet."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def read(self, n: int) -> Samples:
        """The next (n, channels), fewer at the end alone, then none."""
        while len(self._ready) < n and self._reader is not None:
            self._fill(self._reader)
        out, self._ready = self._ready[:n], self._ready[n:]
        self.position += len(out)
        return out

    def seek(self, seconds: float) -> None:
        """Goes on at a song time of the file that is heard now; beyond its end with what follows."""
        self.jump(self.file, seconds)

    def next(self) -> None:
        """Goes on with the next file, after the last with the first."""
        self.jump((self.file + 1) % len(self.paths), 0.0)

    def close(self) -> None:
        """Lets go of the file."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def jump(self, file: int, seconds: float) -> None:
        """Goes on with any file of the list, at a song time."""
        reader = self._opened(file, seconds)
        fade = self.rate * FADE_MS // 1000
        position = self.position
        old = self.read(fade)
        self.position, self._ready = position, self._ready[:0]
        self._maps.clear()
        self._fresh.clear()
        self._begin(file, reader)
        while len(self._ready) < fade and self._reader is not None:
            self._fill(self._reader)
        new = self._ready[:fade] * fade_in(fade)[: len(self._ready), None]
        new[: len(old)] += (old * fade_out(fade)[: len(old), None])[: len(new)]
        self._ready = np.concatenate([new, self._ready[fade:]])

    def _opened(self, file: int, seconds: float) -> MediaReader:
        reader = open_media(self.paths[file])
        reader.seek(round(max(seconds, 0.0) * reader.rate))
        return reader

    def _begin(self, file: int, reader: MediaReader) -> None:
        """A file with a converter of its own; what it gives joins what is ready."""
        self.close()
        self._reader, self._file = reader, file
        self._resampler = StreamResampler(reader.rate, self.rate, self.channels)
        self._origin = self.position + len(self._ready)
        self._taken = 0
        self._map(reader)

    def _map(self, reader: MediaReader) -> None:
        position = self._origin + self._resampler.map_position(self._taken)
        length_s = None if reader.samples is None else reader.samples / reader.rate
        entry = Map(position, self._file, reader.position / reader.rate, length_s)
        self._maps.append(entry)
        self._fresh.append(entry)

    def _fill(self, reader: MediaReader) -> None:
        """Makes at least one more sample ready, or comes nearer to the end."""
        try:
            block = reader.read(BLOCK_SAMPLES)
        except MediaError as error:
            self._note(error)
            block = np.zeros((0, reader.channels), np.float32)
        if not len(block):
            return self._at_end(reader)
        self._barren = 0
        block, bad = sanitise(block)
        self.bad_samples += bad
        self._taken += len(block)
        self._add(self._resampler.process(to_channels(block, self.channels)))

    def _at_end(self, reader: MediaReader) -> None:
        self._barren += 1
        last = self._file == len(self.paths) - 1
        if self._barren > len(self.paths) or (last and not self.loop):
            self._add(self._resampler.flush())
            self.close()
        elif len(self.paths) == 1:
            reader.seek(0)
            self._map(reader)
        else:
            self._add(self._resampler.flush())
            self._follow((self._file + 1) % len(self.paths))

    def _follow(self, file: int) -> None:
        """The next file of the list, or the one after it where it cannot be opened."""
        for _ in self.paths:
            try:
                return self._begin(file, self._opened(file, 0.0))
            except MediaError as error:
                self._note(error)
                file = (file + 1) % len(self.paths)
        self.close()

    def _note(self, error: MediaError) -> None:
        """A loop comes by the same damage each time; it is told once."""
        if str(error) not in self._noted:
            self._noted.add(str(error))
            self.errors.append(str(error))

    def _add(self, x: Samples) -> None:
        self._ready = np.concatenate([self._ready, x]) if len(self._ready) else x
