"""One round of one chain: what each frame took, what each process used, and how calm the machine was meanwhile."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from links_chains import HERE, Chain
from links_usage import Usage, usage

Numbers = np.ndarray[Any, np.dtype[np.float64]]
WARM_S = 1.0


@dataclass
class Round:
    """Times in ms."""

    took: Numbers  # from the node that made a frame to that at the end of the chain, a frame each
    hop: Numbers  # from the last node but one to the last
    link: Numbers  # of that hop, what lies between the link's two ends; empty where a hop is nothing but its link
    jitter: Numbers  # how late a process that only sleeps woke
    lost: int
    cpu: dict[str, float]  # share of a core by process
    switches: dict[str, float]  # context switches a frame


@dataclass
class Result:
    """All rounds of one chain."""

    name: str
    nodes: int
    rounds: list[Round] = field(default_factory=list)

    @property
    def took(self) -> Numbers:
        return np.concatenate([one.took for one in self.rounds])

    @property
    def hop(self) -> Numbers:
        return np.concatenate([one.hop for one in self.rounds])

    @property
    def link(self) -> Numbers:
        return np.concatenate([one.link for one in self.rounds])

    @property
    def jitter(self) -> Numbers:
        return np.concatenate([one.jitter for one in self.rounds])

    def cpu(self) -> float:
        """Share of a core that a node uses, in %, on average."""
        return 100 * float(np.mean([share for one in self.rounds for share in _nodes(one.cpu)]))

    def others_cpu(self) -> float:
        """Share of a core of what is no node (a daemon, a server), in %."""
        return 100 * float(np.mean([sum(one.cpu.values()) - sum(_nodes(one.cpu)) for one in self.rounds]))

    def switches(self) -> float:
        """Context switches a frame and node."""
        return float(np.mean([each for one in self.rounds for each in _nodes(one.switches)]))


def _nodes(by_name: dict[str, float]) -> list[float]:
    return [value for name, value in by_name.items() if name[0] == "n"]


def measure(chain: Chain, count: int, seconds: float) -> Round:
    """Lets a chain of `count` processes run for so long after a second to warm up."""
    with tempfile.TemporaryDirectory(prefix="links-") as name:
        folder = Path(name)
        with chain(folder, count) as pids:
            time.sleep(WARM_S)
            jitter = subprocess.Popen([sys.executable, HERE / "links_jitter.py", str(seconds), folder / "jitter.npy"])
            before, begin_ns = {name: usage(pid) for name, pid in pids.items()}, time.monotonic_ns()
            time.sleep(seconds)
            used, end_ns = {name: usage(pid) - before[name] for name, pid in pids.items()}, time.monotonic_ns()
            jitter.wait()
        nodes = Counter(pids.values())  # of each process: what it used is shared out to its nodes
        shared = {name: used[name].shared(nodes[pid]) for name, pid in pids.items()}
        return _round(folder, count, shared, begin_ns, end_ns)


def _round(folder: Path, count: int, used: dict[str, Usage], begin_ns: int, end_ns: int) -> Round:
    rows = np.load(folder / "arrived.npy")
    made, handed = _by_number(folder / "sent0.npy"), _by_number(folder / f"sent{count - 2}.npy")
    begin = next((number for number, at in made.items() if at >= begin_ns), 0)
    rows = rows[(rows[:, 0] >= begin) & (rows[:, 1] <= end_ns)]
    rows = rows[[number in made and number in handed for number in rows[:, 0].tolist()]]  # the rest stands for a loss
    if len(rows) < 2:
        raise RuntimeError("no frames arrived")
    frames, wall_ns = len(rows), end_ns - begin_ns
    lost = int(rows[-1, 0] - rows[0, 0] + 1 - frames)
    return Round(
        _since(rows, made),
        _since(rows, handed),
        (rows[:, 1] - rows[:, 2]) / 1e6 if rows.shape[1] > 2 else np.zeros(0),
        np.load(folder / "jitter.npy") / 1e6,
        lost,
        {name: each.cpu_ns / wall_ns for name, each in used.items()},
        {name: each.switches / frames for name, each in used.items()},
    )


def _by_number(file: Path) -> dict[int, int]:
    """When each frame was handed over."""
    return {number: at for number, at, *_ in np.load(file).tolist()}


def _since(rows: Any, times: dict[int, int]) -> Numbers:
    return np.array([arrived - times[number] for number, arrived, *_ in rows.tolist()]) / 1e6
