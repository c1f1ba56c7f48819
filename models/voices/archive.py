"""A voice as one file, to keep or to give away: a zip of known members with known hashes.

What comes from elsewhere may be hostile. Nothing in it names a path; every member is read up to a bound whatever its
header says; and everything is parsed and checked before the first byte is written.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

from audio_pipeline.errors import ConfigError, MediaError, PipelineError
from audio_pipeline.models.voices import checked_json
from audio_pipeline.models.voices import files as voice_files
from audio_pipeline.models.voices.enrolled import SAMPLE_BYTES, STYLE_BYTES, Library
from audio_pipeline.models.voices.names import checked_name
from audio_pipeline.models.voices.record import RECORD, RECORD_BYTES, SAMPLE, STYLE, Record, read_record, read_style
from audio_pipeline.private_file import create_private, write_private

SUFFIX = ".voice"
MOST = {RECORD: RECORD_BYTES, STYLE: STYLE_BYTES, SAMPLE: SAMPLE_BYTES}  # bytes of each member
ARCHIVE_BYTES = sum(MOST.values()) + 10_000
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same voice is the same file
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
FLAC_MAGIC = b"fLaC"
END = struct.Struct("<4s4H2LH")  # what a zip without a comment ends with
END_MAGIC, END_64, END_64_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
MOST_LISTED, DIRECTORY_BYTES = 20, 10_000  # three members take 200 bytes; a few more are named in the error


def export_voice(library: Library, name: str, path: Path, *, with_sample: bool = True, overwrite: bool = False) -> int:
    """Writes everything of a voice into one file, private and all at once; returns its size in bytes."""
    if path.is_dir():
        raise ConfigError(f"{str(path)!r} is a folder, expected the name of a file")
    there = ConfigError(f"{str(path)!r} exists already; add --force to overwrite it")
    if path.exists() and not overwrite:
        raise there
    files = library.files(name) if with_sample else _without_sample(library.files(name))
    data = _packed(files)
    try:
        (write_private if overwrite else create_private)(path, data)
    except FileExistsError:
        raise there from None
    except OSError as error:
        raise PipelineError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return len(data)


def import_voice(library: Library, path: Path, *, now: str, name: str = "") -> Record:
    """Keeps the voice in a file under its own name or another; its consent stays with it.

    `now` is the time to write down (ISO 8601). Raises MediaError where the file is not what `export_voice` writes,
    ConfigError where the name is taken.
    """
    try:
        files = _unpacked(path)
        record = _checked(files)
    except (ValueError, *BROKEN) as error:
        reason = f"{type(error).__name__}" if not str(error) else " ".join(str(error).split())
        raise MediaError(f"{str(path)!r} is no voice that was exported: {reason:.200}") from error
    provenance = replace(record.provenance, imported=now)
    record = replace(record, name=checked_name(name or record.name), provenance=provenance)
    return library.adopt(record, {member: data for member, data in files.items() if member != RECORD})


def _without_sample(files: dict[str, bytes]) -> dict[str, bytes]:
    record = read_record(files[RECORD])
    less = replace(record, files={name: digest for name, digest in record.files.items() if name != SAMPLE})
    return {RECORD: checked_json.dump(less).encode(), STYLE: files[STYLE]}


def _packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            how = zipfile.ZIP_STORED if name == SAMPLE else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, how)
    return buffer.getvalue()


def _unpacked(path: Path) -> dict[str, bytes]:
    """The members, each within its bound. Raises MediaError, ValueError, or what zipfile raises."""
    try:
        data = voice_files.read(path, ARCHIVE_BYTES, follow=True)
    except OSError as error:
        raise MediaError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"it {error}") from error
    _check_directory(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if len(set(names)) != len(names) or not {RECORD, STYLE} <= set(names) <= set(MOST):
            listed = ", ".join(repr(name)[:40] for name in names[:5])
            raise ValueError(f"it holds {listed or 'nothing'}, expected {', '.join(MOST)}")
        return {info.filename: _member(archive, info) for info in infos}


def _check_directory(data: bytes) -> None:
    """Raises ValueError where the list of members is longer than a voice's: zipfile builds objects for all it lists."""
    if len(data) < END.size or data[-END.size :][:4] != END_MAGIC:
        raise ValueError("it is not a zip file, or one with a comment")
    _, _, _, _, count, size, _, comment = END.unpack(data[-END.size :])
    zip64 = data[-END.size - END_64_BYTES : -END.size].startswith(END_64)
    if count > MOST_LISTED or size > DIRECTORY_BYTES or comment or zip64:
        listed = f"{count} files" if not zip64 else "more than a small zip can"
        raise ValueError(f"it lists {listed} in {size} bytes, expected at most {MOST_LISTED} in {DIRECTORY_BYTES}")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    most = MOST[info.filename]
    if info.flag_bits & 1 or info.compress_type not in PLAIN:
        raise ValueError(f"{info.filename} is encrypted, or packed in a way that is not in use")
    with archive.open(info) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{info.filename} is larger than {most} bytes")
    return data


def _checked(files: dict[str, bytes]) -> Record:
    record = read_record(files[RECORD])
    if set(record.files) != set(files) - {RECORD}:
        raise ValueError(f"{RECORD} lists other files than the archive contains")
    for name, digest in record.files.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ValueError(f"{name} does not have the SHA-256 stated in {RECORD}")
    read_style(files[STYLE])
    if SAMPLE in files and not files[SAMPLE].startswith(FLAC_MAGIC):
        raise ValueError(f"{SAMPLE} is no FLAC")
    if record.consent is not None and record.consent.sample_sha256 != record.sample.sha256:
        raise ValueError("its consent is about another recording")
    return record
