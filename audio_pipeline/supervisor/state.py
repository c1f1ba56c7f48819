"""Boards and plan turned into messages: the ledger of every link, and what a node and a path show."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from audio_pipeline.control.incident import LinkFlow
from audio_pipeline.control.message import fields_of
from audio_pipeline.control.snapshots import (
    LinkDescription,
    LinkLedger,
    LinkMeters,
    Measured,
    NodeLedger,
    PathDescription,
    PathLedger,
    Quantiles,
    TapLedger,
    Times,
    WorstFrame,
)
from audio_pipeline.frame import tag_of
from audio_pipeline.graph.plan import Plan
from audio_pipeline.histogram import BINS, quantile_ms
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.refs import PortRef
from audio_pipeline.supervisor.board_readings import Boards, Counts
from audio_pipeline.supervisor.state_size import few

READ_SLACK = 16  # frames that may pass between reading the boards of two processes
UNWANTED = "cancelled"  # frames that a seek or a stop made worthless: nobody misses them
SILENCE_DB = -120.0
TAPS_OFFERED = ">taps.offered"  # as a board names it, behind the port


# -- links ----------------------------------------------------------------------------------------------------


def flow_of(link: LinkPlan, boards: Mapping[str, Boards]) -> LinkFlow:
    """The frames of a link, from the boards of both ends. It balances: all that was offered is accounted for."""
    producer, taker = boards[link.source.node], boards[link.target.node]
    sent_as, taken_as = f"out.{link.source.port}>{link.target}.", f"in.{link.source}>{link.target.name}."
    offered, delivered = producer.total(sent_as + "offered"), taker.total(taken_as + "delivered")
    dropped = _added(producer.totals(sent_as + "dropped."), taker.totals(taken_as + "dropped."))
    queued = producer.present(sent_as + "queued")
    unaccounted = offered - delivered - sum(dropped.values()) - queued
    in_flight, lost = _split(unaccounted, producer, taker, sent_as)
    balanced = unaccounted >= 0 and in_flight <= link.window + READ_SLACK
    dropped |= {"peer_died": lost} if lost else {}
    return LinkFlow(str(link.source), str(link.target), offered, delivered, dropped, queued, in_flight, balanced)


def _added(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    sums = {reason: a.get(reason, 0) + b.get(reason, 0) for reason in {**a, **b}}
    return {reason: amount for reason, amount in sums.items() if amount}


def _split(unaccounted: int, producer: Boards, taker: Boards, sent_as: str) -> tuple[int, int]:
    """What is on its way now, and what went down with a process that died."""
    if len(producer.all) <= 1 and len(taker.all) <= 1:
        return unaccounted, 0
    flying = max(min(producer.present(sent_as + "in_flight"), unaccounted), 0)
    return flying, unaccounted - flying


def _input_of(link: LinkPlan) -> tuple[str, str]:
    """The consumer, and the name under which its board keeps the ages of what came by this link."""
    return link.target.node, f"age.{link.target.name}"


def link_description(link: LinkPlan) -> LinkDescription:
    return LinkDescription(str(link.source), str(link.target), link.policy, link.budget_ms, link.window, link.standby)


def link_meters(link: LinkPlan, boards: Mapping[str, Boards]) -> LinkMeters:
    """What waits on a link, and what it lost."""
    flow, (consumer, age) = flow_of(link, boards), _input_of(link)
    lost = sum(amount for reason, amount in flow.dropped.items() if reason != UNWANTED)
    return LinkMeters(flow.queued, flow.in_flight, lost, quantiles(*boards[consumer].spread(age)).p99, flow.balanced)


def link_ledger(link: LinkPlan, boards: Mapping[str, Boards]) -> LinkLedger:
    """One link's frames and their ages."""
    flow, (consumer, age) = flow_of(link, boards), _input_of(link)
    counts, worst_ms = boards[consumer].spread(age)
    return LinkLedger(
        **fields_of(flow),
        policy=link.policy,
        budget_ms=link.budget_ms,
        window=link.window,
        age_ms=quantiles(counts, worst_ms),
        age_counts=tuple(counts.tolist()),
        standby=link.standby,
        worst=worst_frame(link, age, boards[consumer]),
    )


def quantiles(counts: Counts, worst_ms: float) -> Quantiles:
    """Median, 99 % and the worst of a histogram."""
    p50, p99 = (min(quantile_ms(counts, q), worst_ms) for q in (0.5, 0.99))
    return Quantiles(p50, p99, worst_ms)


def worst_frame(link: LinkPlan, name: str, taker: Boards) -> WorstFrame | None:
    """Which frame was the oldest when it was taken, under an `age` name; None while nothing was."""
    board = max(taker.all, key=lambda board: board.get(f"{name}.max", 0.0), default=None)
    found = board.remembered(f"worst.{name}") if board is not None else None
    if board is None or found is None:
        return None
    seq, position, epoch, host_ns = found
    taken = time.time() - (time.monotonic_ns() - host_ns) / 1e9
    return WorstFrame(str(link.source), str(link.target), seq, position, epoch, taken, board.get(f"{name}.max", 0.0))


def tap_ledgers(producer: str, boards: Boards) -> list[TapLedger]:
    """What each port's taps were offered and what became of it: the producer knows it all by their credit."""
    names = {name for board in boards.all for name in board.under("out.") if name.endswith(TAPS_OFFERED)}
    return [_tap_ledger(PortRef(producer, name.removesuffix(TAPS_OFFERED)), boards) for name in sorted(names)]


def _tap_ledger(source: PortRef, boards: Boards) -> TapLedger:
    name = f"out.{source.port}>taps."
    dropped = {reason: amount for reason, amount in boards.totals(name + "dropped.").items() if amount}
    offered, delivered = boards.total(name + "offered"), boards.total(name + "delivered")
    queued, in_flight = boards.present(name + "queued"), boards.present(name + "in_flight")
    missing = offered - delivered - sum(dropped.values()) - queued - in_flight
    if missing > 0 and len(boards.all) > 1:  # they went down with a process that died
        dropped["peer_died"], missing = missing, 0
    return TapLedger(str(source), offered, delivered, queued, in_flight, dropped, missing == 0)


# -- nodes ----------------------------------------------------------------------------------------------------


def levels_db(boards: Boards, ports: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Peak and RMS of the last 100 ms by port, dBFS; of the ports that have shown any."""
    shown = boards.now.under("level.") if boards.now else {}
    pairs = {port: [shown.get(f"{port}.{what}") for what in ("peak_db", "rms_db")] for port in ports}
    return {
        port: tuple(SILENCE_DB if level is None else level for level in pair)
        for port, pair in pairs.items()
        if pair != [None, None]
    }


def busy_share(boards: Boards, age_ns: int) -> float:
    """Share of its process's age that a node's loop worked."""
    return boards.now.get("busy_ns", 0) / max(age_ns, 1) if boards.now else 0.0


def node_ledger(boards: Boards, note: str = "", printed: str = "") -> NodeLedger:
    """What a node counted."""
    now = boards.now
    if now is None:
        return NodeLedger(note, printed, {}, {})
    return NodeLedger(
        note,
        printed,
        few(boards.totals("count.")),
        few({name: value for name, value in now.under("gauge.").items() if math.isfinite(value)}),
        now.get("worst_step_ns", 0) / 1e6,
        _times(boards, "wait", boards.total("wait_ns")),
        _times(boards, "busy", boards.total("busy_ns")),
    )


def _times(boards: Boards, name: str, total_ns: int) -> Times:
    """A duration that was measured again and again: how often, how long in all, and how it spread."""
    counts, worst_ms = boards.spread(name)
    found = quantiles(counts, worst_ms)
    return Times(int(counts.sum()), total_ns / 1e6, found.p50, found.p99, found.max, tuple(counts.tolist()))


# -- paths ----------------------------------------------------------------------------------------------------


def path_descriptions(plan: Plan) -> list[PathDescription]:
    """The latency table: what every path is stated to take."""
    return [
        PathDescription(
            tuple(path.names),
            dict(path.terms_ms),
            path.total_ms,
            path.total_ms - plan.node_ms(path.names[-1]),
            path.budget_ms,
            path.monitor,
        )
        for path in plan.paths
    ]


def path_ledgers(plan: Plan, boards: Mapping[str, Boards]) -> list[PathLedger]:
    """What every path took."""
    return [PathLedger(tuple(path.names), _measured(plan, path.names, boards)) for path in plan.paths]


def _measured(plan: Plan, names: Sequence[str], boards: Mapping[str, Boards]) -> Measured | None:
    """How old sound of the path's source was when its sink took it, and which frame was the worst."""
    taker = boards.get(names[-1])
    if taker is None or len(names) < 2:
        return None
    ends = [link for link in plan.links if _connects(link, names[-2], names[-1])]
    found = [(link, name) for link in ends if (name := _age_name(link, names[0], taker))]
    if not found:
        return None
    spreads = [taker.spread(name) for _, name in found]
    counts, worst_ms = sum((spread[0] for spread in spreads), np.zeros(BINS, np.int64)), max(top for _, top in spreads)
    link, name = max(found, key=lambda end: taker.spread(end[1])[1])
    all_ = quantiles(counts, worst_ms)
    worst = worst_frame(link, name, taker)
    return Measured(int(counts.sum()), all_.p50, all_.p99, all_.max, tuple(counts.tolist()), worst)


def _connects(link: LinkPlan, producer: str, consumer: str) -> bool:
    return (link.source.node, link.target.node) == (producer, consumer) and not link.standby


def _age_name(link: LinkPlan, source: str, taker: Boards) -> str:
    """Under which name a sink keeps the ages of one source; empty where nothing of it has come."""
    own = f"age.{link.target.name}"
    mixed = f"{own}@{tag_of(source):08x}"
    if any(mixed in board.histograms for board in taker.all):
        return mixed
    return own if link.timeline == source and any(own in board.histograms for board in taker.all) else ""
