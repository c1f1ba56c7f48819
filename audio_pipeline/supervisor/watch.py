"""Looks at the nodes' processes from outside: CPU, memory, starts that do not end, loops that do not turn."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import psutil

from audio_pipeline.host.processes import children
from audio_pipeline.supervisor.records import NodeRecord, Process

OFFLINE_HANG_S = 60.0  # where a step may be a whole inference of 12 s of sound on a busy machine
WORST_STEPS = 3
SAMPLE_S = 1.0
MEMORY_S = 0.25  # how often a process with a cap is looked at
MB = 1e6
MOST_KNOWN = 2_000  # processes, those that are gone included


class Usage:
    """CPU and memory of processes and of all that they started."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}

    @property
    def pids(self) -> frozenset[int]:
        """Those that are known."""
        return frozenset(self._processes)

    def cpu(self, pid: int) -> float:
        """Share of one core since the last call; 0 for one that is gone."""
        try:
            return float(self._process(pid).cpu_percent() / 100)
        except (psutil.Error, OSError):  # it is gone, or there is no file to be opened just now
            self._processes.pop(pid, None)
            return 0.0

    def keep(self, pids: Collection[int]) -> None:
        """Forgets all others: each restart is another process."""
        self._processes = {pid: process for pid, process in self._processes.items() if pid in pids}

    def rss_mb(self, pid: int) -> float:
        """Resident memory, with all that it started; 0 for one that is gone."""
        return sum(map(_rss, family(pid))) / MB

    def _process(self, pid: int) -> psutil.Process:
        if len(self._processes) > MOST_KNOWN:
            self._processes.clear()  # most of them are gone; the others begin to be measured anew
        if pid not in self._processes:
            self._processes[pid] = psutil.Process(pid)
        return self._processes[pid]


def family(pid: int) -> Iterator[int]:
    """A process and all its descendants, without a look at every process of the host where the kernel knows them."""
    todo = [pid]
    while todo:
        parent = todo.pop()
        yield parent
        todo += children(parent)


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return 0  # it ended just now


def by_child(records: Iterable[NodeRecord]) -> list[tuple[Process, list[NodeRecord]]]:
    """The nodes of each process that lives."""
    found: dict[int, tuple[Process, list[NodeRecord]]] = {}
    for record in records:
        if record.child is not None:
            found.setdefault(id(record.child), (record.child, []))[1].append(record)
    return list(found.values())


def share_cpu(records: Sequence[NodeRecord], cpu: float, boards: Sequence[Mapping[str, float]]) -> None:
    """Divides the CPU of a process among its nodes by the time that their turns took."""
    busy = [max(board.get("busy_ns", 0) - record.busy_ns, 0) for record, board in zip(records, boards, strict=True)]
    for record, board, mine in zip(records, boards, busy, strict=True):
        record.busy_ns = board.get("busy_ns", 0)
        record.cpu = cpu * mine / sum(busy) if sum(busy) else cpu / len(records)


def late_start(record: NodeRecord, fellows: Sequence[NodeRecord], now_s: float) -> str:
    """Why a process that starts is given up, or an empty string: its nodes open one after the other."""
    allowed_s = sum(fellow.start_s for fellow in fellows)
    return f"did not start within {allowed_s:g} s" if now_s - record.started_s > allowed_s else ""


def hangs(record: NodeRecord, board: Mapping[str, float], now_ns: int, *, live: bool, alone: bool) -> str:
    """Why a process that runs is given up, or an empty string.

    The limit is that of its kind, and at least three times the longest turn that was seen. In a group the others
    hang as well; the one whose turn it is is to blame.
    """
    least_s = record.spec.cls.hang_s if live else OFFLINE_HANG_S
    if time.monotonic() - record.started_s < least_s:
        return ""
    beat, worst = board.get("beat_ns", 0), board.get("worst_step_ns", 0)
    silent_ns = now_ns - beat
    if not beat or silent_ns <= max(least_s * 1e9, WORST_STEPS * worst):
        return ""
    if not alone and not board.get("in_turn", 0) and silent_ns < 2 * max(least_s * 1e9, WORST_STEPS * worst):
        return ""
    return "hung: its loop did not turn"


def over_cap(records: Sequence[NodeRecord], usage: Usage, pid: int) -> Iterator[str]:
    """Says that a process and what it started hold more memory than they may."""
    caps = [record.spec.keys.memory_mb for record in records if record.spec.keys.memory_mb is not None]
    for cap in caps[:1]:
        held = usage.rss_mb(pid)
        if held > cap:
            yield f"memory cap {cap:g} MB exceeded: {held:.0f} MB"
