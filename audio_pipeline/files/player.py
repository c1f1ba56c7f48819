"""A list of sound files as one stream: seek, next and loop without a click or a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.dsp.level import sanitise
from audio_pipeline.errors import MediaError
from audio_pipeline.files.playlist import USUAL, Playlist, Reading
from audio_pipeline.files.song import Coming, Samples, Song
from audio_pipeline.files.song_map import Map, SongMap

FADE_MS = 10


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
        self.rate, self.channels = rate, channels
        self.position = position
        self.bad_samples = self.waited_samples = 0
        track, self.patience_s, self._meanwhile = reading
        self.list = Playlist(paths, track, loop=loop)
        self.paths, self.errors = self.list.paths, self.list.errors
        self._maps = SongMap()
        self._ready = np.zeros((0, channels), np.float32)
        self._song: Song | None = None
        self._coming: Coming | None = None  # a jump that waits for its file
        self._is_stalled = False
        first = self.list.opened(file, media_s)
        first.source.wait(math.inf, self._meanwhile)
        self._begin(first)

    @property
    def file(self) -> int:
        """Number of the file that is heard next."""
        return self._maps.at(self.position).file

    @property
    def media_s(self) -> float:
        """Song time of the next sample."""
        now = self._maps.at(self.position)
        return now.media_s + (self.position - now.position) / self.rate

    @property
    def target(self) -> tuple[int, float]:
        """File and song time of the next sample, or of the jump that is under way."""
        coming = self._coming
        return (self.file, self.media_s) if coming is None else (coming.file, coming.media_s)

    @property
    def damaged_frames(self) -> int:
        """In the file that is read now."""
        return 0 if self._song is None else self._song.source.reader.faults.damaged_frames

    def take_maps(self) -> list[Map]:
        """Which song time lies where, as far as it was not told yet."""
        return self._maps.take_fresh()

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
        return self._song is not None or self.list.following is not None

    def seek(self, seconds: float) -> None:
        """Goes on at a song time of the file that is heard now; beyond its end with what follows."""
        self.jump(self.file, seconds)

    def next(self) -> None:
        """Goes on with the next file, after the last with the first."""
        self.jump((self.file + 1) % len(self.paths), 0.0)

    def close(self) -> None:
        """Lets go of the files."""
        self._leave()
        self._drop_coming()
        self.list.drop_following()

    def jump(self, file: int, seconds: float) -> None:
        """Goes on with any file of the list, at a song time; a jump that is still under way gives way to this one."""
        self._drop_coming()
        coming = self._coming = self.list.opened(file, seconds)
        coming.source.wait(self.patience_s, self._meanwhile)
        if coming.error is not None:
            self._drop_coming()
            raise coming.error
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
        if coming.error is not None:
            return self.list.note(str(coming.error))
        self._cross(coming)

    def _wait_for_jump(self, n: int) -> None:
        """The last song is over and the jump away from its end is still under way: silence until it arrives."""
        assert self._coming is not None
        if self._coming.source.wait(0 if self._is_stalled else self.patience_s, self._meanwhile):
            self._arrive()
        else:
            self._stall(n)

    def _cross(self, coming: Coming) -> None:
        fade = self.rate * FADE_MS // 1000
        while (
            len(self._ready) < fade and (song := self._song) and (song.source.is_ready or self.patience_s == math.inf)
        ):
            self._fill(fade)  # what would have come next, as far as it is there
        old, self._ready = self._ready[:fade], self._ready[:0]
        self._maps.clear()
        self.list.drop_following()
        self._is_stalled = False
        self._begin(coming)
        coming_in = self._ahead(fade)
        new = coming_in * fade_in(fade)[: len(coming_in), None]
        new[: len(old)] += (old * fade_out(fade)[: len(old), None])[: len(new)]
        self._ready = np.concatenate([new, self._ready[fade:]])

    def _ahead(self, n: int) -> Samples:
        while len(self._ready) < n and self._plays:
            self._fill(n)
        return self._ready[:n]

    def _begin(self, coming: Coming) -> None:
        """A file with a converter of its own; what it gives joins what is ready. Raises its error."""
        if coming.error is not None:
            raise coming.error
        self._leave()
        self._song = Song(coming, self.rate, self.channels)
        self._place(self._song, coming.source.next_position)
        self.list.open_after(coming.file)

    def _place(self, song: Song, at: int) -> None:
        """From here on the stream is the song's from its sample `at` on."""
        song.place(self.position + len(self._ready))
        self._maps.add(song.map(at))

    def _leave(self) -> None:
        """Lets go of the file in hand, and tells what was wrong with it."""
        if self._song is None:
            return
        self.list.note(*self._song.faults())
        self._song.source.close()
        self._song = None

    def _fill(self, n: int) -> None:
        """Makes at least one more sample ready, or comes nearer to the end."""
        song, following = self._song, self.list.following
        source = song.source if song is not None else following and following.source
        assert source is not None
        if not source.wait(0 if self._is_stalled else self.patience_s, self._meanwhile):
            self._stall(n)
        elif song is None:
            self._follow()
        else:
            self._take(song)

    def _stall(self, n: int) -> None:
        """Silence in the place of what does not come."""
        if not self._is_stalled and self._song is not None:
            self._add(self._song.flush())
        self._is_stalled = True
        missing = max(n - len(self._ready), 0)
        self.waited_samples += missing
        self._add(np.zeros((missing, self.channels), np.float32))

    def _take(self, song: Song) -> None:
        at, block, trouble = song.take()
        self.list.note(*trouble)
        if not len(block):
            return self._at_end(song)
        if self._is_stalled:
            self._is_stalled = False
            self._place(song, at)
        self.list.barren = 0
        block, bad = sanitise(block)
        self.bad_samples += bad
        self._add(song.convert(block))

    def _at_end(self, song: Song) -> None:
        self.list.barren += 1
        self.list.note(*song.faults())
        if not self.list.is_over(song.file) and len(self.paths) == 1 and song.source.error is None:
            song.source.restart()
            return self._maps.add(song.map(0))
        self._add(song.flush())
        self._leave()
        self.list.go_on(song.file)

    def _follow(self) -> None:
        """The next file of the list, or the one after it where it cannot be opened."""
        coming = self.list.take_following()
        self._is_stalled = False
        try:
            self._begin(coming)
        except MediaError as error:
            self.list.note(str(error))
            self.list.barren += 1
            self.list.go_on(coming.file)

    def _add(self, x: Samples) -> None:
        self._ready = np.concatenate([self._ready, x]) if len(self._ready) else x
