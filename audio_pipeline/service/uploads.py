"""Files of users: kept under random ids, decoded once in a process with limits; names are shown and never a path."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from audio_pipeline.errors import ConfigError, MediaError, PipelineError
from audio_pipeline.private_file import write_private
from audio_pipeline.settings import build, setting

ID = re.compile(r"[0-9a-f]{16}")
MODULE = "audio_pipeline.service.decode_main"
WALL_S = 30.0
NAME_MAX = 200
MOST_FILES = 1_000
ABOUT, PART, SUFFIX = "about.json", ".part-", ".flac"
FREE_BYTES = 1 << 30  # of the disk that uploads leave alone
TOO_LONG = f"takes longer than {WALL_S:g} s to decode"


@dataclass(frozen=True)
class Upload:
    """One file as its user sees it."""

    id: str = setting(doc="names it in `file:ID`")
    name: str = setting(doc="as its user called it")
    seconds: float = setting(doc="length", unit="s")
    rate: int = setting(doc="sample rate", unit="Hz")
    channels: int = setting(doc="how many")


class Uploads:
    """A folder of them. Calls block: they belong into a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"{PART}*"):  # of a process that died in the middle
            with suppress(OSError):
                left.unlink()

    def part(self) -> Path:
        """A new, empty file for the raw bytes of an upload. Raises PipelineError where there is no place."""
        if len(self.all()) >= MOST_FILES:
            raise PipelineError(f"there are {MOST_FILES} files already; delete some")
        if shutil.disk_usage(self._folder).free < FREE_BYTES:
            raise PipelineError("the disk of the service is full; delete some files or takes")
        path = self._folder / f"{PART}{secrets.token_hex(8)}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return path

    def take_in(self, part: Path, name: str) -> Upload:
        """Decodes what was uploaded and keeps the sound. Raises MediaError."""
        decoded = self._folder / f"{PART}{secrets.token_hex(8)}"
        decoded.mkdir(mode=0o700)
        try:
            number = secrets.token_hex(8)
            about = {**_decoded(part, decoded / f"{number}{SUFFIX}"), "name": shown_name(name), "id": number}
            upload = build(Upload, about, ("file",))
            write_private(decoded / ABOUT, json.dumps(asdict(upload)).encode())
            os.rename(decoded, self._folder / upload.id)
        except BaseException:
            shutil.rmtree(decoded, ignore_errors=True)
            raise
        finally:
            part.unlink(missing_ok=True)
        return upload

    def all(self) -> list[Upload]:
        """Newest last."""
        folders = [path for path in self._folder.iterdir() if ID.fullmatch(path.name)]
        found = [self._read(path) for path in sorted(folders, key=lambda path: path.stat().st_mtime)]
        return [upload for upload in found if upload is not None]

    def path(self, number: str) -> Path:
        """The sound of an upload. Raises ConfigError."""
        folder = self._folder / number
        if not ID.fullmatch(number) or self._read(folder) is None:
            raise ConfigError(f"file:{number[:40]}: there is no such file")
        return folder / f"{number}{SUFFIX}"

    def known(self, path: str) -> Upload | None:
        """The upload whose sound lies at a path, or is called so."""
        number = Path(path).stem
        return self._read(self._folder / number) if ID.fullmatch(number) and path.endswith(SUFFIX) else None

    def delete(self, number: str) -> bool:
        """False where there is none. A session that plays it has it open, and plays on."""
        if not ID.fullmatch(number) or not (self._folder / number).is_dir():
            return False
        shutil.rmtree(self._folder / number, ignore_errors=True)
        return True

    @staticmethod
    def _read(folder: Path) -> Upload | None:
        try:
            return build(Upload, json.loads((folder / ABOUT).read_bytes()), ("file",))
        except (OSError, ValueError, RecursionError, ConfigError):
            return None


def shown_name(name: str) -> str:
    """A user's name for people: one line, no control characters.

    >>> shown_name("../../etc/passwd"), shown_name("a\\nb\\x1b[2J"), shown_name("")
    ('../../etc/passwd', 'ab[2J', 'untitled')
    """
    return "".join(character for character in name if character.isprintable())[:NAME_MAX].strip() or "untitled"


def _decoded(part: Path, target: Path) -> dict[str, object]:
    """Runs the decoder; what it said of the sound. Raises MediaError."""
    number = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with part.open("rb") as source:
            done = subprocess.run(
                [sys.executable, "-m", MODULE],
                stdin=source,
                stdout=number,
                stderr=subprocess.PIPE,
                timeout=WALL_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise MediaError(TOO_LONG) from None
    finally:
        os.close(number)
    found = _last_line(done.stderr)
    if done.returncode != 0 or "error" in found:
        raise MediaError(str(found.get("error", TOO_LONG if done.returncode < 0 else "cannot be decoded")))
    return found


def _last_line(text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text.strip().rsplit(b"\n", 1)[-1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
