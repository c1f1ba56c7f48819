"""The folder of a session: what it was asked to be, whether it lives, its lease and its takes.

    job.json     what it runs; written by whoever creates it
    status.json  what it does; written by the session alone
    lease        renewed by a change of its time stamp while somebody is connected
    lock         held by the session for as long as it lives
    takes/       a folder a take

A service that starts finds every session again by these folders alone.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.host.lock import is_held
from audio_pipeline.private_file import write_private
from audio_pipeline.service.session.lease import END_S
from audio_pipeline.settings import build, setting

ID = re.compile(r"[0-9a-f]{16}")
MOST_BYTES = 1 << 20
STARTING, PLAYING, PAUSED, ENDING, ENDED, FAILED = STATES = (
    "starting",
    "playing",
    "paused",
    "ending",
    "ended",
    "failed",
)
OVER = (ENDED, FAILED)
LOST = "its process is gone"


@dataclass(frozen=True)
class SessionJob:
    """What a session runs."""

    config: str = setting(doc="a pipeline of the catalogue")
    path: str = setting(doc="of its file")
    overrides: dict[str, Any] = setting(dict, "keys of the file with their values")
    label: str = setting("", "for people")
    owner: str = setting("", "who created it")
    lease_s: float = setting(END_S, "without anybody, before it ends; 0: never", unit="s", minimum=0, maximum=86_400)
    created_s: float = setting(0.0, "Unix time")
    pinned: bool = setting(False, "the service itself holds it while it runs")


@dataclass(frozen=True)
class SessionStatus:
    """What a session does."""

    state: str = setting(STARTING, choices=STATES)
    run: str = setting("", "runtime folder of its pipeline")
    pid: int = setting(0, "of its process")
    error: str = setting("", "why it failed, one sentence")

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class SessionFolder:
    """One session on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, sessions: Path, job: SessionJob) -> SessionFolder:
        """A new folder with its job. Raises PipelineError where it cannot be made."""
        folder = cls(sessions / secrets.token_hex(8))
        try:
            folder.takes.mkdir(mode=0o700, parents=True)
            os.chmod(folder.path, 0o700)
            write_private(folder.path / "job.json", json.dumps(asdict(job)).encode())
            folder.renew()
        except OSError as error:
            raise PipelineError(f"{folder.path} cannot be made: {error.strerror or error}") from error
        return folder

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def takes(self) -> Path:
        return self.path / "takes"

    @property
    def log(self) -> Path:
        """What its process printed."""
        return self.path / "log"

    @property
    def lease(self) -> Path:
        return self.path / "lease"

    def job(self) -> SessionJob:
        """Raises PipelineError for a file that is missing or damaged."""
        try:
            return build(SessionJob, _read(self.path / "job.json"), ("job",))
        except (OSError, ValueError, RecursionError, ConfigError) as error:
            raise PipelineError(f"{self.path / 'job.json'} cannot be used: {error}") from error

    @property
    def is_alive(self) -> bool:
        """True while the session's process lives, whoever started it."""
        return is_held(self.path)

    def status(self) -> SessionStatus:
        """What it wrote last; a session whose process died without a last message has failed."""
        status = self._written()
        if status is None:
            return SessionStatus()
        if not status.is_over and not self.is_alive:
            status = self._written() or status  # it may have ended between the two
            return status if status.is_over else SessionStatus(FAILED, status.run, status.pid, LOST)
        return status

    def _written(self) -> SessionStatus | None:
        try:
            return build(SessionStatus, _read(self.path / "status.json"), ("status",))
        except (OSError, ValueError, RecursionError, ConfigError):
            return None

    def write_status(self, status: SessionStatus) -> None:
        """Raises OSError."""
        write_private(self.path / "status.json", json.dumps(asdict(status)).encode())

    def renew(self) -> None:
        """Somebody is connected."""
        with suppress(OSError):  # it was deleted, or the disk is full: then the session ends
            self.lease.touch(mode=0o600)

    def lease_stamp(self) -> int:
        """Changes with each renewal; 0 where there is no such file."""
        try:
            return self.lease.stat().st_mtime_ns
        except OSError:
            return 0


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return json.loads(file.read(MOST_BYTES))


def session_folders(sessions: Path) -> Iterator[SessionFolder]:
    """Every session below a folder, oldest first."""
    with suppress(OSError):
        found = [path for path in sessions.iterdir() if ID.fullmatch(path.name) and path.is_dir()]
        yield from map(SessionFolder, sorted(found, key=_made))


def _made(path: Path) -> float:
    try:
        return (path / "job.json").stat().st_mtime
    except OSError:
        return 0.0
