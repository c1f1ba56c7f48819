"""Folders of running pipelines: private, locked by pid and start time, swept when their owner is gone."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from audio_pipeline.errors import PipelineError

LOCK = "lock"
TOKEN = "token"
CONTROL = "control"


def base_dir() -> Path:
    """The private folder (0700) that holds one folder a running pipeline. Raises PipelineError if it is not ours."""
    root = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(root) / "audio-pipeline" if root else Path(tempfile.gettempdir()) / f"audio-pipeline-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        """Where a port binds; ipc paths hold at most 107 characters."""
        return f"ipc://{self.path / node}.{port}"

    def add_pid(self, pid: int) -> None:
        """Remembers a child, so that the next start can tell leftovers."""
        with (self.path / "pids").open("a") as file:
            file.write(f"{pid} {_started(pid)}\n")

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def create(name: str, token: str) -> RunDir:
    """A fresh folder for this process's pipeline; sweeps what dead ones left."""
    sweep()
    path = Path(tempfile.mkdtemp(prefix=f"{name[:24]}-{os.getpid()}-", dir=base_dir()))
    _write_private(path / LOCK, json.dumps({"pid": os.getpid(), "started": _started(os.getpid())}))
    _write_private(path / TOKEN, token)
    return RunDir(path)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _started(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def is_alive(path: Path) -> bool:
    """True while the process that owns the folder lives."""
    try:
        lock = json.loads((path / LOCK).read_text())
        return _is_same(int(lock["pid"]), float(lock["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_same(pid: int, started: float) -> bool:
    return started > 0 and abs(_started(pid) - started) < 0.05


def running() -> list[RunDir]:
    """Pipelines that run now, oldest first."""
    found = [path for path in base_dir().iterdir() if path.is_dir() and is_alive(path)]
    return [RunDir(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def sweep() -> list[str]:
    """Removes the folders of dead pipelines and ends processes they left; says what it did."""
    done: list[str] = []
    for path in base_dir().iterdir():
        if path.is_dir() and not is_alive(path):
            done += [f"ended leftover process {pid}" for pid in _end_leftovers(path)]
            shutil.rmtree(path, ignore_errors=True)
            done.append(f"removed {path.name}")
    return done


def _end_leftovers(path: Path) -> list[int]:
    ended: list[int] = []
    pids = path / "pids"
    for line in pids.read_text().splitlines() if pids.exists() else ():
        fields = line.split()
        if len(fields) == 2 and fields[0].isdigit() and _is_same(int(fields[0]), float(fields[1])):
            psutil.Process(int(fields[0])).kill()
            ended.append(int(fields[0]))
    return ended


def attach(which: str | None = None) -> RunDir:
    """The running pipeline called `which` (name or start of it), or the only one. Raises PipelineError."""
    found = [run for run in running() if which is None or run.name.startswith(which)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(run.name for run in running()) or "none"
    if not found:
        raise PipelineError(f"no running pipeline{f' called {which!r}' if which else ''}; running: {names}")
    raise PipelineError(f"several pipelines run, name one: {names}")
