"""The results as tables, as Markdown and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from links_measure import Numbers, Result

GATE = 1.3
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
Rows = list[list[str]]


def machine() -> str:
    """What the numbers were measured on, and how busy it was."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyzmq", "numpy", "msgpack"))
    return (
        f"{os.cpu_count()} cores of {_processor()}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"{packages}, load at the start {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def times(results: Sequence[Result]) -> Rows:
    """What frames took, in µs, and how late a sleeping process woke in the same seconds."""
    rows = [["chain", "nodes", "what", *QUANTILES, "frames", "lost"]]
    for result in results:
        lost, name = sum(one.lost for one in result.rounds), [result.name, str(result.nodes)]
        parts = {"link": result.link, "hop": result.hop, "chain": result.took, "sleep": result.jitter}
        for what, took in parts.items():
            if len(took) and (what != "chain" or result.nodes > 2):
                counts = ["", ""] if what == "sleep" else [str(len(took)), str(lost)]
                rows.append([*name, what, *(f"{1000 * _at(took, q):.0f}" for q in QUANTILES.values()), *counts])
    return rows


def costs(results: Sequence[Result]) -> Rows:
    """What processes used."""
    head = ["chain", "nodes", "CPU a node, % of a core", "CPU of daemons, %", "context switches a frame and node"]
    return [head] + [
        [one.name, str(one.nodes), f"{one.cpu():.2f}", f"{one.others_cpu():.2f}", f"{one.switches():.1f}"]
        for one in results
    ]


def _at(took_ms: Numbers, q: float) -> float:
    return float(np.quantile(took_ms, q))


def text(rows: Rows) -> str:
    """Columns of even width."""
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    lines = (zip(line, widths, strict=True) for line in rows)
    return "\n".join("  ".join(cell.rjust(width) for cell, width in line) for line in lines)


def markdown(rows: Rows) -> str:
    """The same as a Markdown table."""
    rule = ["---" if rows[1][i][:1].isalpha() else "---:" for i in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [rows[0], rule, *rows[1:]])


Verdict = tuple[str, int, float, list[float]]  # what, nodes, ratio over all, ratio by round


def verdicts(results: Iterable[Result]) -> list[Verdict]:
    """The engine's medians over those of bare ZeroMQ."""
    found = {(result.name, result.nodes): result for result in results}
    said: list[Verdict] = []
    for (name, nodes), mine in found.items():
        bare = found.get(("pyzmq", nodes))
        if name == "engine" and bare is not None:
            for what, other in (("link", "hop"), ("hop", "hop"), ("took", "took")):
                pairs = zip(mine.rounds, bare.rounds, strict=False)
                ratio = float(np.median(getattr(mine, what)) / np.median(getattr(bare, other)))
                by_round = [float(np.median(getattr(a, what)) / np.median(getattr(b, other))) for a, b in pairs]
                said.append((what, nodes, ratio, by_round))
    return [verdict for verdict in said if verdict[0] != "took" or verdict[1] > 2]


def too_slow(verdict: Verdict) -> bool:
    """What fails the benchmark: two processes, and the link between them slower than it may be."""
    what, nodes, ratio, _ = verdict
    return (what, nodes) == ("link", 2) and ratio > GATE


NAMES = {"link": "the link (from port to node)", "hop": "a hop (from node to node)", "took": "the whole chain"}


def sentence(verdict: Verdict) -> str:
    """The ratio in words, with its spread."""
    what, nodes, ratio, by_round = verdict
    rounds = ", ".join(f"{each:.2f}" for each in by_round)
    gate = f" (at most {GATE}: {'MISSED' if too_slow(verdict) else 'kept'})" if (what, nodes) == ("link", 2) else ""
    return f"{nodes} nodes, {NAMES[what]}: median {ratio:.2f} times that of bare ZeroMQ{gate}; by round {rounds}"


def plain(result: Result) -> dict[str, Any]:
    """For --json."""
    parts = {"link": result.link, "hop": result.hop, "chain": result.took, "sleep": result.jitter}
    ms = {what: {name: _at(took, q) for name, q in QUANTILES.items()} for what, took in parts.items() if len(took)}
    return {
        "chain": result.name,
        "nodes": result.nodes,
        "frames": len(result.took),
        "lost": sum(one.lost for one in result.rounds),
        "ms": ms,
        "cpu_percent": result.cpu(),
        "other_cpu_percent": result.others_cpu(),
        "switches": result.switches(),
    }
