"""A take on disk: one WAV a track, true to position, and a sidecar that says what is missing.

File sample i of a track is content position `base_position + i`: what never came is silence, listed in
`take.json` under `gaps`. Tracks that begin within ten seconds of each other share a base, so that they line
up when they are opened side by side.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.io.wav import Subtype, WavWriter, part_of, repair

SIDECAR = "take.json"
SHARED_BASE_S = 10  # later tracks are filled up to the common start, later ones yet begin at their own
MAX_FILL_S = 600  # a longer hole is not filled: the track goes on behind a `jump`
VERSION = 1


@dataclass
class TrackInfo:
    """What the sidecar says of one track; `at` counts file samples."""

    file: str
    rate: int
    base_position: int
    samples: int = 0
    gaps: list[dict[str, int]] = field(default_factory=list)
    jumps: list[dict[str, int]] = field(default_factory=list)


class Track:
    """One WAV that grows by positions."""

    def __init__(self, writer: WavWriter, info: TrackInfo) -> None:
        self.writer, self.info = writer, info
        self._offset = info.base_position + sum(jump["samples"] for jump in info.jumps)

    @property
    def position(self) -> int:
        """The content position that is written next."""
        return self._offset + self.writer.samples

    def put(self, position: int, x: NDArray[np.float32]) -> int:
        """Writes (n, channels) at `position`: fills up to it, drops what is there already.

        Returns the samples of silence that were filled in. Raises PipelineError where the disk refuses.
        """
        ahead = position - self.position
        if ahead > MAX_FILL_S * self.writer.format.rate:
            self._jump(ahead)
            ahead = 0
        filled = max(ahead, 0)
        if filled:
            self.missing(self.writer.samples, filled)
            self._fill(filled)
        self.writer.write(to_channels(x[max(-ahead, 0) :], self.writer.format.channels))
        self.info.samples = self.writer.samples
        return filled

    def missing(self, at: int, samples: int) -> None:
        """Notes that `samples` from file sample `at` on are not from the stream."""
        last = self.info.gaps[-1] if self.info.gaps else None
        if last and last["at"] + last["samples"] == at:
            last["samples"] += samples
        else:
            self.info.gaps.append({"at": at, "samples": samples})

    def _jump(self, samples: int) -> None:
        self.info.jumps.append({"at": self.writer.samples, "samples": samples})
        self._offset += samples

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
        self._infos: dict[str, TrackInfo] = {}
        self._saved_at = 0
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
        return [_rescue(path) for path in paths if part_of(path).exists()]

    def resume(self) -> list[str]:
        """Goes on with the tracks that a dead process left unfinished here; returns their names."""
        for name, info in _read(self.folder / SIDECAR).items():
            if part_of(self.folder / info.file).exists():
                writer = WavWriter.resume(self.folder / info.file, overwrite=self.overwrite)
                self.tracks[name], self._infos[name] = Track(writer, info), info
        return list(self.tracks)

    def track(self, name: str, position: int, rate: int, channels: int, stream: int = 0) -> Track:
        """The track of a name, begun at `position` where it is new."""
        if name not in self.tracks:
            writer = WavWriter.open(
                self.folder / f"{name}.wav", rate, channels, self.subtype, overwrite=self.overwrite
            )
            info = TrackInfo(writer.path.name, rate, self._base(position, rate, stream))
            self.tracks[name], self._infos[name] = Track(writer, info), info
            self.save()
        return self.tracks[name]

    def _base(self, position: int, rate: int, stream: int) -> int:
        """The start that the tracks of one timeline share: 0 for those that begin with it."""
        share = SHARED_BASE_S * rate
        common = self._bases.setdefault(stream, 0 if position <= share else position)
        return common if 0 <= position - common <= share else position

    def save_soon(self, samples: int, rate: int) -> None:
        """Brings the sidecar up to date once a second of audio."""
        self._saved_at += samples
        if self._saved_at >= rate:
            self.save()

    def save(self) -> None:
        """Writes the sidecar; a reader sees the old one or the new one, never half."""
        self._saved_at = 0
        tracks = {name: asdict(info) for name, info in self._infos.items()}
        text = json.dumps({"version": VERSION, "tracks": tracks}, indent=1)
        scratch = self.folder / f".{SIDECAR}.new"
        try:
            scratch.write_text(text + "\n")
            os.replace(scratch, self.folder / SIDECAR)
        except OSError as error:
            raise PipelineError(f"recording {self.folder / SIDECAR}: {error.strerror or error}") from error

    def finish(self, name: str) -> tuple[Path, int]:
        """Closes one track; returns the final name of its file, and its samples."""
        track = self.tracks.pop(name)
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


def _read(sidecar: Path) -> dict[str, TrackInfo]:
    """The tracks a sidecar speaks of, none where there is no sidecar. Raises MediaError for a damaged one."""
    try:
        document: dict[str, Any] = json.loads(sidecar.read_text())
        return {name: TrackInfo(**info) for name, info in document["tracks"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MediaError(f"{sidecar}: is not the sidecar of a take ({error})") from error
