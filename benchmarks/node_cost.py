"""CPU that a node costs beside its own work: chains of nodes that do nothing, at the pace of sound.

    python benchmarks/node_cost.py                 chains of 5 nodes, 3 rounds of 10 s
    python benchmarks/node_cost.py --markdown      the table of docs/benchmarks/cost.md

Frames of 3,840 bytes every 10 ms. *engine* is a pipeline with a process a node, *grouped* the same with
`process: auto`, *pyzmq* a bare PUSH and PULL chain. All of them run **at the same time**, on the same cores and in the
same seconds: what slows one down, a neighbour on the machine say, slows down all. Counted are all threads of the nodes'
processes, ZeroMQ's among them; the supervisor is none of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from links_chains import Chain, bare_zmq, engine, grouped
from links_report import Rows, machine, markdown, text
from links_stage import PERIOD_NS
from links_usage import Usage, usage

CHAINS: dict[str, Chain] = {"engine": engine, "grouped": grouped, "pyzmq": bare_zmq}
SETTLE_S = 2.0
BARE = "pyzmq"


def measure(count: int, seconds: float) -> tuple[dict[str, Usage], int]:
    """What a node of each chain used, on average, and in how many ns."""
    with tempfile.TemporaryDirectory(prefix="cost-") as folder, ExitStack() as running:
        pids: dict[str, Counter[int]] = {}
        for name, chain in CHAINS.items():
            place = Path(folder) / name
            place.mkdir()
            pids[name] = Counter(running.enter_context(chain(place, count)).values())
        time.sleep(SETTLE_S)
        before, begin_ns = {name: _used(found) for name, found in pids.items()}, time.monotonic_ns()
        time.sleep(seconds)
        after, end_ns = {name: _used(found) for name, found in pids.items()}, time.monotonic_ns()
    return {name: (after[name] - before[name]).shared(count) for name in pids}, end_ns - begin_ns


def _used(pids: Mapping[int, int]) -> Usage:
    """All processes of a chain together."""
    found = [usage(pid) for pid in pids]
    cpu_ns, link_ns = sum(each.cpu_ns for each in found), sum(each.link_ns for each in found)
    return Usage(cpu_ns, sum(each.switches for each in found), link_ns)


def rows(rounds: list[tuple[dict[str, Usage], int]], count: int) -> Rows:
    """A line a chain: means over the rounds."""
    head = ["chain", "nodes", "CPU a node, % of a core", "of that ZeroMQ's threads", "switches a frame", "times pyzmq"]
    lines = [head]
    for name in CHAINS:
        cpu = [100 * used[name].cpu_ns / wall_ns for used, wall_ns in rounds]
        link = [100 * used[name].link_ns / wall_ns for used, wall_ns in rounds]
        switches = [used[name].switches / (wall_ns / PERIOD_NS) for used, wall_ns in rounds]
        ratio = sum(used[name].cpu_ns for used, _ in rounds) / sum(used[BARE].cpu_ns for used, _ in rounds)
        means = (sum(each) / len(each) for each in (cpu, link, switches))
        lines.append([name, str(count), *(f"{mean:.2f}" for mean in means), f"{ratio:.2f}"])
    return lines


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5, help="in each chain, 2 or more")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    print(machine(), flush=True)
    rounds = [measure(args.nodes, args.seconds) for _ in range(args.rounds)]
    print((markdown if args.markdown else text)(rows(rounds, args.nodes)))


if __name__ == "__main__":
    main()
