"""Folders of recordings: what lies in them and in which state, and how those that were cut off are finished."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.sidecar import JOURNALS, SIDECAR, TrackInfo, Tracks, read_folder, text_of
from audio_pipeline.files.take_lock import alone, is_recorded
from audio_pipeline.files.wav import repair
from audio_pipeline.files.wav_mend import State, Wav, inspect_wav, mend
from audio_pipeline.files.wav_part import PART, is_begun, is_in_use, part_of
from audio_pipeline.private_file import write_whole

WHOLE, RECORDED, UNFINISHED, GONE = State.WHOLE.value, "being recorded", "unfinished", "its file is missing"


class Found(NamedTuple):
    """One track; `wav` is None for one that cannot be read, `info` for one of which nothing is known."""

    name: str
    state: str
    wav: Wav | None
    info: TrackInfo | None

    @property
    def is_well(self) -> bool:
        return self.state in (WHOLE, RECORDED)


class Inspected(NamedTuple):
    """A folder: its tracks, and what is wrong with its sidecar."""

    folder: Path
    tracks: list[Found]
    damage: str

    @property
    def is_well(self) -> bool:
        return not self.damage and all(track.is_well for track in self.tracks)


def takes_below(folder: Path) -> Iterator[Path]:
    """The folder and those in it that hold recordings, by name. Raises PipelineError where it cannot be read."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    except OSError as error:
        raise PipelineError(f"{folder} cannot be listed: {error.strerror or error}") from error
    return (path for path in (folder, *inside) if _has_sound(path))


def _has_sound(folder: Path) -> bool:
    try:
        return any(path.name == SIDECAR or path.name.endswith((".wav", ".wav" + PART)) for path in folder.iterdir())
    except OSError:
        return False


def inspect(folder: Path) -> Inspected:
    """What is there."""
    tracks, damage = _known(folder)
    by_file = {info.file: info for info in tracks.values()}
    busy = is_recorded(folder)
    found = [_judge(path, by_file.get(path.name.removesuffix(PART)), busy) for path in _files(folder)]
    there = {track.name for track in found}
    gone = [Found(info.file, GONE, None, info) for info in tracks.values() if info.file not in there and not busy]
    left = "" if busy or damage or not any(folder.glob(JOURNALS)) else "a dead recorder's journal lies beside take.json"
    return Inspected(folder, found + gone, damage or left)


def _known(folder: Path) -> tuple[Tracks, str]:
    try:
        return read_folder(folder), ""
    except MediaError as error:
        return {}, str(error)


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.wav"), *folder.glob(f"*.wav{PART}")])


def _judge(path: Path, info: TrackInfo | None, busy: bool) -> Found:
    name = path.name.removesuffix(PART)
    try:
        wav = inspect_wav(path)
    except MediaError as error:
        return Found(name, str(error), None, info)
    if path.name.endswith(PART):
        return Found(name, RECORDED if busy or is_in_use(path) else UNFINISHED, wav, info)
    return Found(name, wav.state.value, wav, info)


def repair_take(folder: Path) -> Iterator[str]:
    """Finishes what was cut off, and says what it did. Raises PipelineError where a run records there."""
    with alone(folder):
        tracks, damage = _known(folder)
        if damage:
            kept = _aside(folder / SIDECAR)
            yield f"{folder / SIDECAR}: damaged, kept as {kept.name}"
        for path in _files(folder):
            try:
                yield from _repair_file(path, tracks)
            except PipelineError as error:
                yield str(error)
        yield from _repair_sidecar(folder, tracks, anew=bool(damage))


def repair_file(path: Path) -> Iterator[str]:
    """One file by itself, of whatever writer. Raises MediaError for what is no WAV."""
    wav = inspect_wav(path)
    if wav.state is not State.WHOLE:
        yield f"{path}: {wav.state.value}; now {mend(wav).seconds:.3f} s"


def _repair_file(path: Path, tracks: Tracks) -> Iterator[str]:
    if not path.name.endswith(PART):
        yield from repair_file(path)
    elif is_begun(path):
        done = repair(path)
        info = next((info for info in tracks.values() if part_of(path.with_name(info.file)) == path), None)
        if info is not None:
            info.file, info.finished = done.path.name, True
        yield f"{done.path}: finished, {done.samples / done.format.rate:.3f} s"
    elif not path.stat().st_size:
        path.unlink()
        yield f"{path}: removed, it was just being begun"
    else:
        yield from repair_file(path)


def _repair_sidecar(folder: Path, tracks: Tracks, *, anew: bool) -> Iterator[str]:
    """Entries say what their files hold; what a journal adds is in them."""
    path = folder / SIDECAR
    if not (path.exists() or anew):
        return
    mended = dict(_entries(folder, tracks, anew))
    text = text_of(mended)
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_whole(path, text)
            yield f"{path}: written anew"
        for journal in folder.glob(JOURNALS):
            journal.unlink()
    except OSError as error:
        raise PipelineError(f"{path}: cannot be repaired ({error.strerror or error})") from error


def _entries(folder: Path, tracks: Tracks, anew: bool) -> Iterator[tuple[str, TrackInfo]]:
    for name, info in tracks.items():
        if (wav := _whole(folder / info.file)) is not None:
            info.finished = True
            if info.samples != wav.samples:
                info.trim(wav.samples)
            yield name, info
    for path in sorted(folder.glob("*.wav")) if anew else ():
        if (wav := _whole(path)) is not None:
            yield path.stem, TrackInfo(path.name, wav.rate, 0, wav.samples, track=path.stem, finished=True)


def _whole(path: Path) -> Wav | None:
    try:
        return inspect_wav(path)
    except MediaError:
        return None


def _aside(path: Path) -> Path:
    kept, number = path.with_name(f"{path.name}.damaged"), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, kept)
    return kept
