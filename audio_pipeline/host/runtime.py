"""Folders of running pipelines: private, locked by pid and start time, swept when their owner is gone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.strays import end_strays, is_same, started

LOCK = "lock"
TOKEN = "token"
CONTROL = "control"
SOCKET_PATH_MAX = 107  # bytes in the path of a Unix socket
DIGEST = 12
BASE_MAX = 70  # leaves room for a pipeline's folder and a digest
YOUNG_S = 60.0


def base_dir() -> Path:
    """The private folder (0700) that holds one folder a running pipeline. Raises PipelineError if it is not ours."""
    root = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(root) / "audio-pipeline" if root else Path(tempfile.gettempdir()) / f"audio-pipeline-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # something else is there: said below
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be made ({error.strerror}); set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PipelineError(f"{path} must be a folder of yours with mode 0700, so it is not used; remove it")
    return path


@dataclass(frozen=True)
class RunDir:
    """One running pipeline."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def control(self) -> str:
        return f"ipc://{self.path / CONTROL}"

    @property
    def token(self) -> str:
        return (self.path / TOKEN).read_text()

    def endpoint(self, node: str, port: str) -> str:
        """Where a port binds: named for it, or by a digest where the name is too long for a socket's path."""
        path = f"{self.path / node}.{port}"
        if len(path) > SOCKET_PATH_MAX:
            path = str(self.path / hashlib.sha256(f"{node}.{port}".encode()).hexdigest()[:DIGEST])
        return f"ipc://{path}"

    def add_pid(self, pid: int) -> None:
        """Remembers a child, so that the next start can tell leftovers."""
        with (self.path / "pids").open("a") as file:
            file.write(f"{pid} {started(pid)}\n")

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def create(name: str, token: str) -> RunDir:
    """A fresh folder for this process's pipeline; sweeps what dead ones left."""
    base = base_dir()
    if len(str(base)) > BASE_MAX:
        raise PipelineError(f"{base} is too long a path for sockets; set XDG_RUNTIME_DIR to a shorter one")
    sweep()
    tail = f"-{os.getpid()}-"  # mkdtemp adds 8 characters
    room = SOCKET_PATH_MAX - len(str(base)) - len(tail) - 8 - DIGEST - 2
    path = Path(tempfile.mkdtemp(prefix=f"{name[: min(room, 24)]}{tail}", dir=base))
    try:
        _write_private(path / LOCK, json.dumps({"pid": os.getpid(), "started": started(os.getpid())}))
        _write_private(path / TOKEN, token)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return RunDir(path)


def _write_private(path: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise PipelineError(f"{path} cannot be written: {error.strerror or error}") from error


def is_alive(path: Path) -> bool:
    """True while the process that owns the folder lives."""
    try:
        lock = json.loads((path / LOCK).read_bytes())
        return is_same(int(lock["pid"]), float(lock["started"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return False


def running() -> list[RunDir]:
    """Pipelines that run now, oldest first."""
    found = [path for path in base_dir().iterdir() if path.is_dir() and is_alive(path)]
    return [RunDir(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def dead() -> list[Path]:
    """Folders of pipelines that are gone."""
    return [path for path in base_dir().iterdir() if path.is_dir() and not is_alive(path) and not _is_young(path)]


def sweep() -> list[str]:
    """Removes the folders of dead pipelines and ends processes they left; says what it did."""
    done: list[str] = []
    for path in dead():
        done += [f"ended leftover process {pid}" for pid in _end_leftovers(path)]
        shutil.rmtree(path, ignore_errors=True)
        done.append(f"removed {path.name}")
    return done


def _is_young(path: Path) -> bool:
    """True for a folder that another pipeline is just making: it has no lock yet."""
    try:
        return not (path / LOCK).exists() and time.time() - path.stat().st_mtime < YOUNG_S
    except OSError:
        return True  # gone while we looked


def _end_leftovers(path: Path) -> list[int]:
    """The children that it noted, and whatever else bears its mark."""
    ended: list[int] = []
    for pid in _noted(path):
        try:
            os.kill(pid, signal.SIGKILL)
            ended.append(pid)
        except ProcessLookupError:
            continue  # gone meanwhile
    return sorted({*ended, *end_strays(path)})


def _noted(path: Path) -> Iterator[int]:
    pids = path / "pids"
    for line in pids.read_text(errors="replace").splitlines() if pids.exists() else ():
        try:
            pid, since = line.split()
            if is_same(int(pid), float(since)):
                yield int(pid)
        except (ValueError, OverflowError):
            continue  # damaged


def attach(which: str | None = None) -> RunDir:
    """The running pipeline called `which` (name or start of it), or the only one. Raises PipelineError."""
    found = [run for run in running() if which is None or run.name.startswith(which)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(run.name for run in running()) or "none"
    if not found:
        raise PipelineError(f"no running pipeline{f' called {which!r}' if which else ''}; running: {names}")
    raise PipelineError(f"several pipelines run, name one: {names}")
