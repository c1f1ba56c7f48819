"""The services of the host that run just now: what each holds, who uses it, and how one is ended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import ConfigError
from audio_pipeline.host.lock import LOCK, owner_of
from audio_pipeline.host.processes import is_same
from audio_pipeline.serving.service import ACCESS, MOST_STATUS_BYTES, STATUS, Status, is_locked, services_folder
from audio_pipeline.settings import build

GONE_S = 2.0  # for one that nobody can find any more to end by itself
TICK_S = 0.05


@dataclass(frozen=True)
class RunningService:
    """One process that several pipelines share."""

    folder: Path
    pid: int | None  # None: it lives in another PID namespace
    status: Status

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def is_running(self) -> bool:
        return is_locked(self.folder / LOCK)

    def end(self) -> bool:
        """Takes it off, so that no new user finds it, then ends the process unless it has gone by itself.

        False where it lives in another PID namespace and still has users.
        """
        (self.folder / ACCESS).unlink(missing_ok=True)
        if self.status.users or not self._gone():
            self._kill()
        return self._gone()

    def _kill(self) -> None:
        owner = owner_of(self.folder / LOCK)
        if self.pid is not None and owner is not None and is_same(*owner):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _gone(self) -> bool:
        until_s = time.monotonic() + GONE_S
        while self.is_running and time.monotonic() < until_s:
            time.sleep(TICK_S)
        return not self.is_running


def running_services() -> Iterator[RunningService]:
    """Every service of this user that holds its lock. Raises PipelineError."""
    for folder in sorted(services_folder().glob("*")):  # none where no service was ever started
        if is_locked(folder / LOCK):
            owner = owner_of(folder / LOCK)
            yield RunningService(folder, owner[0] if owner and is_same(*owner) else None, _status(folder / STATUS))


def service_named(name: str) -> RunningService:
    """A running service by name. Raises ConfigError."""
    found = {service.name: service for service in running_services()}
    if name not in found:
        raise ConfigError(f"no service of the host is called {name!r}; running: {', '.join(found) or 'none'}")
    return found[name]


def _status(path: Path) -> Status:
    try:
        with path.open("rb") as file:
            return build(Status, json.loads(file.read(MOST_STATUS_BYTES)))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, ConfigError):
        return Status("nothing yet")  # it is starting
