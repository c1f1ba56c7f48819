"""How quick and how busy this machine is: `python -m tests.machine` says it before what runs in real time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from audio_pipeline.host.machine import cores, processor

TURNS = 200_000
REFERENCE_MS = 23.4  # for so many turns; the machine that the numbers in docs/benchmarks.md are of
SLEEP_S, LOOKS = 0.005, 200


class Watched:
    """What became of the processor's time since this was made."""

    def __init__(self) -> None:
        self._all, self._idle = _ticks()
        self._ours = _ours_s()

    def others(self) -> float:
        """Share of all cores that other programs had, or other taps of the same hardware (steal)."""
        total, idle = _ticks()
        spent, unused = total - self._all, idle - self._idle
        ours = (_ours_s() - self._ours) * os.sysconf("SC_CLK_TCK")
        return max(spent - unused - ours, 0.0) / spent if spent > 0 else 0.0


def _ticks() -> tuple[float, float]:
    """All ticks of all cores so far, and those in which a core had nothing to do."""
    fields = [float(field) for field in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


def _ours_s() -> float:
    """CPU time of this process and of everything it started, dead or alive."""
    spent = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            spent += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return spent


def turns_ms() -> float:
    """The best of some tries at a fixed piece of work of one core."""
    tries = []
    for _ in range(9):
        began = time.perf_counter()
        total = 0
        for i in range(TURNS):
            total += i * i
        tries.append(time.perf_counter() - began)
    return 1000 * min(tries)


def late_ms() -> float:
    """By how much a bare sleep is late, at the 99th percentile."""
    late = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        time.sleep(SLEEP_S)
        late.append(time.perf_counter() - began - SLEEP_S)
    return 1000 * sorted(late)[int(0.99 * LOOKS)]


def line() -> str:
    """The machine in one line."""
    watched, late, quick = Watched(), late_ms(), REFERENCE_MS / turns_ms()
    busy = f"load {os.getloadavg()[0]:.1f}, others have {watched.others():.0%} of it, a sleep is {late:.1f} ms late"
    return f"{processor()}, {cores()} cores: a core is {quick:.0%} as quick as the reference; {busy} (p99)"


if __name__ == "__main__":
    print(line())
