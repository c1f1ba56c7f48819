"""Several files in one, one behind the other, as one: in the format of the first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import MediaError
from audio_pipeline.files.media_av import PREROLL, AvReader
from audio_pipeline.files.media_faults import CHANGE, KINDS, LEFT_OUT, Faults
from audio_pipeline.files.media_fit import Fit, Samples
from audio_pipeline.files.media_ogg import Survey
from audio_pipeline.files.media_reader import SKIP, MediaReader

MEASURED = 64  # links whose lengths are looked up at once; with more the end alone tells
MOST_TRIED = 64  # links at the start that cannot be read, until the file counts as no sound


class ChainReader(MediaReader):
    """Each link has its own rate, channels and codec, and is opened when it is needed."""

    def __init__(self, path: Path, ogg: Survey, track: int = 1) -> None:
        self.path, self.position, self._ogg, self._track = path, 0, ogg, track
        self._faults = Faults()
        self._done: dict[int, tuple[float, Faults]] = {}  # of links that were left: where they begin, their faults
        self._starts: list[int] = []  # positions of the links that are known
        self._broken: dict[int, MediaError] = {}  # links that cannot be opened: none is tried twice
        self._is_cancelled: Callable[[], bool] = lambda: False
        found = self._first_from(0, 0, MOST_TRIED)
        if found is None:
            raise self._broken[0]
        link, self._reader = found
        self.rate, self.channels, self.layout = self._reader.rate, self._reader.channels, self._reader.layout
        self._enter(link, self._reader)
        self.samples = self._measured() if len(ogg.links) <= MEASURED else None

    @property
    def faults(self) -> Faults:  # type: ignore[override]
        """Those of the links, at their times in the whole."""
        found = Faults(layout=self._reader.faults.layout, pages=self._ogg.damaged, is_cut=self._ogg.is_cut)
        here = {**self._done, self._link: self._known()}
        for offset_s, faults in [(0.0, self._faults), *(here[link] for link in sorted(here))]:
            for kind in KINDS:
                _merge(found, faults, kind, offset_s)
        return found

    def _open(self, link: int) -> AvReader:
        start, end = self._ogg.links[link]
        patches = {at: patch for at, patch in self._ogg.patches.items() if start <= at < end}
        return AvReader(self.path, self._track, start, end, patches=patches)

    def _measured(self) -> int | None:
        """Length of all links, by their headers."""
        total = 0
        for i in range(len(self._ogg.links)):
            try:
                reader = self._reader if i == self._link else self._open(i)
            except MediaError:
                continue
            if reader is not self._reader:
                reader.close()
            if reader.samples is None:
                return None
            total += _converted(reader.samples, reader.rate, self.rate)
        return total

    def _enter(self, link: int, reader: AvReader) -> None:
        self._link, self._reader = link, reader
        reader.cancel_by(self._is_cancelled)
        self._fit = Fit(self.rate, self.channels)
        self._fit.change(reader.rate)
        self._rest = np.zeros((0, self.channels), np.float32)
        if (reader.rate, reader.channels) != (self.rate, self.channels):
            detail = f"to {reader.rate} Hz, {reader.channels} channels"
            self._faults.add(CHANGE, self._starts[link] / self.rate, detail=detail)

    def _decode(self) -> Samples:
        while True:
            x = self._reader.read(SKIP)
            out = self._fit.process(x, self._reader.layout) if len(x) else self._fit.flush()
            if len(out):
                return out
            if not len(x) and not self._next():
                return out

    def _next(self) -> bool:
        """Goes on to the next link that can be opened."""
        self._leave()
        found = self._first_from(self._link + 1, self._end(), len(self._ogg.links))
        if found is None:
            return False
        self._reader.close()
        self._enter(*found)
        return True

    def _first_from(self, first: int, at: int, most: int) -> tuple[int, AvReader] | None:
        """The first of `most` links that can be opened; those that are not known yet begin at `at`."""
        for link in range(first, min(first + most, len(self._ogg.links))):
            if len(self._starts) <= link:
                self._starts.append(at)
            reader = self._opened(link)
            if reader is not None:
                return link, reader
        return None

    def _opened(self, link: int) -> AvReader | None:
        """None, and said, where a link cannot be read."""
        if link in self._broken:
            return None
        try:
            return self._open(link)
        except MediaError as e:
            at = self._starts[link]
            self._broken[link] = e
            self._faults.add(LEFT_OUT, at / self.rate if at else 0.0, detail=str(e).removeprefix(f"{self.path}: "))
            return None

    def _end(self) -> int:
        """Where the link in hand ends, now that it is over."""
        reader = self._reader
        return self._starts[self._link] + _converted(reader.position, reader.rate, self.rate)

    def _leave(self) -> None:
        self._done[self._link] = self._known()

    def _known(self) -> tuple[float, Faults]:
        """Faults of the link in hand: those of an earlier pass, where that came further."""
        here = self._starts[self._link] / self.rate, self._reader.faults
        return max(here, self._done.get(self._link, here), key=lambda known: known[1].count)

    def _seek(self, sample: int) -> None:
        if sample < self._starts[self._link]:
            self._go_back(sample)
        while self._is_beyond(sample) and self._next():
            self.position = self._starts[self._link]
        self._seek_within(sample)

    def _go_back(self, sample: int) -> None:
        """Into the last link that is known to begin at or ahead of `sample` and that can be opened."""
        self._leave()
        for link in reversed([i for i, start in enumerate(self._starts) if start <= sample]):
            reader = self._opened(link)
            if reader is None:
                continue
            self._reader.close()
            self._enter(link, reader)
            self.position = self._starts[link]
            return

    def _is_beyond(self, sample: int) -> bool:
        """Whether `sample` lies behind the link in hand; one of unknown length is read to its end for that."""
        link = self._link
        if link + 1 < len(self._starts):
            return sample >= self._starts[link + 1]
        reader = self._reader
        local = (sample - self._starts[link]) * reader.rate // self.rate
        reader.seek(local)
        return reader.position < local or not self._has_more(reader)

    def _has_more(self, reader: AvReader) -> bool:
        at = reader.position
        more = bool(len(reader.read(1)))
        if more:
            reader.seek(at)
        return more

    def _seek_within(self, sample: int) -> None:
        """To the sample; in a link of another rate to a place whose position is whole, far enough ahead."""
        start, reader = self._starts[self._link], self._reader
        step = StreamResampler(reader.rate, self.rate, 1).step_samples if reader.rate != self.rate else 1
        ahead = (sample - start) * reader.rate // self.rate
        local = ahead if step == 1 and reader.rate == self.rate else max(ahead - PREROLL, 0) // step * step
        reader.seek(local)
        self._fit = Fit(self.rate, self.channels)
        self._fit.change(reader.rate)
        self._rest = self._rest[:0]
        self.position = start + _converted(reader.position, reader.rate, self.rate)
        self._read_on(sample)

    def cancel_by(self, is_cancelled: Callable[[], bool]) -> None:
        self._is_cancelled = is_cancelled
        self._reader.cancel_by(is_cancelled)

    def close(self) -> None:
        self._reader.close()


def _converted(samples: int, own: int, rate: int) -> int:
    return -(-samples * rate // own)


def _merge(into: Faults, faults: Faults, kind: str, offset_s: float) -> None:
    """Adds one kind of fault of a link that begins at `offset_s`."""
    tally, total = faults.tallies[kind], into.tallies[kind]
    if tally.count and not total.count:
        total.first_s, total.detail = tally.first_s + offset_s, tally.detail
    total.count, total.seconds = total.count + tally.count, total.seconds + tally.seconds
