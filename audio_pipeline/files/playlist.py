"""The list of a player: which file follows, opened ahead, and what was wrong with the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from audio_pipeline.errors import MediaError
from audio_pipeline.files.read_ahead import ReadAhead
from audio_pipeline.files.song import Coming

MOST_NOTED = 100
LONGEST_S = 1e7  # no song is longer: four months
PATIENCE_S = 0.25  # how long a live player waits for a file before it goes on without


class Reading(NamedTuple):
    """How files are opened: which of their audio tracks, how long to wait for them, and what to call meanwhile."""

    track: int = 1
    patience_s: float = PATIENCE_S
    meanwhile: Callable[[], object] = int


USUAL = Reading()


class Playlist:
    """Files by their number. `barren` counts starts of a file in a row that gave no sample: a list of such ends."""

    def __init__(self, paths: Sequence[Path], track: int, *, loop: bool) -> None:
        self.paths, self.loop = list(paths), loop
        self.errors: list[str] = []
        self.following: Coming | None = None  # the next song, opened ahead
        self.barren = 0
        self._track = track
        self._noted: set[str] = set()

    def opened(self, file: int, seconds: float) -> Coming:
        """A file from a song time on. Raises MediaError."""
        media_s = min(max(seconds, 0.0), LONGEST_S)
        return Coming(file, media_s, ReadAhead(self.paths[file], media_s, self._track))

    def open_after(self, file: int) -> None:
        """Opens what follows a file that begins, where that is another one."""
        if len(self.paths) > 1 and (self.loop or file < len(self.paths) - 1):
            self.following = self._next(file)

    def is_over(self, file: int) -> bool:
        """Whether nothing comes behind a file that has ended."""
        return self.barren > len(self.paths) or (file == len(self.paths) - 1 and not self.loop)

    def go_on(self, file: int) -> None:
        """Has the file after one that has ended, or that could not be opened, follow; none where the list is over."""
        if self.is_over(file):
            self.drop_following()
        else:
            self.following = self.following or self._next(file)

    def _next(self, file: int) -> Coming | None:
        try:
            return self.opened((file + 1) % len(self.paths), 0.0)
        except MediaError as error:
            self.note(str(error))
            return None

    def take_following(self) -> Coming:
        """What follows, for whoever plays it now."""
        coming, self.following = self.following, None
        assert coming is not None
        return coming

    def drop_following(self) -> None:
        if self.following is not None:
            self.following.source.close()
        self.following = None

    def note(self, *sentences: str) -> None:
        """A loop comes by the same damage each time; it is told once."""
        for sentence in sentences:
            if sentence not in self._noted and len(self._noted) < MOST_NOTED:
                self._noted.add(sentence)
                self.errors.append(sentence)
