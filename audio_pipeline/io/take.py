"""A take on disk: one WAV a track, true to position, and a sidecar that says what is missing.

File sample i of a track is content position `base_position + i`: what never came is silence, listed in
`take.json` under `gaps`. Tracks that begin within ten seconds of each other share a base, so that they line
up when they are opened side by side.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.errors import PipelineError
from audio_pipeline.io.sidecar import Sidecar, TrackInfo
from audio_pipeline.io.wav import Subtype, WavWriter, part_of, repair

SHARED_BASE_S = 10  # later tracks are filled up to the common start, later ones yet begin at their own
MAX_FILL_S = 600  # a longer hole is not filled: the track goes on behind a `jump`
SPANS_A_SAVE = 1_000  # a list as long as this is written half as often, and so on
Note = Callable[[str, int, int], None]  # (kind, at, samples)


class Track:
    """One WAV that grows by positions."""

    def __init__(self, writer: WavWriter, info: TrackInfo, note: Note) -> None:
        self.writer, self.info, self._note = writer, info, note

    @property
    def position(self) -> int:
        """The content position that is written next."""
        return self.info.base_position + sum(jump["samples"] for jump in self.info.jumps) + self.writer.samples

    def put(self, position: int, x: NDArray[np.float32], what: str = "") -> int:
        """Writes (n, channels) at `position`: fills up to it, drops what is there already.

        `what` is `gaps` or `concealed` where x is not the stream's own. Returns the samples of silence that were
        filled in. Raises PipelineError where the disk refuses.
        """
        ahead = position - self.position
        if ahead > MAX_FILL_S * self.writer.format.rate:
            self._jump(ahead)
            ahead = 0
        filled = max(ahead, 0)
        if filled:
            self._note("gaps", self.writer.samples, filled)
            self._fill(filled)
        new = x[max(-ahead, 0) :]
        if what and len(new):
            self._note(what, self.writer.samples, len(new))
        self.writer.write(to_channels(new, self.writer.format.channels))
        self.info.samples = self.writer.samples
        return filled

    def _jump(self, samples: int) -> None:
        at, jumps = self.writer.samples, self.info.jumps
        before = jumps[-1]["samples"] if jumps and jumps[-1]["at"] == at else 0
        self._note("jumps", at, before + samples)

    def _fill(self, samples: int) -> None:
        fmt = self.writer.format
        for start in range(0, samples, fmt.rate):
            self.writer.write(np.zeros((min(fmt.rate, samples - start), fmt.channels), np.float32))


class Take:
    """The tracks of one recording in one folder."""

    def __init__(self, folder: Path, subtype: Subtype, *, overwrite: bool = False) -> None:
        self.folder, self.subtype, self.overwrite = folder, subtype, overwrite
        self.tracks: dict[str, Track] = {}
        self._bases: dict[int, int] = {}
        self._sidecar = Sidecar(folder)
        self._saved_at = 0
        self._times: Counter[str] = Counter()  # how often a track of the name was finished
        _make(folder)

    def prepare(self, names: Iterable[str]) -> list[Path]:
        """Makes way for new tracks; returns what it rescued of a take that was cut off here.

        Raises PipelineError where a finished track of the name exists and may not be replaced.
        """
        paths = [self.folder / f"{name}.wav" for name in names]
        for path in paths:
            if path.exists() and not self.overwrite:
                raise PipelineError(
                    f"recording {path}: it exists already; set overwrite or another folder"
                )
        self._sidecar.clear()
        return [_rescue(path) for path in paths if part_of(path).exists()]

    def resume(self) -> list[str]:
        """Goes on with the tracks that a dead process left unfinished here; returns their names."""
        for name, info in self._sidecar.load().items():
            self._bases[0] = min(info.base_position, self._bases.get(0, info.base_position))
            part = part_of(self.folder / info.file)
            if part.exists() and part.stat().st_size:  # an empty one was just being begun
                writer = WavWriter.resume(self.folder / info.file, overwrite=self.overwrite)
                info.trim(writer.samples)
                self._add(name, writer, info)
        return list(self.tracks)

    def track(self, name: str, position: int, rate: int, channels: int, stream: int = 0) -> Track:
        """The track of a name, begun at `position` where it is new."""
        if name not in self.tracks:
            again = f"-{self._times[name] + 1}" if self._times[name] else ""  # it was taken away, and is back
            path = self.folder / f"{name}{again}.wav"
            info = TrackInfo(path.name, rate, self._base(position, rate, stream))
            before = self._sidecar.tracks.get(name)
            self._sidecar.tracks[name] = info
            self.save()  # before the file: what is there after a crash can be gone on with
            try:
                writer = WavWriter.open(path, rate, channels, self.subtype, overwrite=self.overwrite)
            except PipelineError:
                self._forget(name, before)
                raise
            self._add(name, writer, info)
        return self.tracks[name]

    def _add(self, name: str, writer: WavWriter, info: TrackInfo) -> None:
        self.tracks[name] = Track(writer, info, lambda kind, at, n: self._sidecar.note(name, kind, at, n))

    def _forget(self, name: str, before: TrackInfo | None) -> None:
        if before is None:
            self._sidecar.tracks.pop(name)
        else:
            self._sidecar.tracks[name] = before
        self.save()

    def _base(self, position: int, rate: int, stream: int) -> int:
        """The start that the tracks of one timeline share: 0 for those that begin with it."""
        share = SHARED_BASE_S * rate
        common = self._bases.setdefault(stream, 0 if position <= share else position)
        return common if 0 <= position - common <= share else position

    def save_soon(self, samples: int, rate: int) -> None:
        """Brings the sidecar up to date once a second of audio, less often where there is much to say."""
        self._saved_at += samples
        if self._saved_at >= rate:
            infos = self._sidecar.tracks.values()
            spans = sum(len(info.gaps) + len(info.concealed) for info in infos)
            if self._saved_at >= rate * (1 + spans // SPANS_A_SAVE):
                self.save()

    def save(self) -> None:
        """Writes the sidecar now."""
        self._saved_at = 0
        self._sidecar.save()

    def finish(self, name: str) -> tuple[Path, int]:
        """Closes one track; returns the final name of its file, and its samples."""
        track = self.tracks.pop(name)
        self._times[name] += 1
        path = track.writer.close()
        track.info.file, track.info.samples = path.name, track.writer.samples
        self.save()
        return path, track.info.samples


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(f"recording folder {folder}: {error.strerror or error}") from error


def _rescue(path: Path) -> Path:
    """Finishes a recording that was cut off and moves it out of the way of a new one."""
    found = repair(path).path
    number = 1
    while (free := path.with_stem(f"{path.stem}-rescued-{number}")).exists():
        number += 1
    os.replace(found, free)
    return free
