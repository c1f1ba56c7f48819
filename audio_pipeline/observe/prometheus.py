"""A state of the pipeline as Prometheus metrics: base units, `_total` for counters, labels node, link, path, reason.

Counters and histograms come from the boards and go on over restarts of nodes. Names and meaning stand in
`docs/observability.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from audio_pipeline.control.snapshots import LinkLedger, Measured, NodeLedger, TapLedger, Times, WorstFrame
from audio_pipeline.control.state import NodeState, State
from audio_pipeline.observe.families import Samples, Spread, counter, gauge, histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text_of(state: State) -> bytes:
    """The metrics in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Once(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from metrics_of(state)

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry)


def metrics_of(state: State) -> Iterator[Metric]:
    """Every family, with its samples."""
    yield from _pipeline(state)
    nodes = state.node_states
    yield _up(nodes)
    yield from _node_values(nodes)
    yield from _node_figures(nodes)
    yield from _times(nodes)
    yield from _links(state.ledger.links)
    yield from _taps(state.ledger.taps)
    yield from _paths(state)


def _pipeline(state: State) -> Iterator[Metric]:
    about, now = state.description, state.meters
    mode = "live" if about.live else "offline"
    labels = ("pipeline", "run", "mode", "clock")
    yield gauge("info", "The pipeline that runs.", labels, [((about.name, about.run, mode, now.master), 1)])
    for build, name, what, value in (
        (gauge, "uptime_seconds", "Since the clock started.", now.uptime_s),
        (gauge, "clock_drift_ratio", "Deviation of the clock master's rate from its nominal rate.", now.ppm * 1e-6),
        (counter, "clock_samples", "Samples of the graph's clock.", max(now.position, 0)),
        (counter, "incidents", "Deaths of nodes' processes.", now.incident_count),
    ):
        yield build(name, what, (), [((), value)])


# -- nodes ----------------------------------------------------------------------------------------------------


def _up(nodes: Sequence[NodeState]) -> Metric:
    return gauge(
        "node_up",
        "Whether the node works, or has come to its end.",
        ("node", "kind", "state"),
        [
            ((node.name, node.description.kind, node.meters.state), node.meters.state in ("running", "ended"))
            for node in nodes
        ],
    )


class _NodeValue(NamedTuple):
    """A metric with one sample a node."""

    build: Callable[[str, str, Sequence[str], Samples], Metric]
    name: str
    about: str
    value: Callable[[NodeState], float]


NODE_VALUES = (
    _NodeValue(
        counter,
        "node_restarts",
        "Processes that were started in place of dead ones.",
        lambda node: node.meters.restarts,
    ),
    _NodeValue(gauge, "node_cpu_cores", "CPU time a second.", lambda node: node.meters.cpu),
    _NodeValue(
        gauge,
        "node_resident_memory_bytes",
        "Memory of the node's process.",
        lambda node: node.meters.rss_mb * 1e6,
    ),
    _NodeValue(
        gauge,
        "node_disk_wait_seconds",
        "For so long its loop has stood still for a disk.",
        lambda node: node.meters.disk_wait_s,
    ),
    _NodeValue(
        gauge,
        "node_latency_seconds",
        "Stated latency of the node.",
        lambda node: node.description.latency_ms["total"] / 1000,
    ),
)


def _node_values(nodes: Sequence[NodeState]) -> Iterator[Metric]:
    for row in NODE_VALUES:
        yield row.build(row.name, row.about, ("node",), [((node.name,), row.value(node)) for node in nodes])


def _node_figures(nodes: Sequence[NodeState]) -> Iterator[Metric]:
    """What each node counts and shows by names of its own."""
    yield counter(
        "node_events",
        "What the node counts: xruns, missed deadlines, samples, ...",
        ("node", "reason"),
        [((node.name, what), count) for node in nodes for what, count in node.ledger.counters.items()],
    )
    yield gauge(
        "node_value",
        "What the node shows.",
        ("node", "name"),
        [((node.name, what), value) for node in nodes for what, value in node.ledger.gauges.items()],
    )
    yield gauge(
        "node_level_dbfs",
        "Level of the last tenth of a second.",
        ("node", "port", "measure"),
        [
            ((node.name, port, measure), value)
            for node in nodes
            for port, levels in (node.meters.levels_db or {}).items()
            for measure, value in zip(("peak", "rms"), levels, strict=False)
        ],
    )


TIMES: Sequence[tuple[str, str, Callable[[NodeLedger], Times | None]]] = (
    ("node_wait_seconds", "From being due, or sent, to being worked on.", lambda ledger: ledger.wait),
    ("node_busy_seconds", "Turns of the node's loop in which it worked.", lambda ledger: ledger.work),
)


def _times(nodes: Sequence[NodeState]) -> Iterator[Metric]:
    for name, about, times_of in TIMES:
        found = [(node.name, times_of(node.ledger)) for node in nodes]
        spreads = [Spread((node,), times.counts, times.sum_ms) for node, times in found if times]
        yield histogram(name, about, ("node",), spreads)


# -- links ----------------------------------------------------------------------------------------------------


def link_label(link: LinkLedger) -> str:
    """Such as `song.out>split.in`."""
    return f"{link.source}>{link.target}"


def _links(links: Sequence[LinkLedger]) -> Iterator[Metric]:
    def each(value_of: Callable[[LinkLedger], float]) -> Samples:
        return [((link_label(link),), value_of(link)) for link in links]

    offered, delivered = each(lambda link: link.offered), each(lambda link: link.delivered)
    yield counter("link_frames_offered", "Frames that the producer had for this consumer.", ("link",), offered)
    yield counter("link_frames_delivered", "Frames that the consumer used.", ("link",), delivered)
    lost = [((link_label(link), reason), n) for link in links for reason, n in link.dropped.items()]
    yield counter("link_frames_dropped", "Frames that were lost on the link.", ("link", "reason"), lost)
    yield from (gauge(f"link_{name}", about, ("link",), each(value_of)) for name, about, value_of in LINK_GAUGES)
    spreads = [Spread((link_label(link),), link.age_counts) for link in links]
    yield histogram("link_age_seconds", "Age of frames, since their capture, when they were taken.", ("link",), spreads)


LINK_GAUGES: Sequence[tuple[str, str, Callable[[LinkLedger], float]]] = (
    ("queued_frames", "Frames that wait at the producer.", lambda link: link.queued),
    ("credit_used_frames", "Frames under way.", lambda link: link.in_flight),
    ("credit_window_frames", "Frames that may be under way.", lambda link: link.window),
    ("balanced", "Whether every offered frame is accounted for.", lambda link: link.balanced),
    ("budget_seconds", "Most that a frame may spend on the link.", lambda link: link.budget_ms / 1000),
    ("age_max_seconds", "Age of the oldest frame so far when it was taken.", lambda link: link.age_ms.max / 1000),
)


def _taps(taps: Sequence[TapLedger]) -> Iterator[Metric]:
    def each(value_of: Callable[[TapLedger], float]) -> Samples:
        return [((tap.source,), value_of(tap)) for tap in taps]

    yield counter("tap_frames_offered", "Frames for the taps of a port.", ("port",), each(lambda tap: tap.offered))
    yield counter("tap_frames_delivered", "Frames that taps took.", ("port",), each(lambda tap: tap.delivered))
    lost = [((tap.source, why), n) for tap in taps for why, n in tap.dropped.items()]
    yield counter("tap_frames_dropped", "Frames that taps lost.", ("port", "reason"), lost)


# -- paths ----------------------------------------------------------------------------------------------------


def path_label(path: Sequence[str]) -> str:
    """
    >>> path_label(("mic", "mix", "speaker"))
    'mic>mix>speaker'
    """
    return ">".join(path)


def _paths(state: State) -> Iterator[Metric]:
    paths = state.description.paths
    stated = [((path_label(path.path),), path.stated_ms / 1000) for path in paths]
    yield gauge("path_stated_seconds", "Stated latency of a path to its sink.", ("path",), stated)
    budgets = [((path_label(path.path),), path.budget_ms / 1000) for path in paths if path.budget_ms is not None]
    yield gauge("path_budget_seconds", "Latency limit of a path.", ("path",), budgets)
    found = [(path_label(path.path), path.measured) for path in state.ledger.paths]
    yield from _measured([(label, measured) for label, measured in found if measured is not None])


def _measured(paths: Sequence[tuple[str, Measured]]) -> Iterator[Metric]:
    """How old sound was at the end of paths, by their labels."""
    yield histogram(
        "path_age_seconds",
        "Age of a source's sound when the path's sink took it.",
        ("path",),
        [Spread((label,), measured.counts) for label, measured in paths],
    )
    yield gauge(
        "path_age_max_seconds",
        "Age of the oldest frame of a path so far.",
        ("path",),
        [((label,), measured.max / 1000) for label, measured in paths],
    )
    worst = [(label, measured.worst) for label, measured in paths if measured.worst is not None]
    for name, about, value_of in WORST:
        yield gauge(
            f"path_worst_frame_{name}", about, ("path",), [((label,), value_of(frame)) for label, frame in worst]
        )


WORST: Sequence[tuple[str, str, Callable[[WorstFrame], float]]] = (
    ("number", "The oldest frame of a path so far: its number on its port.", lambda frame: frame.seq),
    ("position", "The same frame's position in samples.", lambda frame: frame.position),
    ("timestamp_seconds", "When that frame was taken, in Unix time.", lambda frame: frame.time),
)
