"""Takes of a session: a folder each, found by random ids; tracks by what a recorder's sidecar lists, never by a name
from elsewhere."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import MediaError
from audio_pipeline.files.sidecar import TrackInfo, read_folder
from audio_pipeline.files.wav_part import part_of

ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class TakeTrack:
    """One track."""

    id: str
    name: str  # of the recorder's input
    seconds: float
    bytes: int
    finished: bool  # nobody writes it any more


@dataclass(frozen=True)
class TakeEntry:
    """One take."""

    id: str
    started: float  # Unix time
    seconds: float
    tracks: tuple[TakeTrack, ...]
    note: str = ""  # what is wrong with it


def new_take(takes: Path) -> Path:
    """A folder for a take; a recorder makes it."""
    return takes / secrets.token_hex(8)


def take_entries(takes: Path) -> list[TakeEntry]:
    """Every take, oldest first."""
    with suppress(OSError):
        return sorted((_entry(path) for path in takes.iterdir() if _is_take(path)), key=lambda take: take.started)
    return []


def _is_take(path: Path) -> bool:
    return bool(ID.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()


def _entry(folder: Path) -> TakeEntry:
    try:
        tracks, note = tuple(_track(folder, info) for info in read_folder(folder).values()), ""
    except (MediaError, OSError) as error:
        tracks, note = (), f"its list of tracks cannot be read ({type(error).__name__})"
    return TakeEntry(folder.name, _started(folder), max((track.seconds for track in tracks), default=0.0), tracks, note)


def _started(folder: Path) -> float:
    """When its first file was made: sidecars are written anew, tracks are appended to."""
    with suppress(OSError):
        found = [path.stat() for path in folder.iterdir()]
        return round(min((each.st_ctime if not each.st_size else each.st_mtime for each in found), default=0.0), 3)
    return 0.0


def _track(folder: Path, info: TrackInfo) -> TakeTrack:
    path = folder / info.file
    size = 0
    with suppress(OSError):
        size = (path if info.finished else part_of(path)).stat().st_size
    return TakeTrack(track_id(info.file), info.track, round(info.samples / info.rate, 3), size, info.finished)


def track_id(file: str) -> str:
    """Stands for a file in URLs.

    >>> track_id("vocals.wav")
    '3b77e4cea6b1075e'
    """
    return hashlib.sha256(file.encode()).hexdigest()[:16]


def take_folder(takes: Path, take: str) -> Path | None:
    """The folder of a take that is there."""
    return takes / take if ID.fullmatch(take) and _is_take(takes / take) else None


def track_file(takes: Path, take: str, track: str) -> Path | None:
    """A finished track; None for anything else."""
    folder = take_folder(takes, take)
    if folder is None:
        return None
    with suppress(MediaError, OSError):
        for info in read_folder(folder).values():
            if track_id(info.file) == track and info.finished and (folder / info.file).is_file():
                return folder / info.file
    return None


def delete_take(takes: Path, take: str) -> bool:
    """False where there is no such take."""
    folder = take_folder(takes, take)
    if folder is None:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True
