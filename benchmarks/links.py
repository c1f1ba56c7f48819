"""Links at the pace of sound: frames of 3,840 bytes every 10 ms through chains of processes.

    python benchmarks/links.py                     the engine beside bare ZeroMQ, chains of 2, 5 and 10
    python benchmarks/links.py --peers             and beside dora-rs and ezmsg, fetched from PyPI
    python benchmarks/links.py --markdown          tables for docs/benchmarks

A *hop* goes from a node that hands a frame over to the next node that gets it, the *chain* from the first node to
the last. In the engine a hop is more than its *link*: the sender's port cuts, checks and measures what its node
emits before it goes on the link. *grouped* is the engine with `process: auto`, a chain of light nodes in one process.
The chains take turns in one run, in changing order, so that a machine that gets
slower meanwhile makes none look bad. Beside each of them a process does nothing but *sleep* to deadlines: what it is
late by, no link can help.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from links_chains import Chain, bare_zmq, dora, engine, ezmsg, grouped
from links_env import peers_python
from links_measure import Result, measure
from links_report import costs, machine, markdown, plain, sentence, text, times, too_slow, verdicts


def main() -> int:
    """Runs, prints, and fails where the engine is too slow."""
    args = _arguments()
    print(machine(), file=sys.stderr if args.json else sys.stdout, flush=True)
    chains: dict[str, Chain] = {"engine": engine, "grouped": grouped, "pyzmq": bare_zmq}
    if args.peers:
        python = peers_python(args.peers_folder)
        chains |= {"dora": dora(python), "ezmsg": ezmsg(python)}
    results = [result for count in args.nodes for result in compare(chains, count, args.rounds, args.seconds)]
    ratios = verdicts(results)
    if args.json:
        slower = [{"what": what, "nodes": nodes, "ratio": ratio} for what, nodes, ratio, _ in ratios]
        print(json.dumps({"machine": machine(), "results": [plain(each) for each in results], "ratios": slower}))
    else:
        table = markdown if args.markdown else text
        print(table(times(results)), table(costs(results)), sep="\n\n", end="\n\n")
        for verdict in ratios:
            print(("- " if args.markdown else "") + sentence(verdict))
    return int(any(too_slow(verdict) for verdict in ratios))


def compare(chains: dict[str, Chain], count: int, rounds: int, seconds: float) -> list[Result]:
    """All chains of one length, taking turns."""
    results = {name: Result(name, count) for name in chains}
    for turn in range(rounds):
        order = list(chains) if turn % 2 == 0 else list(reversed(chains))
        for name in order:
            try:
                results[name].rounds.append(measure(chains[name], count, seconds))
            except RuntimeError as error:
                print(f"{name} with {count} nodes: {error}", file=sys.stderr, flush=True)
    return [result for result in results.values() if result.rounds]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each chain in each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 5, 10], help="lengths of the chains")
    parser.add_argument("--peers", action="store_true", help="also dora-rs and ezmsg")
    parser.add_argument(
        "--peers-folder",
        type=Path,
        default=Path.home() / ".cache" / "audio-pipeline" / "peers",
        help="where their environment is, or is made",
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
