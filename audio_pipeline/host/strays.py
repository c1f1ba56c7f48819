"""Processes that belong to a pipeline, known by a mark in their environment, also when their parents are gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "AUDIO_PIPELINE_RUN"  # "pid:started:folder" of the supervisor; inherited by all that a node starts
TICK = 0.05


@dataclass(frozen=True)
class Stray:
    """A process that nobody looks after any more."""

    pid: int
    name: str
    run: str  # of which pipeline


def started(pid: int) -> float:
    """When a process started, 0 if it is not there: where /proc tells, in ticks since boot, whatever the clock says."""
    try:
        if Path("/proc/self/stat").exists():
            return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, OSError, IndexError):
        return 0.0


def is_same(pid: int, since: float) -> bool:
    """True while the process lives that had this id then."""
    return since > 0 and abs(started(pid) - since) < TICK


def mark(folder: Path) -> dict[str, str]:
    """The environment of whatever this supervisor starts."""
    return {MARK: f"{os.getpid()}:{started(os.getpid())}:{folder}"}


def strays(base: Path) -> Iterator[Stray]:
    """Marked processes of ours whose supervisor is dead, or is not above them; never one that is above us.

    `base` is the folder of the runtime folders: pipelines with another one are not our business.
    """
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            said = process.environ().get(MARK, "") if process.uids().real == os.getuid() else ""
            if said and process.pid not in spared and process.status() != psutil.STATUS_ZOMBIE:
                yield from _judge(process, said, base)
        except (psutil.Error, OSError):
            continue  # it ended just now, or is not ours to see


def end_strays(folder: Path) -> list[int]:
    """Ends what is left of the pipeline with this runtime folder; the ids."""
    ended = []
    for stray in strays(folder.parent):
        if stray.run == folder.name:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray.pid, signal.SIGKILL)
                ended.append(stray.pid)
    return ended


def _judge(process: psutil.Process, said: str, base: Path) -> Iterator[Stray]:
    pid, _, rest = said.partition(":")
    since, _, folder = rest.partition(":")
    try:
        owner, known = int(pid), float(since)
    except ValueError:
        return
    if Path(folder).parent != base:
        return
    lives = is_same(owner, known)
    if not lives or owner not in {parent.pid for parent in process.parents()}:
        yield Stray(process.pid, process.name(), Path(folder).name)
