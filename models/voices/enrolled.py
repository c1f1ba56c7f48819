"""The voices enrolled on this host: found by name, added, replaced by a better fit, deleted with everything of them."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.home import DATA
from audio_pipeline.models.voices import checked_json
from audio_pipeline.models.voices import files as voice_files
from audio_pipeline.models.voices.names import checked_name, free_name, key
from audio_pipeline.models.voices.record import (
    RECORD,
    RECORD_BYTES,
    SAMPLE,
    STYLE,
    Draft,
    Record,
    Voice,
    read_record,
    read_style,
    write_style,
)

FOLDER = "AUDIO_PIPELINE_VOICES"  # in the environment: another folder than the usual one
STYLE_BYTES = 1 << 20
SAMPLE_BYTES = 64 << 20
MOST_NAMED = 20  # in an error
ATTEMPTS = 3  # a folder may be replaced while it is read

T = TypeVar("T")


def voices_folder() -> Path:
    """Where voices are: $AUDIO_PIPELINE_VOICES, or `audio-pipeline/voices` in $XDG_DATA_HOME (~/.local/share)."""
    folder = os.environ.get(FOLDER)
    if folder:
        return Path(folder)
    return DATA.folder() / "voices"


class Library:
    """The voices in a folder; nothing is held, every call looks anew."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or voices_folder()

    def records(self) -> list[Record]:
        """All that can be read, by name; what is damaged is in `damaged`."""
        return [record for _, record in self._readable()]

    def damaged(self) -> dict[str, str]:
        """A sentence for each folder that cannot be read, by the id of its voice."""
        damaged = {}
        for id_, path in voice_files.latest(self.folder).items():
            try:
                _record(path)
            except (OSError, ValueError) as error:
                damaged[id_] = f"{path / RECORD} is damaged: {error}"
        return damaged

    def names(self) -> list[str]:
        """As they were typed."""
        return [record.name for record in self.records()]

    def __contains__(self, name: str) -> bool:
        return any(key(record.name) == key(name) for _, record in self._readable())

    def record(self, name: str) -> Record:
        """What is known of a voice. Raises ConfigError naming the nearest."""
        return self._find(name)[1]

    def voice(self, name: str) -> Voice:
        """A voice as it is used. Raises ConfigError, or MediaError where its files are damaged."""

        def read(path: Path, record: Record) -> Voice:
            pack, embedding = read_style(_file(path, record, STYLE, STYLE_BYTES))
            return Voice(record, pack, embedding)

        return self._read_entry(name, read)

    def sample(self, name: str) -> bytes | None:
        """The FLAC that it was fitted on; None where that was not kept."""

        def read(path: Path, record: Record) -> bytes | None:
            return _file(path, record, SAMPLE, SAMPLE_BYTES) if SAMPLE in record.files else None

        return self._read_entry(name, read)

    def files(self, name: str) -> dict[str, bytes]:
        """Everything of a voice, the record first, checked."""

        def read(path: Path, record: Record) -> dict[str, bytes]:
            most = {STYLE: STYLE_BYTES, SAMPLE: SAMPLE_BYTES}
            own = {file: _file(path, record, file, most[file]) for file in record.files}
            return {RECORD: voice_files.read(path / RECORD, RECORD_BYTES), **own}

        return self._read_entry(name, read)

    def work_folder(self, name: str) -> Path:
        """Where a fit of this voice keeps what it needs to go on later; goes with the voice."""
        return voice_files.own_folder(self.folder, voice_files.WORK, self.record(name).id)

    def cache_folder(self, name: str) -> Path:
        """Where other engines keep what they computed from the sample of this voice; goes with the voice."""
        return voice_files.own_folder(self.folder, voice_files.CACHE, self.record(name).id)

    def check_free(self, name: str) -> str:
        """The name as it will be kept. Raises ConfigError where it is none or taken."""
        return free_name(name, self.names())

    def check_writable(self) -> None:
        """Raises PipelineError where no voice could be kept."""
        voice_files.check_writable(self.folder)

    def add(self, draft: Draft) -> Record:
        """Keeps a new voice. Raises ConfigError where the name is taken, PipelineError where it cannot be written."""
        record, files = _made(draft, uuid.uuid4().hex, 1)
        with voice_files.writing(self.folder):
            free_name(record.name, self.names())
            voice_files.put(self.folder, _folder(record), files)
        return record

    def adopt(self, record: Record, files: Mapping[str, bytes]) -> Record:
        """Keeps a voice that came from elsewhere, under an id of its own; `files` are checked already."""
        kept = replace(record, id=uuid.uuid4().hex, revision=1)
        with voice_files.writing(self.folder):
            free_name(kept.name, self.names())
            voice_files.put(self.folder, _folder(kept), {RECORD: checked_json.dump(kept).encode(), **files})
        return kept

    def replace(self, before: Record, draft: Draft) -> Record:
        """Puts a better fit in a voice's place. Raises ConfigError where it is no longer what it was."""
        with voice_files.writing(self.folder):
            path, now = self._find(before.name)
            if (now.id, now.revision) != (before.id, before.revision):
                raise ConfigError(f"the voice {before.name!r} was changed meanwhile; nothing was written")
            record, files = _made(draft, now.id, now.revision + 1)
            voice_files.put(self.folder, _folder(record), files)
            voice_files.remove(self.folder, path)
        return record

    def delete(self, name: str) -> Record:
        """Removes all there is of a voice."""
        with voice_files.writing(self.folder):
            record = self._find(name)[1]
            voice_files.remove_all(self.folder, record.id)
        return record

    def delete_damaged(self, id_: str) -> None:
        """Removes all there is of a voice that cannot be read. Raises ConfigError where none has this id."""
        with voice_files.writing(self.folder):
            if id_ not in self.damaged():
                raise ConfigError(f"no damaged voice has the id {id_!r:.80}")
            voice_files.remove_all(self.folder, id_)

    def _readable(self) -> list[tuple[Path, Record]]:
        found = []
        for path in voice_files.latest(self.folder).values():
            try:
                found.append((path, _record(path)))
            except (OSError, ValueError):
                continue
        return sorted(found, key=lambda pair: key(pair[1].name))

    def _find(self, name: str) -> tuple[Path, Record]:
        wanted, readable = key(checked_name(name)), self._readable()
        for path, record in readable:
            if key(record.name) == wanted:
                return path, record
        raise ConfigError(f"no voice is called {name!r}{_hint(name, [record.name for _, record in readable])}")

    def _read_entry(self, name: str, read: Callable[[Path, Record], T]) -> T:
        """Reads files of a voice, once more where it was replaced between two of them."""
        for left in reversed(range(ATTEMPTS)):
            path, record = self._find(name)
            try:
                return read(path, record)
            except FileNotFoundError as error:
                if not left:
                    raise MediaError(f"voice {name!r}: {error.filename} is missing") from error
            except (OSError, ValueError) as error:
                raise MediaError(f"voice {name!r} is damaged: {error}") from error
        raise AssertionError("one of the looks returns or raises")


def _hint(name: str, known: list[str]) -> str:
    if not known:
        return "; none is enrolled yet: audio-pipeline voices enrol FILE --name NAME"
    by_key = {key(each): each for each in known}
    if close := get_close_matches(key(name), by_key, n=1):
        return f", did you mean {by_key[close[0]]!r}?"
    return f"; enrolled are {', '.join(known[:MOST_NAMED])}"


def _folder(record: Record) -> str:
    return f"{record.id}-{record.revision}"


def _record(path: Path) -> Record:
    record = read_record(voice_files.read(path / RECORD, RECORD_BYTES))
    if _folder(record) != path.name:
        raise ValueError(f"its contents name another folder, {_folder(record)}")
    return record


def _file(path: Path, record: Record, name: str, most: int) -> bytes:
    data = voice_files.read(path / name, most)
    if hashlib.sha256(data).hexdigest() != record.files[name]:
        raise ValueError(f"{name} is not what was written")
    return data


def _made(draft: Draft, id_: str, revision: int) -> tuple[Record, dict[str, bytes]]:
    """The record of a draft, and all files of its folder."""
    files = {STYLE: write_style(draft.pack, draft.embedding)}
    if draft.sample_flac is not None:
        files[SAMPLE] = draft.sample_flac
    read_style(files[STYLE])
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    name = checked_name(draft.record.name)
    record = replace(draft.record, name=name, id=id_, revision=revision, files=digests)
    text = checked_json.dump(record).encode()
    read_record(text)
    return record, {RECORD: text, **files}
