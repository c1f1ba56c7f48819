"""What a running graph does right now: two states of it in, numbers by node and by path out.

Boards count from the start on; what happened between two looks is the difference. The columns are those of
PipeWire's `pw-top` (WAIT, BUSY, their share of the quantum, errors), and beside them what a graph with credit has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.histogram import BINS, quantile_ms

State = Mapping[str, Any]
Counts = NDArray[np.int64]
ERROR_COUNTERS = (
    "xruns",
    "missed_deadlines",
    "late_frames",
    "failed_tracks",
    "damaged_files",
    "overs",
    "clipped",
    "overflow_samples",
    "lost_events",
)
WANTED = ("cancelled", "absent", "left")  # drops that nobody misses
PPM_GAUGES = ("ppm", "drift_ppm")


@dataclass(frozen=True)
class Load:
    """One node between two looks. None: nothing of the kind happened, or it has none."""

    node: str
    kind: str
    state: str
    wait_ms: float | None  # from being due, or sent, to being worked on: mean
    wait_p99_ms: float | None
    busy_ms: float  # at work, a quantum
    busy_p99_ms: float | None  # of one turn
    wait_share: float | None  # of the quantum
    busy_share: float
    queued: int
    in_flight: int  # on the input whose window is the fullest
    window: int
    errors: Mapping[str, int]  # since the start, by reason
    age_p50_ms: float | None  # of the input that is the nearest to its budget
    age_p99_ms: float | None
    age_max_ms: float | None  # since the start
    ppm: float | None
    restarts: int
    cpu: float
    rss_mb: float

    @property
    def error_count(self) -> int:
        return sum(self.errors.values())

    @property
    def credit_share(self) -> float:
        return self.in_flight / self.window if self.window else 0.0


@dataclass(frozen=True)
class PathLoad:
    """One way from a source to a sink: what was said, what was measured, and the worst frame."""

    path: tuple[str, ...]
    monitor: bool
    stated_ms: float
    budget_ms: float | None
    p50_ms: float | None  # between the two looks
    p99_ms: float | None
    max_ms: float | None  # since the start
    worst: Mapping[str, Any] | None


def quantum_ms(state: State) -> float:
    """Length of a frame."""
    return 1000.0 * float(state["frame_samples"]) / float(state["rate"])


def node_loads(before: State | None, now: State) -> list[Load]:
    """Every node, in the graph's order; without `before`, since each process began."""
    spent_s = now["uptime_s"] - (before["uptime_s"] if before else 0.0)
    old = before["nodes"] if before else {}
    links = {link["to"]: link for link in before["links"]} if before else {}
    return [_load(name, node, old.get(name), now, links, max(spent_s, 1e-9)) for name, node in now["nodes"].items()]


def _load(
    name: str,
    node: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    now: State,
    links: Mapping[str, Any],
    spent_s: float,
) -> Load:
    quantum = quantum_ms(now)
    inputs = [link for link in now["links"] if link["to"].partition(".")[0] == name]
    wait, work = _since(node, old, "wait"), _since(node, old, "work")
    wait_ms = wait.sum_ms / wait.count if wait.count else None
    share = work.sum_ms / 1000 / spent_s
    fullest = max(inputs, key=lambda link: link["in_flight"] / max(link["window"], 1), default=None)
    ages = [(link, _difference(link["age_histogram"]["counts"], _age_counts(links.get(link["to"])))) for link in inputs]
    link, counts = max(ages, key=lambda pair: quantile_ms(pair[1], 0.99) / pair[0]["budget_ms"], default=(None, None))
    worst_ms = link["age_ms"]["max"] if link and sum(link["age_histogram"]["counts"]) else None
    return Load(
        node=name,
        kind=node["kind"],
        state=node["state"],
        wait_ms=wait_ms,
        wait_p99_ms=wait.quantile(0.99),
        busy_ms=share * quantum,
        busy_p99_ms=work.quantile(0.99),
        busy_share=share,
        wait_share=None if wait_ms is None else wait_ms / quantum,
        queued=sum(link["queued"] for link in inputs),
        in_flight=fullest["in_flight"] if fullest else 0,
        window=fullest["window"] if fullest else 0,
        errors=errors_of(node, inputs),
        age_p50_ms=_quantile(counts, 0.5, worst_ms),
        age_p99_ms=_quantile(counts, 0.99, worst_ms),
        age_max_ms=worst_ms,
        ppm=_ppm(name, node, now),
        restarts=node["restarts"],
        cpu=node["cpu"],
        rss_mb=node["rss_mb"],
    )


@dataclass(frozen=True)
class _Times:
    count: int
    sum_ms: float
    counts: Counts

    def quantile(self, q: float) -> float | None:
        return _quantile(self.counts, q)


def _since(node: Mapping[str, Any], old: Mapping[str, Any] | None, key: str) -> _Times:
    """What of a duration came in between two looks."""
    new, past = node.get(key), (old or {}).get(key)
    if new is None:
        return _Times(0, 0.0, np.zeros(BINS, np.int64))
    count, sum_ms = (past["count"], past["sum_ms"]) if past else (0, 0.0)
    counts = _difference(new["counts"], past["counts"] if past else None)
    return _Times(max(new["count"] - count, 0), max(new["sum_ms"] - sum_ms, 0.0), counts)


def _difference(now: Sequence[int], before: Sequence[int] | None) -> Counts:
    counts = np.asarray(now, np.int64)
    return counts if before is None else np.maximum(counts - np.asarray(before, np.int64), 0)


def _age_counts(link: Mapping[str, Any] | None) -> Sequence[int] | None:
    return link["age_histogram"]["counts"] if link else None


def _quantile(counts: Counts | None, q: float, worst_ms: float | None = None) -> float | None:
    if counts is None or not counts.any():
        return None
    return min(quantile_ms(counts, q), math.inf if worst_ms is None else worst_ms)


def errors_of(node: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """What went wrong at a node, by reason: its own counters, and frames that were dropped on the way to it."""
    found = {name: int(node["counters"][name]) for name in ERROR_COUNTERS if node.get("counters", {}).get(name)}
    for link in inputs:
        for reason, amount in link["dropped"].items():
            if reason not in WANTED:
                found[f"dropped {reason}"] = found.get(f"dropped {reason}", 0) + amount
    return found


def _ppm(name: str, node: Mapping[str, Any], now: State) -> float | None:
    """How far a clock is off: what the node itself says, and what the graph's clock says of its master."""
    said = [float(node["gauges"][key]) for key in PPM_GAUGES if key in node.get("gauges", {})]
    if not said and now["clock"]["master"] == name:
        said = [float(now["clock"]["ppm"])]
    return said[0] if said and math.isfinite(said[0]) else None


def path_loads(before: State | None, now: State) -> list[PathLoad]:
    """Every path whose nodes are there, the monitor path first."""
    old = {tuple(path["path"]): path.get("measured") for path in before["paths"]} if before else {}
    here = [path for path in now["paths"] if all(now["nodes"][name]["state"] != "absent" for name in path["path"])]
    found = [_path(path, old.get(tuple(path["path"]))) for path in here]
    return sorted(found, key=lambda path: not path.monitor)


def _path(path: Mapping[str, Any], old: Mapping[str, Any] | None) -> PathLoad:
    measured = path.get("measured")
    counts = _difference(measured["counts"], old["counts"] if old else None) if measured else None
    worst_ms = measured["max"] if measured else None
    return PathLoad(
        tuple(path["path"]),
        path["monitor"],
        path.get("stated_ms", path["total_ms"]),
        path["budget_ms"],
        _quantile(counts, 0.5, worst_ms),
        _quantile(counts, 0.99, worst_ms),
        worst_ms,
        measured["worst"] if measured else None,
    )
