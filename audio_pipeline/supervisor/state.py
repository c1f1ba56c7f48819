"""What the supervisor shows: boards and plan turned into one plain dict, and the ledger of every link."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.frame import tag_of
from audio_pipeline.graph.plan import Plan
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.metrics import AGE_EDGES_MS, BINS, Reading, quantile_ms
from audio_pipeline.supervisor.state_size import few

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

    def spread(self, name: str) -> tuple[NDArray[np.int64], float]:
        """A histogram over all incarnations, and its worst."""
        counts = sum((board.histogram(name) for board in self.all), np.zeros(BINS, np.int64))
        return counts, max((board.get(f"{name}.max", 0.0) for board in self.all), default=0.0)

    def totals(self, prefix: str) -> dict[str, int]:
        """All counters under a prefix, over all incarnations."""
        names = {name for board in self.all for name in board.under(prefix)}
        return {name: self.total(prefix + name) for name in sorted(names)}


def link_state(link: LinkPlan, boards: Mapping[str, Boards]) -> dict[str, Any]:
    """One link's ledger and ages. It balances: offered = delivered + dropped + queued + in flight."""
    node, port = link.source.node, link.source.port
    consumer, input_ = link.target.node, link.target.name
    producer, taker = boards[node], boards[consumer]
    sent_as, taken_as = f"out.{port}>{link.target}.", f"in.{link.source}>{input_}."
    offered = producer.total(sent_as + "offered")
    dropped = producer.totals(sent_as + "dropped.")
    dropped = _added(dropped, taker.totals(taken_as + "dropped."))
    delivered = taker.total(taken_as + "delivered")
    queued = int(producer.now.get(sent_as + "queued", 0)) if producer.now else 0
    unaccounted = offered - delivered - sum(dropped.values()) - queued
    in_flight, lost = _split(unaccounted, producer, taker, sent_as)
    if lost:
        dropped["peer_died"] = lost
    ages, worst = taker.spread(f"age.{input_}")
    return {
        "from": str(link.source),
        "to": str(link.target),
        "policy": link.policy,
        "budget_ms": link.budget_ms,
        "window": link.window,
        "queued": queued,
        "in_flight": in_flight,
        "offered": offered,
        "delivered": delivered,
        "dropped": {reason: amount for reason, amount in dropped.items() if amount},
        "standby": link.standby,
        "balanced": unaccounted >= 0 and in_flight <= link.window + READ_SLACK,
        "age_ms": quantiles_ms(ages, worst),
        "worst": worst_frame(link, f"age.{input_}", taker),
        "age_histogram": {"edges_ms": AGE_EDGES_MS.tolist(), "counts": ages.tolist()},
    }


def _added(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {reason: a.get(reason, 0) + b.get(reason, 0) for reason in {**a, **b}}


def _split(unaccounted: int, producer: Boards, taker: Boards, sent_as: str) -> tuple[int, int]:
    """What is on its way now, and what went down with a process that died."""
    if len(producer.all) <= 1 and len(taker.all) <= 1:
        return unaccounted, 0
    flying = int(producer.now.get(sent_as + "in_flight", 0)) if producer.now else 0
    flying = max(min(flying, unaccounted), 0)
    return flying, unaccounted - flying


def ledger_of(link: Mapping[str, Any]) -> dict[str, Any]:
    """A link's state without its ages."""
    kept = ("from", "to", "offered", "delivered", "dropped", "queued", "in_flight", "balanced")
    return {key: link[key] for key in kept}


def quantiles_ms(counts: NDArray[np.int64], worst_ms: float) -> dict[str, float]:
    """Median, 99 % and the worst of a histogram."""
    return {
        "p50": min(quantile_ms(counts, 0.5), worst_ms),
        "p99": min(quantile_ms(counts, 0.99), worst_ms),
        "max": worst_ms,
    }


def worst_frame(link: LinkPlan, name: str, taker: Boards) -> dict[str, Any] | None:
    """Which frame was the oldest when it was taken, under an `age` name; None while nothing was."""
    board = max(taker.all, key=lambda board: board.get(f"{name}.max", 0.0), default=None)
    found = board.remembered(f"worst.{name}") if board is not None else None
    if board is None or found is None:
        return None
    seq, position, epoch, host_ns = found
    ago_s = (time.monotonic_ns() - host_ns) / 1e9
    return {
        "from": str(link.source),
        "to": str(link.target),
        "seq": seq,
        "position": position,
        "epoch": epoch,
        "time": time.time() - ago_s,
        "age_ms": board.get(f"{name}.max", 0.0),
    }


def taps_state(producer: str, boards: Boards) -> list[dict[str, Any]]:
    """What each port's taps were offered and what became of it: the producer knows it all by their credit."""
    found = []
    names = {name for board in boards.all for name in board.under("out.") if name.endswith(">taps.offered")}
    for port in sorted(name.partition(">")[0] for name in names):
        name = f"out.{port}>taps."
        dropped = boards.totals(name + "dropped.")
        offered, delivered = boards.total(name + "offered"), boards.total(name + "delivered")
        queued, in_flight = (int(boards.now.get(name + key, 0)) if boards.now else 0 for key in ("queued", "in_flight"))
        missing = offered - delivered - sum(dropped.values()) - queued - in_flight
        if missing > 0 and len(boards.all) > 1:  # they went down with a process that died
            dropped["peer_died"], missing = missing, 0
        found.append(
            {
                "from": f"{producer}.{port}",
                "offered": offered,
                "delivered": delivered,
                "queued": queued,
                "in_flight": in_flight,
                "dropped": {reason: amount for reason, amount in dropped.items() if amount},
                "balanced": missing == 0,
            }
        )
    return found


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
        "levels_db": levels,
        "busy": now.get("busy_ns", 0) / max(uptime_ns, 1),
        "counters": few(boards.totals("count.")),
        "gauges": few(now.under("gauge.")),
        "worst_step_ms": now.get("worst_step_ns", 0) / 1e6,
        "wait": _times(boards, "wait", boards.total("wait_ns")),
        "work": _times(boards, "busy", boards.total("busy_ns")),
    }


def _times(boards: Boards, name: str, total_ns: int) -> dict[str, Any]:
    """A duration that was measured again and again: how often, how long in all, and how it spread."""
    counts, worst_ms = boards.spread(name)
    return {
        "count": int(counts.sum()),
        "sum_ms": total_ns / 1e6,
        **quantiles_ms(counts, worst_ms),
        "counts": counts.tolist(),
    }


def paths_state(plan: Plan, boards: Mapping[str, Boards] | None = None) -> list[dict[str, Any]]:
    """The latency table: what every path was said to take, and what it took."""
    return [
        {
            "path": list(path.names),
            "terms_ms": dict(path.terms_ms),
            "total_ms": path.total_ms,
            "budget_ms": path.budget_ms,
            "monitor": path.monitor,
            "stated_ms": path.total_ms - plan.node_ms(path.names[-1]),
            "measured": _measured(plan, path.names, boards),
        }
        for path in plan.paths
    ]


def _measured(plan: Plan, names: Sequence[str], boards: Mapping[str, Boards] | None) -> dict[str, Any] | None:
    """How old sound of the path's source was when its sink took it, and which frame was the worst."""
    taker = boards.get(names[-1]) if boards else None
    if taker is None or len(names) < 2:
        return None
    ends = [
        link
        for link in plan.links
        if link.source.node == names[-2] and not link.standby and link.target.node == names[-1]
    ]
    found = [(link, name) for link in ends if (name := _age_name(plan, link, names[0], taker))]
    if not found:
        return None
    spreads = [taker.spread(name) for _, name in found]
    counts, worst_ms = sum((spread[0] for spread in spreads), np.zeros(BINS, np.int64)), max(top for _, top in spreads)
    link, name = max(found, key=lambda end: taker.spread(end[1])[1])
    return {
        "count": int(counts.sum()),
        **quantiles_ms(counts, worst_ms),
        "worst": worst_frame(link, name, taker),
        "counts": counts.tolist(),
    }


def _age_name(plan: Plan, link: LinkPlan, source: str, taker: Boards) -> str:
    """Under which name a sink keeps the ages of one source; empty where nothing of it has come."""
    own, mixed = f"age.{link.target.name}", f"@{tag_of(source):08x}"
    if any(own + mixed in board.histograms for board in taker.all):
        return own + mixed
    return own if link.timeline == source and any(own in board.histograms for board in taker.all) else ""
