"""What the supervisor shows: boards and plan turned into one plain dict, and the ledger of every link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.metrics import AGE_EDGES_MS, Reading, quantile_ms
from audio_pipeline.plan import LinkPlan, Plan

READ_SLACK = 16  # frames that may pass between reading the boards of two processes


class Boards:
    """The boards of all incarnations of a node: counters add up, gauges are the newest one's."""

    def __init__(self, dead: Sequence[Reading] = (), path: Path | None = None) -> None:
        self.all = [*dead] + ([Reading(path)] if path is not None else [])

    @property
    def now(self) -> Reading | None:
        return self.all[-1] if self.all else None

    def total(self, name: str) -> int:
        """A counter over all incarnations."""
        return int(sum(board.get(name, 0) for board in self.all))

    def totals(self, prefix: str) -> dict[str, int]:
        """All counters under a prefix, over all incarnations."""
        names = {name for board in self.all for name in board.under(prefix)}
        return {name: self.total(prefix + name) for name in sorted(names)}


def link_state(link: LinkPlan, boards: Mapping[str, Boards]) -> dict[str, Any]:
    """One link's ledger and ages. It balances: offered = delivered + dropped + queued + in flight."""
    node, _, port = link.source.partition(".")
    consumer, _, input_ = link.target.partition(".")
    producer, taker = boards[node], boards[consumer]
    sent_as, taken_as = f"out.{port}>{link.target}.", f"in>{input_}."
    offered = producer.total(sent_as + "offered")
    dropped = producer.totals(sent_as + "dropped.")
    dropped = _added(dropped, taker.totals(taken_as + "dropped."))
    delivered = taker.total(taken_as + "delivered")
    queued = int(producer.now.get(sent_as + "queued", 0)) if producer.now else 0
    unaccounted = offered - delivered - sum(dropped.values()) - queued
    in_flight, lost = _split(unaccounted, producer, taker, sent_as)
    if lost:
        dropped["peer_died"] = lost
    ages, worst = _ages(taker, input_)
    return {
        "from": link.source, "to": link.target, "policy": link.policy, "budget_ms": link.budget_ms,
        "window": link.window, "queued": queued, "in_flight": in_flight, "offered": offered, "delivered": delivered,
        "dropped": {reason: amount for reason, amount in dropped.items() if amount}, "standby": link.standby,
        "balanced": unaccounted >= 0 and in_flight <= link.window + READ_SLACK,
        "age_ms": {"p50": min(quantile_ms(ages, 0.5), worst), "p99": min(quantile_ms(ages, 0.99), worst), "max": worst},
        "age_histogram": {"edges_ms": AGE_EDGES_MS.tolist(), "counts": ages.tolist()},
    }  # fmt: skip


def _added(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {reason: a.get(reason, 0) + b.get(reason, 0) for reason in {**a, **b}}


def _split(unaccounted: int, producer: Boards, taker: Boards, sent_as: str) -> tuple[int, int]:
    """What is on its way now, and what went down with a process that died."""
    if len(producer.all) <= 1 and len(taker.all) <= 1:
        return unaccounted, 0
    flying = int(producer.now.get(sent_as + "in_flight", 0)) if producer.now else 0
    flying = max(min(flying, unaccounted), 0)
    return flying, unaccounted - flying


def _ages(taker: Boards, input_: str) -> tuple[NDArray[np.int64], float]:
    name = f"age.{input_}"
    counts = np.zeros(len(AGE_EDGES_MS) + 1, np.int64)
    for board in taker.all:
        counts += board.histograms.get(name, 0)
    return counts, max((board.get(f"{name}.max", 0.0) for board in taker.all), default=0.0)


def node_state(boards: Boards, uptime_ns: int) -> dict[str, Any]:
    """What one node's boards say."""
    now = boards.now
    if now is None:
        return {"levels_db": {}, "busy": 0.0, "counters": {}, "gauges": {}}
    levels: dict[str, list[float]] = {}
    for name, value in now.under("level.").items():
        port, _, what = name.rpartition(".")
        levels.setdefault(port, [-120.0, -120.0])[0 if what == "peak_db" else 1] = value
    return {
        "levels_db": levels, "busy": now.get("busy_ns", 0) / max(uptime_ns, 1),
        "counters": boards.totals("count."), "gauges": now.under("gauge."),
        "worst_step_ms": now.get("worst_step_ns", 0) / 1e6,
    }  # fmt: skip


def paths_state(plan: Plan) -> list[dict[str, Any]]:
    """The latency table."""
    return [
        {"path": list(path.names), "terms_ms": dict(path.terms_ms), "total_ms": path.total_ms,
         "budget_ms": path.budget_ms, "monitor": path.monitor}
        for path in plan.paths
    ]  # fmt: skip
