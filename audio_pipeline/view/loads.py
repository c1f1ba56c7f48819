"""What a running graph does right now: two states of it in, numbers by node and by path out.

Boards count from the start on; what happened between two looks is the difference. The columns are those of
PipeWire's `pw-top` (WAIT, BUSY, their share of the quantum, errors), and beside them what a graph with credit has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.control.snapshots import LinkLedger, NodeLedger, PathDescription, PathLedger, Times, WorstFrame
from audio_pipeline.control.state import NodeState, State
from audio_pipeline.histogram import BINS, quantile_ms

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
    worst: WorstFrame | None


class Before:
    """What an earlier look counted, by node, link and path; nothing where there was none."""

    def __init__(self, state: State | None) -> None:
        self.uptime_s = state.ledger.uptime_s if state else 0.0
        self._nodes = state.ledger.nodes if state else {}
        self._links = {link.input: link.age_counts for link in state.ledger.links} if state else {}
        self._paths = state.measured if state else {}

    def times(self, name: str, of: Callable[[NodeLedger], Times | None]) -> Times | None:
        """A duration at a node."""
        node = self._nodes.get(name)
        return of(node) if node else None

    def ages(self, link: LinkLedger) -> Sequence[int] | None:
        return self._links.get(link.input)

    def measured(self, path: tuple[str, ...]) -> Sequence[int] | None:
        found = self._paths.get(path)
        return found.measured.counts if found and found.measured else None


def node_loads(before: State | None, now: State) -> list[Load]:
    """Every node, in the graph's order; without `before`, since each process began."""
    old = Before(before)
    spent_s = max(now.ledger.uptime_s - old.uptime_s, 1e-9)
    return [_load(node, now, old, spent_s) for node in now.node_states]


def _load(node: NodeState, now: State, old: Before, spent_s: float) -> Load:
    inputs = [link for link in now.ledger.links if link.input.node == node.name]
    wait = _since(node.ledger.wait, old.times(node.name, lambda ledger: ledger.wait))
    work = _since(node.ledger.work, old.times(node.name, lambda ledger: ledger.work))
    wait_ms = wait.sum_ms / wait.count if wait.count else None
    share = work.sum_ms / 1000 / spent_s
    fullest = max(inputs, key=lambda link: link.in_flight / max(link.window, 1), default=None)
    age = _oldest(inputs, old)
    return Load(
        node=node.name,
        kind=node.description.kind,
        state=node.meters.state,
        wait_ms=wait_ms,
        wait_p99_ms=wait.quantile(0.99),
        busy_ms=share * now.frame_ms,
        busy_p99_ms=work.quantile(0.99),
        busy_share=share,
        wait_share=None if wait_ms is None else wait_ms / now.frame_ms,
        queued=sum(link.queued for link in inputs),
        in_flight=fullest.in_flight if fullest else 0,
        window=fullest.window if fullest else 0,
        errors=errors_of(node.ledger, inputs),
        age_p50_ms=age.p50_ms,
        age_p99_ms=age.p99_ms,
        age_max_ms=age.max_ms,
        ppm=_ppm(node, now),
        restarts=node.meters.restarts,
        cpu=node.meters.cpu,
        rss_mb=node.meters.rss_mb,
    )


@dataclass(frozen=True)
class _Age:
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


def _oldest(inputs: Sequence[LinkLedger], old: Before) -> _Age:
    """Ages on the input that is the nearest to its budget."""
    ages = [(link, _difference(link.age_counts, old.ages(link))) for link in inputs if link.age_counts]
    if not ages:
        return _Age()
    link, counts = max(ages, key=lambda pair: quantile_ms(pair[1], 0.99) / pair[0].budget_ms)
    worst_ms = link.age_ms.max if sum(link.age_counts) else None
    return _Age(_quantile(counts, 0.5, worst_ms), _quantile(counts, 0.99, worst_ms), worst_ms)


@dataclass(frozen=True)
class _Times:
    count: int
    sum_ms: float
    counts: Counts

    def quantile(self, q: float) -> float | None:
        return _quantile(self.counts, q)


def _since(new: Times | None, past: Times | None) -> _Times:
    """What of a duration came in between two looks."""
    if new is None:
        return _Times(0, 0.0, np.zeros(BINS, np.int64))
    count, sum_ms, before = (past.count, past.sum_ms, past.counts) if past else (0, 0.0, None)
    return _Times(max(new.count - count, 0), max(new.sum_ms - sum_ms, 0.0), _difference(new.counts, before))


def _difference(now: Sequence[int], before: Sequence[int] | None) -> Counts:
    counts = np.asarray(now, np.int64)
    if before is None or len(before) != len(counts):  # a ledger that was too large has no histograms
        return counts
    return np.maximum(counts - np.asarray(before, np.int64), 0)


def _quantile(counts: Counts | None, q: float, worst_ms: float | None = None) -> float | None:
    if counts is None or not counts.any():
        return None
    return min(quantile_ms(counts, q), math.inf if worst_ms is None else worst_ms)


def errors_of(node: NodeLedger, inputs: Sequence[LinkLedger]) -> dict[str, int]:
    """What went wrong at a node, by reason: its own counters, and frames that were dropped on the way to it."""
    found = {name: int(node.counters[name]) for name in ERROR_COUNTERS if node.counters.get(name)}
    for link in inputs:
        for reason, amount in link.dropped.items():
            if reason not in WANTED:
                found[f"dropped {reason}"] = found.get(f"dropped {reason}", 0) + amount
    return found


def _ppm(node: NodeState, now: State) -> float | None:
    """How far a clock is off: what the node itself says, and what the graph's clock says of its master."""
    known = [float(node.ledger.gauges[key]) for key in PPM_GAUGES if key in node.ledger.gauges]
    if not known and now.meters.master == node.name:
        known = [now.meters.ppm]
    return known[0] if known and math.isfinite(known[0]) else None


def path_loads(before: State | None, now: State) -> list[PathLoad]:
    """Every path whose nodes are there, the monitor path first."""
    old, measured = Before(before), now.measured
    return [_path(path, measured.get(path.path), old.measured(path.path)) for path in now.present_paths]


def _path(path: PathDescription, found: PathLedger | None, old: Sequence[int] | None) -> PathLoad:
    measured = found.measured if found else None
    counts = _difference(measured.counts, old) if measured else None
    worst_ms = measured.max if measured else None
    return PathLoad(
        path.path,
        path.monitor,
        path.stated_ms,
        path.budget_ms,
        _quantile(counts, 0.5, worst_ms),
        _quantile(counts, 0.99, worst_ms),
        worst_ms,
        measured.worst if measured else None,
    )
