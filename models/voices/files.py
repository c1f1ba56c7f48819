"""Folders of voices on disk: written whole or not at all, one writer at a time, private.

A voice's folder is called `ID-REVISION`; a new revision is a new folder, and the highest counts. What a crash leaves
is a folder with another beginning, or an old revision; the next writer removes both.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.home import DATA
from audio_pipeline.private_file import locked

NEW, GONE = ".new-", ".gone-"
WORK, CACHE = ".work-", ".cache-"  # a folder a voice, which goes with it
FOLDER = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,8})")


def latest(base: Path) -> dict[str, Path]:
    """The folder of each voice by id. Raises ConfigError where the base is no folder, or not ours to read."""
    found: dict[str, tuple[int, Path]] = {}
    for name in _names(base):
        match = FOLDER.fullmatch(name)
        if match and int(match[2]) > found.get(match[1], (0, base))[0]:
            found[match[1]] = int(match[2]), base / name
    return {id_: path for id_, (_, path) in found.items()}


def read(path: Path, most: int, *, follow: bool = False) -> bytes:
    """A regular file of at most so many bytes; a link only with `follow`. Raises OSError, or ValueError saying what
    is wrong with it. A FIFO or a device is refused at once: it is opened without waiting for a writer."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"is larger than {most} bytes")
    return data


@contextmanager
def writing(base: Path) -> Iterator[None]:
    """Alone with the folder among all processes; leftovers of crashes are removed first. Raises PipelineError."""
    with _errors_of_voices(base), locked(base):
        _sweep(base)
        yield


def check_writable(base: Path) -> None:
    """Raises PipelineError where no folder can be made in it."""
    with writing(base):
        os.rmdir(tempfile.mkdtemp(prefix=NEW, dir=base))


def put(base: Path, folder: str, files: Mapping[str, bytes]) -> None:
    """Makes a folder of these files, all at once. Raises OSError and leaves nothing."""
    scratch = Path(tempfile.mkdtemp(prefix=NEW, dir=base))  # mode 0700
    try:
        for name, data in files.items():
            _write(scratch / name, data)
        _sync(scratch)
        os.rename(scratch, base / folder)
        _sync(base)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def write(path: Path, data: bytes) -> None:
    """Puts one file in place, all at once. Raises OSError."""
    scratch = Path(tempfile.mkdtemp(prefix=NEW, dir=path.parent))
    try:
        _write(scratch / path.name, data)
        os.rename(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove(base: Path, path: Path) -> None:
    """Removes a folder: no longer there from the first moment on."""
    aside = Path(tempfile.mkdtemp(prefix=GONE, dir=base))
    os.rename(path, aside / path.name)
    shutil.rmtree(aside)


def remove_all(base: Path, id_: str) -> None:
    """Removes everything there is of a voice: the newest first, since that is what is seen."""
    ours = sorted((base / name for name in _names(base) if name.startswith(id_)), key=_revision, reverse=True)
    for path in ours:
        remove(base, path)
    for kind in (WORK, CACHE):
        shutil.rmtree(own_folder(base, kind, id_), ignore_errors=True)


def own_folder(base: Path, kind: str, id_: str) -> Path:
    """A voice's folder of that kind."""
    return base / f"{kind}{id_}"


def _revision(path: Path) -> int:
    match = FOLDER.fullmatch(path.name)
    return int(match[2]) if match else 0


def _names(base: Path) -> list[str]:
    try:
        return os.listdir(base)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"the voices' folder {str(base)!r} cannot be read: {DATA.why(error)}") from error


def _sweep(base: Path) -> None:
    keep = {path.name for path in latest(base).values()}
    ids = {name.partition("-")[0] for name in keep}
    for name in _names(base):
        old = FOLDER.fullmatch(name) is not None and name not in keep
        orphan = name.startswith((WORK, CACHE)) and name.rpartition("-")[2] not in ids
        if old or orphan or name.startswith((NEW, GONE)):
            shutil.rmtree(base / name, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _errors_of_voices(base: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PipelineError(f"the voices in {base} cannot be written: {DATA.why(error)}") from error
