"""A chain of ten light nodes as ten processes and as one group: CPU, wake-ups and time from end to end.

    python benchmarks/groups.py                    ten nodes, 2 rounds of 5 s each way
    python benchmarks/groups.py --nodes 5 --seconds 20 --rounds 3

Frames of 3,840 bytes every 10 ms. The ways take turns, so that a machine that gets slower meanwhile makes none look
bad; what counts is the ratio. CPU and wake-ups are of the nodes' processes, without the supervisor.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio_pipeline import Options, Pipeline

sys.path.insert(0, str(Path(__file__).resolve().parent))
from links_chains import HERE, START_S, until
from links_usage import Usage, usage

SETTLE_S = 1.0
WAYS = {"a process each": "", "one group": ", process: light"}


@dataclass
class Chain:
    """What one way of running the chain took, over all rounds."""

    cpu: list[float] = field(default_factory=list)  # share of one core
    wakes: list[float] = field(default_factory=list)  # context switches a second
    chain_ms: list[float] = field(default_factory=list)  # from the first node to the last, each frame


def measure(chain: Chain, nodes: int, seconds: float, keys: str) -> None:
    """Runs the chain once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chain.yaml"
        file.write_text(_pipeline(nodes, keys), encoding="utf-8")
        with Pipeline.load(file, options=Options(folder=folder, report=False)) as pipeline:
            until(lambda: pipeline.state().meters.uptime_s > 0, "the chain runs", START_S)
            time.sleep(SETTLE_S)
            _watch(chain, {node.pid for node in pipeline.state().meters.nodes.values() if node.pid}, seconds)
        sent = {int(number): at for number, at in np.load(Path(folder) / "sent0.npy")}
        arrived = np.load(Path(folder) / "arrived.npy")
    chain.chain_ms += [(row[1] - sent[int(row[0])]) / 1e6 for row in arrived if int(row[0]) in sent]


def _pipeline(nodes: int, keys: str) -> str:
    lines = [f"n0: {{kind: bench_tone{keys}}}"]
    lines += [f"n{i}: {{kind: bench_pass, in: n{i - 1}{keys}}}" for i in range(1, nodes - 1)]
    lines += [f"n{nodes - 1}: {{kind: bench_probe, in: n{nodes - 2}{keys}}}"]
    head = f"version: 1\nrate: 48000\nframe_ms: 10\nnode_paths: [{HERE / 'links_kinds'}]\nnodes:\n"
    return head + "".join(f"  {line}\n" for line in lines)


def _watch(chain: Chain, pids: set[int], seconds: float) -> None:
    before, began = _usage(pids), time.monotonic()
    time.sleep(seconds)
    used, took_s = _usage(pids) - before, time.monotonic() - began
    chain.cpu.append(used.cpu_ns / took_s / 1e9)
    chain.wakes.append(used.switches / took_s)


def _usage(pids: set[int]) -> Usage:
    each = [usage(pid) for pid in pids]
    return Usage(sum(one.cpu_ns for one in each), sum(one.switches for one in each))


def _line(name: str, chain: Chain) -> str:
    p50, p99, top = np.quantile(chain.chain_ms, [0.5, 0.99, 1.0])
    return (
        f"{name:16} {100 * np.median(chain.cpu):5.1f} % of a core, {np.median(chain.wakes):6.0f} switches/s, "
        f"chain p50 {p50:.2f} p99 {p99:.2f} max {top:.2f} ms ({len(chain.chain_ms)} frames)"
    )


def main() -> int:
    """Prints a line a way and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    ways = {name: Chain() for name in WAYS}
    for turn in range(args.rounds):
        for name in list(WAYS) if turn % 2 == 0 else reversed(list(WAYS)):
            measure(ways[name], args.nodes, args.seconds, WAYS[name])
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}; {args.nodes} nodes"
    )
    for name, chain in ways.items():
        print(_line(name, chain))
    each, group = ways.values()
    print(
        f"group : processes  CPU {np.median(group.cpu) / np.median(each.cpu):.2f}, switches "
        f"{np.median(group.wakes) / np.median(each.wakes):.2f}, chain p50 "
        f"{np.median(group.chain_ms) / np.median(each.chain_ms):.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
