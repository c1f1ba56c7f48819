"""A take on disk: one WAV a track, true to position, and a sidecar that says what is missing.

File sample i of a track is content position `base_position + i`: what never came is silence, listed in
`take.json` under `gaps`. Tracks that begin within ten seconds of each other share a base, so that they line
up when they are opened side by side. No file of a run is ever replaced by another one of the same run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.sidecar import SIDECAR, Sidecar, TrackInfo, read_folder
from audio_pipeline.files.take_lock import TakeLock
from audio_pipeline.files.track import Note, Track
from audio_pipeline.files.wav import WavWriter, repair
from audio_pipeline.files.wav_format import Subtype
from audio_pipeline.files.wav_part import is_begun, is_taken, part_of, samples_in

SHARED_BASE_S = 10  # later tracks are filled up to the common start, later ones yet begin at their own
SPANS_A_SAVE = 1_000  # a list as long as this is written half as often, and so on


class Take:
    """The tracks of one recorder in one folder, which is this run's alone until `close`."""

    def __init__(
        self,
        folder: Path,
        subtype: Subtype,
        *,
        overwrite: bool = False,
        run: str = "",
        node: str = "",
        gain_db: float = 0.0,
    ) -> None:
        self.folder, self.subtype, self.overwrite, self.gain_db = folder, subtype, overwrite, gain_db
        self.tracks: dict[str, Track] = {}  # by input
        self._bases: dict[int, int] = {}
        self._sidecar = Sidecar(folder, run, node)
        self._saved_s = 0.0
        _make(folder)
        self._lock = TakeLock.take(folder, run)

    def begin(
        self, names: Iterable[str], *, restarted: bool = False, ends: Mapping[str, int] | None = None
    ) -> list[str]:
        """Goes on with what a dead process of this run left, or makes way for new tracks; what there is to say of it.

        `ends` is how far the streams of tracks had come that are wanted no more.
        Raises PipelineError where a finished track of another run has such a name and may not be replaced.
        """
        notices, wanted = [], list(names)
        try:
            own = self._sidecar.load()
        except MediaError as error:
            os.replace(self.folder / SIDECAR, kept := _free(self.folder / f"{SIDECAR}.damaged"))
            notices.append(f"{error}; kept as {kept.name}")
            own, self.overwrite = {}, False  # which files are this run's is not known
        if not own:
            return notices + self._prepare(wanted, refuse=not restarted)
        self._resume()
        for name in [name for name in self.tracks if name not in wanted]:
            self.finish(name, (ends or {}).get(name))  # it was taken away, and its recorder died before it could
        return notices

    def _prepare(self, names: list[str], *, refuse: bool) -> list[str]:
        paths = [path for path in map(self._path, names) if not self._is_ours(path.stem)]
        for path in paths:
            if refuse and path.exists() and not self.overwrite:
                raise PipelineError(f"recording {path}: it exists already; set overwrite or another folder")
        return [self._rescue(path) for path in paths if is_begun(part_of(path))]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.wav"

    def _is_ours(self, entry: str) -> bool:
        """True for a file that this run wrote: it is never replaced."""
        info = self._sidecar.all().get(entry)
        return info is not None and info.run == self._sidecar.run

    def _rescue(self, path: Path) -> str:
        """Finishes a recording that was cut off and moves it, with what is known of it, out of the way."""
        found, samples, _ = repair(path)
        free = _free(path.with_stem(f"{path.stem}-rescued"), first=1)
        os.replace(found, free)
        info = read_folder(self.folder).get(path.stem)
        if info is not None:
            info.file, info.finished = free.name, True
            info.trim(samples)
            self._sidecar.forget(path.stem)
            self._sidecar.tracks[free.stem] = info
            self._sidecar.save()
        return f"kept an unfinished recording of an earlier run as {free}"

    def _resume(self) -> None:
        """Takes up the tracks that a dead process left unfinished here."""
        tracks = self._sidecar.tracks
        self._bases[0] = next(iter(tracks.values())).base_position
        for entry, info in list(tracks.items()):
            path = self.folder / info.file
            if info.finished:
                continue
            if is_begun(part_of(path)):
                writer = WavWriter.resume(path, overwrite=self.overwrite, buffered=True)
                info.trim(writer.samples)
                self._add(entry, writer, info)
            elif path.exists():  # it died between the two steps of finishing
                info.finished = True
                info.trim(samples_in(path))
            else:  # it was just being begun
                self._sidecar.forget(entry)
        self._sidecar.save()

    def track(self, name: str, position: int, rate: int, channels: int, stream: int = 0) -> Track:
        """The track of an input, begun at `position` where it is new."""
        if name not in self.tracks:
            path = self._free_path(name)
            base = self._base(position, rate, stream)
            run, node = self._sidecar.run, self._sidecar.node
            info = TrackInfo(path.name, rate, base, track=name, run=run, node=node, gain_db=self.gain_db)
            self._sidecar.begin(path.stem, info)
            try:
                writer = WavWriter.open(path, rate, channels, self.subtype, overwrite=self.overwrite, buffered=True)
            except PipelineError:
                self._sidecar.forget(path.stem)
                self._sidecar.save()
                raise
            self._add(path.stem, writer, info)
        return self.tracks[name]

    def _free_path(self, name: str) -> Path:
        """`<name>.wav`, or with a number behind it where this run, or one that may not be replaced, has that file."""
        entries, path, number = self._sidecar.all(), self._path(name), 1
        while (
            (path.stem in entries and entries[path.stem].run == self._sidecar.run)
            or (path.exists() and not self.overwrite)
            or is_taken(part_of(path))
        ):
            number += 1
            path = self._path(f"{name}-{number}")
        return path

    def _add(self, entry: str, writer: WavWriter, info: TrackInfo) -> None:
        note: Note = lambda kind, at, n: self._sidecar.note(entry, kind, at, n)  # noqa: E731
        self.tracks[info.track] = Track(writer, info, note)

    def _base(self, position: int, rate: int, stream: int) -> int:
        """The start that the tracks of one timeline share: 0 for those that begin with it."""
        share = SHARED_BASE_S * rate
        common = self._bases.setdefault(stream, 0 if position <= share else position)
        return common if 0 <= position - common <= share else position

    def flush(self, name: str) -> None:
        """Gives the system what was put into a track, after what it says of it."""
        self._sidecar.flush()
        self.tracks[name].writer.flush()

    def save_due(self, now_s: float) -> bool:
        """Brings the sidecar up to date once a second, less often where there is much to say; True if it did."""
        infos = [track.info for track in self.tracks.values()]
        spans = sum(len(info.gaps) + len(info.concealed) for info in infos)
        if not infos or now_s - self._saved_s < 1 + spans // SPANS_A_SAVE:
            return False
        self._saved_s = now_s
        self._sidecar.save()
        return True

    def finish(self, name: str, end: int | None = None) -> TrackInfo:
        """Closes one track, filled up to position `end`; what became of it.

        Where the disk refuses something, what fits is finished before PipelineError is raised.
        """
        track = self.tracks.pop(name)
        try:
            if end is not None:
                track.end_at(end)
            self._sidecar.flush()
        finally:
            self._finish(track.writer, track.info)
        return track.info

    def _finish(self, writer: WavWriter, info: TrackInfo) -> None:
        part = part_of(writer.path)
        try:
            writer.close()
        finally:
            if not part.exists():
                info.file, info.finished = writer.path.name, True
            info.trim(writer.samples)
            self._sidecar.save(sync=True)

    def close(self) -> None:
        """Lets go of the folder."""
        self._lock.release()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(f"recording folder {folder}: {error.strerror or error}") from error


def _free(path: Path, first: int = 2) -> Path:
    """A name with a number behind it that nothing has: `first` or the next one."""
    number = first
    while (free := path.with_stem(f"{path.stem}-{number}")).exists():
        number += 1
    return free
