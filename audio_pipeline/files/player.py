"""A list of sound files as one stream: seek, next and loop without a click or a gap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.read_ahead import ReadAhead

Samples = NDArray[np.float32]

FADE_MS = 10
MOST_NOTED = 100
PATIENCE_S = 0.25  # how long a live player waits for a file before it goes on without
LONGEST_S = 1e7  # no song is longer: four months


class Reading(NamedTuple):
    """How files are opened: which of their audio tracks, how long to wait for them, and what to call meanwhile."""

    track: int = 1
    patience_s: float = PATIENCE_S
    meanwhile: Callable[[], object] = int


USUAL = Reading()


class Coming(NamedTuple):
    """Where to go on, once the file is open there."""

    file: int
    media_s: float
    source: ReadAhead


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
    A file that cannot be read on ends there; that, and whatever was wrong in a file, is told in `errors`.

    Files are opened, sought and read in threads. With a patience of infinity (offline) nothing goes on before
    they are there; a live player waits that long, then goes on with what plays now, or with silence where nothing
    does (`waited_samples`), until the file comes. MediaError where a file that was asked for cannot be opened;
    what was playing before plays on.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        rate: int,
        channels: int,
        *,
        loop: bool = False,
        position: int = 0,
        file: int = 0,
        media_s: float = 0.0,
        reading: Reading = USUAL,
    ) -> None:
        self.paths, self.rate, self.channels, self.loop = list(paths), rate, channels, loop
        self.position = position
        self.bad_samples = self.waited_samples = 0
        self.errors: list[str] = []
        self._track, self._patience_s, self._meanwhile = reading
        self._noted: set[str] = set()
        self._fresh: list[Map] = []
        self._maps: list[Map] = []
        self._ready = np.zeros((0, channels), np.float32)
        self._barren = 0  # starts of a file in a row that gave no sample
        self._source: ReadAhead | None = None
        self._coming: Coming | None = None  # a jump that waits for its file
        self._following: Coming | None = None  # the next song of the list, opened ahead
        self._is_stalled = False
        first = self._opened(file, media_s)
        first.source.wait(math.inf, self._meanwhile)
        self._begin(first)

    @property
    def file(self) -> int:
        """Number of the file that is heard next."""
        return self._now().file

    @property
    def media_s(self) -> float:
        """Song time of the next sample."""
        now = self._now()
        return now.media_s + (self.position - now.position) / self.rate

    @property
    def target(self) -> tuple[int, float]:
        """File and song time of the next sample, or of the jump that is under way."""
        coming = self._coming
        return (self.file, self.media_s) if coming is None else (coming.file, coming.media_s)

    @property
    def damaged_frames(self) -> int:
        """In the file that is read now."""
        return 0 if self._source is None else self._source.reader.faults.damaged_frames

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
        self._arrive()
        while len(self._ready) < n and (self._plays or self._coming is not None):
            if self._plays:
                self._fill(n)
            else:
                self._wait_for_jump(n)
        out, self._ready = self._ready[:n], self._ready[n:]
        self.position += len(out)
        return out

    @property
    def _plays(self) -> bool:
        """Whether there is sound, or will be, without a jump."""
        return self._source is not None or self._following is not None

    def seek(self, seconds: float) -> None:
        """Goes on at a song time of the file that is heard now; beyond its end with what follows."""
        self.jump(self.file, seconds)

    def next(self) -> None:
        """Goes on with the next file, after the last with the first."""
        self.jump((self.file + 1) % len(self.paths), 0.0)

    def close(self) -> None:
        """Lets go of the files."""
        self._leave()
        for coming in (self._coming, self._following):
            if coming is not None:
                coming.source.close()
        self._coming = self._following = None

    def jump(self, file: int, seconds: float) -> None:
        """Goes on with any file of the list, at a song time; a jump that is still under way gives way to this one."""
        self._drop_coming()
        self._coming = self._opened(file, seconds)
        self._coming.source.wait(self._patience_s, self._meanwhile)
        coming = self._coming
        if coming.source.error is not None and coming.source.has_failed:
            self._drop_coming()
            raise coming.source.error
        self._arrive()

    def _drop_coming(self) -> None:
        if self._coming is not None:
            self._coming.source.close()
        self._coming = None

    def _arrive(self) -> None:
        """Crosses over to the place of a jump, once its file is open there."""
        coming = self._coming
        if coming is None or not coming.source.is_ready:
            return
        self._coming = None
        if coming.source.error is not None and coming.source.has_failed:
            return self._note(coming.source.error)
        self._cross(coming)

    def _wait_for_jump(self, n: int) -> None:
        """The last song is over and the jump away from its end is still under way: silence until it arrives."""
        assert self._coming is not None
        if self._coming.source.wait(0 if self._is_stalled else self._patience_s, self._meanwhile):
            self._arrive()
        else:
            self._stall(n)

    def _cross(self, coming: Coming) -> None:
        fade = self.rate * FADE_MS // 1000
        position = self.position
        old = self._rest_of(fade)
        self.position, self._ready = position, self._ready[:0]
        self._maps.clear()
        self._fresh.clear()
        self._drop_following()
        self._is_stalled = False
        self._begin(coming)
        coming_in = self._ahead(fade)
        new = coming_in * fade_in(fade)[: len(coming_in), None]
        new[: len(old)] += (old * fade_out(fade)[: len(old), None])[: len(new)]
        self._ready = np.concatenate([new, self._ready[fade:]])

    def _rest_of(self, n: int) -> Samples:
        """What would have come next, as far as it is there."""
        while len(self._ready) < n and self._source is not None and self._source.is_ready:
            self._fill(n)
        return self._ready[:n]

    def _ahead(self, n: int) -> Samples:
        while len(self._ready) < n and self._plays:
            self._fill(n)
        return self._ready[:n]

    def _opened(self, file: int, seconds: float) -> Coming:
        media_s = min(max(seconds, 0.0), LONGEST_S)
        return Coming(file, media_s, ReadAhead(self.paths[file], media_s, self._track))

    def _begin(self, coming: Coming) -> None:
        """A file with a converter of its own; what it gives joins what is ready. Raises its error."""
        if coming.source.error is not None and coming.source.has_failed:
            raise coming.source.error
        self._leave()
        self._source, self._file = coming.source, coming.file
        reader = coming.source.reader
        self._resampler = StreamResampler(reader.rate, self.rate, self.channels)
        self._rebase(coming.source.next_position)
        if len(self.paths) > 1 and (self.loop or coming.file < len(self.paths) - 1):
            self._following = self._next_song(coming.file)

    def _rebase(self, at: int) -> None:
        """From here on counts from the file's position `at`."""
        self._origin = self.position + len(self._ready)
        self._taken = 0
        self._map(at)

    def _next_song(self, file: int) -> Coming | None:
        try:
            return self._opened((file + 1) % len(self.paths), 0.0)
        except MediaError as error:
            self._note(error)
            return None

    def _drop_following(self) -> None:
        if self._following is not None:
            self._following.source.close()
        self._following = None

    def _leave(self) -> None:
        """Lets go of the file in hand, and tells what was wrong with it."""
        if self._source is None:
            return
        self._report_faults()
        self._source.close()
        self._source = None

    def _report_faults(self) -> None:
        if self._source is not None:
            for sentence in self._source.reader.faults.sentences(self._source.path):
                self._report(sentence)

    def _map(self, at: int) -> None:
        assert self._source is not None
        reader = self._source.reader
        position = self._origin + self._resampler.map_position(self._taken)
        length_s = None if reader.samples is None else reader.samples / reader.rate
        entry = Map(position, self._file, at / reader.rate, length_s)
        self._maps.append(entry)
        self._fresh.append(entry)

    def _fill(self, n: int) -> None:
        """Makes at least one more sample ready, or comes nearer to the end."""
        source = self._source if self._source is not None else self._following and self._following.source
        assert source is not None
        if not source.wait(0 if self._is_stalled else self._patience_s, self._meanwhile):
            return self._stall(n)
        if self._source is None:
            return self._follow()
        self._take(source)

    def _stall(self, n: int) -> None:
        """Silence in the place of what does not come."""
        if not self._is_stalled and self._source is not None:
            self._add(self._resampler.flush())
        self._is_stalled = True
        missing = max(n - len(self._ready), 0)
        self.waited_samples += missing
        self._add(np.zeros((missing, self.channels), np.float32))

    def _take(self, source: ReadAhead) -> None:
        at, block = 0, np.zeros((0, source.reader.channels), np.float32)
        try:
            at, block = source.take()
        except PipelineError as error:
            self._note(error)
        if not len(block):
            return self._at_end(source)
        if self._is_stalled:
            self._is_stalled = False
            self._rebase(at)
        self._barren = 0
        block, bad = sanitise(block)
        self.bad_samples += bad
        self._taken += len(block)
        self._add(self._resampler.process(to_channels(block, self.channels, source.reader.layout)))

    def _at_end(self, source: ReadAhead) -> None:
        self._barren += 1
        self._report_faults()
        last = self._file == len(self.paths) - 1
        if self._barren > len(self.paths) or (last and not self.loop):
            self._add(self._resampler.flush())
            self._leave()
            self._drop_following()
        elif len(self.paths) == 1:
            self._loop_to_start(source)
        else:
            self._add(self._resampler.flush())
            self._leave()
            self._following = self._following or self._next_song(self._file)

    def _loop_to_start(self, source: ReadAhead) -> None:
        if source.error is None:
            source.restart()
            return self._map(0)
        self._add(self._resampler.flush())
        self._leave()
        self._following = self._next_song(self._file)

    def _follow(self) -> None:
        """The next file of the list, or the one after it where it cannot be opened."""
        coming, self._following = self._following, None
        assert coming is not None
        self._is_stalled = False
        try:
            self._begin(coming)
        except MediaError as error:
            self._note(error)
            self._barren += 1
            is_last = coming.file == len(self.paths) - 1
            if self._barren <= len(self.paths) and (self.loop or not is_last):
                self._following = self._next_song(coming.file)

    def _note(self, error: PipelineError) -> None:
        self._report(str(error))

    def _report(self, sentence: str) -> None:
        """A loop comes by the same damage each time; it is told once."""
        if sentence not in self._noted and len(self._noted) < MOST_NOTED:
            self._noted.add(sentence)
            self.errors.append(sentence)

    def _add(self, x: Samples) -> None:
        self._ready = np.concatenate([self._ready, x]) if len(self._ready) else x
