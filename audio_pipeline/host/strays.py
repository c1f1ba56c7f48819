"""Processes that belong to a pipeline, known by a mark in their environment, also when their parents are gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from audio_pipeline.host.lock import is_held
from audio_pipeline.host.processes import here, is_same, sees_processes, started
from audio_pipeline.private_file import write_whole

MARK = "AUDIO_PIPELINE_RUN"  # inherited by all that a node starts
PIDS = "pids"
PASSES = 5  # a process may start others while it is being ended


@dataclass(frozen=True)
class Stray:
    """A process that nobody looks after any more."""

    pid: int
    name: str
    run: str  # of which pipeline


@dataclass(frozen=True)
class Mark:
    """Whose a process is: `pid:started:here:number:folder`."""

    pid: int  # of the supervisor
    started: float
    here: str  # the boot and PID namespace that the id belongs to
    number: int  # of the supervisor's child that it comes from
    folder: Path

    def __str__(self) -> str:
        return f"{self.pid}:{self.started}:{self.here}:{self.number}:{self.folder}"

    @classmethod
    def parsed(cls, text: str) -> Mark | None:
        parts = text.split(":", 4)
        try:
            return cls(int(parts[0]), float(parts[1]), parts[2], int(parts[3]), Path(parts[4]))
        except (ValueError, IndexError):
            return None


def mark(folder: Path, number: int = 0) -> dict[str, str]:
    """The environment of child `number` of this supervisor."""
    return {MARK: str(Mark(os.getpid(), started(os.getpid()), here(), number, folder))}


def strays(base: Path) -> Iterator[Stray]:
    """Marked processes of ours that nobody looks after; never one that is above us.

    `base` is the folder of the runtime folders: pipelines with another one are not our business.
    """
    for process, found in _marked(base):
        with contextlib.suppress(psutil.Error, OSError):
            if _is_stray(process, found):
                yield Stray(process.pid, process.name(), found.folder.name)


def end_strays(folder: Path, number: int | None = None) -> list[int]:
    """Ends what is left of the pipeline with this runtime folder, or of its child `number`; the ids."""
    ended: list[int] = []
    for _ in range(PASSES):
        found = list(_left(folder, number))
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
    return sorted(set(ended))


def _left(folder: Path, number: int | None) -> Iterator[int]:
    for process, found in _marked(folder.parent):
        with contextlib.suppress(psutil.Error, OSError):
            if found.folder == folder and (found.number == number if number else _is_stray(process, found)):
                yield process.pid


def _marked(base: Path) -> Iterator[tuple[psutil.Process, Mark]]:
    """Processes of ours with a mark of a pipeline below `base`."""
    if not sees_processes():
        return
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            text = process.environ().get(MARK, "") if process.uids().real == os.getuid() else ""
            found = Mark.parsed(text) if text and process.pid not in spared else None
            if found and found.folder.parent == base and process.status() != psutil.STATUS_ZOMBIE:
                yield process, found
        except (psutil.Error, OSError):
            continue  # it ended just now, or is not ours to see


def _is_stray(process: psutil.Process, found: Mark) -> bool:
    """True where the supervisor is dead, or lives but the child is gone that the process comes from.

    Ids of another PID namespace mean nothing here: there the lock on the folder decides.
    """
    if found.here != here():
        return found.folder.is_dir() and not is_held(found.folder)
    if not is_same(found.pid, found.started):
        return True
    child = noted(found.folder).get(found.number)  # orphans are below it where it is PID 1 or a subreaper
    if child is not None and not is_same(*child):
        return True
    above = {process.pid, *(parent.pid for parent in process.parents())}
    return found.pid not in above and (child is None or child[0] not in above)  # a worker of the host's pool


def note(folder: Path, pids: Mapping[int, int]) -> None:
    """Writes down the supervisor's children by number, so that the next start finds leftovers. Raises OSError."""
    text = "".join(f"{number} {pid} {started(pid)}\n" for number, pid in pids.items())
    write_whole(folder / PIDS, text, mode=0o600, sync=False)  # a power cut ends the processes as well


def noted(folder: Path) -> dict[int, tuple[int, float]]:
    """The children that a supervisor wrote down: id and start by number."""
    found: dict[int, tuple[int, float]] = {}
    try:
        lines = (folder / PIDS).read_text(errors="replace", encoding="utf-8").splitlines()
    except OSError:
        return found
    for line in lines:
        with contextlib.suppress(ValueError, OverflowError):  # damaged
            number, pid, since = line.split()
            if int(pid) > 0:
                found[int(number)] = int(pid), float(since)
    return found
