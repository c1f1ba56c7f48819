"""A state of the pipeline as Prometheus metrics: base units, `_total` for counters, labels node, link, path, reason.

Counters and histograms come from the boards and go on over restarts of nodes. Names and meaning stand in
`docs/observability.md`. Conventions: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from audio_pipeline.histogram import AGE_EDGES_MS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

State = Mapping[str, Any]
PREFIX = "audio_pipeline_"
EVERY = 8  # of our bins, a bucket: 24 of them, a factor of 1.8 apart
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
    yield from _nodes(state["nodes"])
    yield from _times(state["nodes"])
    yield from _links(state["links"])
    yield from _taps(state.get("taps", []))
    yield from _paths(state["paths"])


Samples = Sequence[tuple[Sequence[str], float]]


def _gauge(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: str, about: str, labels: Sequence[str], rows: Sequence[_Row]) -> Metric:
    """`rows`: label values, counts by bin, and the sum in ms where it is known."""
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(PREFIX + name, about, labels=labels)
    for values, counts, sum_ms in rows:
        family.add_metric(values, buckets=_buckets(counts), sum_value=None if sum_ms is None else sum_ms / 1000)
    return family


_Row = tuple[Sequence[str], Sequence[int], "float | None"]


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative counts at some of the bins' upper edges, in seconds, and at infinity."""
    found: list[tuple[str, float]] = []
    reached = 0
    for bin_, count in enumerate(counts):
        reached += count
        if bin_ % EVERY == EVERY - 1 and bin_ < len(AGE_EDGES_MS):
            found.append((f"{AGE_EDGES_MS[bin_] / 1000:.6g}", reached))
    return [*found, ("+Inf", reached)]


def _pipeline(state: State) -> Iterator[Metric]:
    mode = "live" if state["live"] else "offline"
    yield _gauge(
        "info",
        "The pipeline that runs.",
        ("pipeline", "run", "mode", "clock"),
        [((state["name"], state["run"], mode, state["clock"]["master"]), 1)],
    )
    yield _gauge("uptime_seconds", "Since the clock started.", (), [((), state["uptime_s"])])
    yield _gauge(
        "clock_drift_ratio",
        "By how much the clock's master is faster than it says.",
        (),
        [((), state["clock"]["ppm"] * 1e-6)],
    )
    yield _counter("clock_samples", "Samples of the graph's clock.", (), [((), max(state["position"], 0))])
    deaths = state.get("incident_count", len(state["incidents"]))
    yield _counter("incidents", "Deaths of nodes' processes.", (), [((), deaths)])


def _nodes(nodes: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge(
        "node_up",
        "Whether the node works, or has come to its end.",
        ("node", "kind", "state"),
        [((name, node["kind"], node["state"]), node["state"] in ("running", "ended")) for name, node in nodes.items()],
    )
    yield _counter(
        "node_restarts",
        "Processes that were started in place of dead ones.",
        ("node",),
        [((name,), node["restarts"]) for name, node in nodes.items()],
    )
    yield _gauge("node_cpu_cores", "CPU time a second.", ("node",), [((n,), node["cpu"]) for n, node in nodes.items()])
    yield _gauge(
        "node_resident_memory_bytes",
        "Memory of the node's process.",
        ("node",),
        [((name,), node["rss_mb"] * 1e6) for name, node in nodes.items()],
    )
    yield _gauge(
        "node_disk_wait_seconds",
        "For so long its loop has stood still for a disk.",
        ("node",),
        [((name,), node.get("disk_wait_s", 0.0)) for name, node in nodes.items()],
    )
    yield _gauge(
        "node_latency_seconds",
        "Stated latency of the node.",
        ("node",),
        [((name,), node["latency_ms"]["total"] / 1000) for name, node in nodes.items()],
    )
    yield _counter(
        "node_events",
        "What the node counts: xruns, missed deadlines, samples, ...",
        ("node", "reason"),
        [((name, what), count) for name, node in nodes.items() for what, count in node["counters"].items()],
    )
    yield _gauge(
        "node_value",
        "What the node shows.",
        ("node", "name"),
        [((name, what), value) for name, node in nodes.items() for what, value in node["gauges"].items()],
    )
    yield _gauge(
        "node_level_dbfs",
        "Level of the last tenth of a second.",
        ("node", "port", "measure"),
        [
            ((name, port, measure), value)
            for name, node in nodes.items()
            for port, levels in node["levels_db"].items()
            for measure, value in zip(("peak", "rms"), levels, strict=False)
        ],
    )


def _times(nodes: Mapping[str, Any]) -> Iterator[Metric]:
    for key, name, about in (
        ("wait", "node_wait_seconds", "From being due, or sent, to being worked on."),
        ("work", "node_busy_seconds", "Turns of the node's loop in which it worked."),
    ):
        rows: list[_Row] = [
            ((node_name,), node[key]["counts"], node[key]["sum_ms"]) for node_name, node in nodes.items() if key in node
        ]
        yield _histogram(name, about, ("node",), rows)


def link_label(link: Mapping[str, Any]) -> str:
    """
    >>> link_label({"from": "song.out", "to": "split.in"})
    'song.out>split.in'
    """
    return f"{link['from']}>{link['to']}"


def _links(links: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    def each(key: str) -> Samples:
        return [((link_label(link),), link[key]) for link in links]

    yield _counter("link_frames_offered", "Frames that the producer had for this consumer.", ("link",), each("offered"))
    yield _counter("link_frames_delivered", "Frames that the consumer used.", ("link",), each("delivered"))
    yield _counter(
        "link_frames_dropped",
        "Frames that were lost on the link.",
        ("link", "reason"),
        [((link_label(link), reason), n) for link in links for reason, n in link["dropped"].items()],
    )
    yield _gauge("link_queued_frames", "Frames that wait at the producer.", ("link",), each("queued"))
    yield _gauge("link_credit_used_frames", "Frames under way.", ("link",), each("in_flight"))
    yield _gauge("link_credit_window_frames", "Frames that may be under way.", ("link",), each("window"))
    yield _gauge("link_balanced", "Whether every offered frame is accounted for.", ("link",), each("balanced"))
    yield _gauge(
        "link_budget_seconds",
        "Most that a frame may spend on the link.",
        ("link",),
        [((link_label(link),), link["budget_ms"] / 1000) for link in links],
    )
    yield _histogram(
        "link_age_seconds",
        "Age of frames, since their capture, when they were taken.",
        ("link",),
        [((link_label(link),), link["age_histogram"]["counts"], None) for link in links],
    )
    yield _gauge(
        "link_age_max_seconds",
        "Age of the oldest frame so far when it was taken.",
        ("link",),
        [((link_label(link),), link["age_ms"]["max"] / 1000) for link in links],
    )


def _taps(taps: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    yield _counter(
        "tap_frames_offered",
        "Frames for the taps of a port.",
        ("port",),
        [((tap["from"],), tap["offered"]) for tap in taps],
    )
    yield _counter(
        "tap_frames_delivered",
        "Frames that taps took.",
        ("port",),
        [((tap["from"],), tap["delivered"]) for tap in taps],
    )
    yield _counter(
        "tap_frames_dropped",
        "Frames that taps lost.",
        ("port", "reason"),
        [((tap["from"], why), n) for tap in taps for why, n in tap["dropped"].items()],
    )


def path_label(path: Mapping[str, Any]) -> str:
    """
    >>> path_label({"path": ["mic", "mix", "speaker"]})
    'mic>mix>speaker'
    """
    return ">".join(path["path"])


def _paths(paths: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    measured = [(path, path["measured"]) for path in paths if path.get("measured")]
    yield _gauge(
        "path_stated_seconds",
        "What a path was said to take to its sink.",
        ("path",),
        [((path_label(path),), path["stated_ms"] / 1000) for path in paths if "stated_ms" in path],
    )
    yield _gauge(
        "path_budget_seconds",
        "What a path may take.",
        ("path",),
        [((path_label(path),), path["budget_ms"] / 1000) for path in paths if path["budget_ms"] is not None],
    )
    yield _histogram(
        "path_age_seconds",
        "Age of a source's sound when the path's sink took it.",
        ("path",),
        [((path_label(path),), what["counts"], None) for path, what in measured],
    )
    yield _gauge(
        "path_age_max_seconds",
        "Age of the oldest frame of a path so far.",
        ("path",),
        [((path_label(path),), what["max"] / 1000) for path, what in measured],
    )
    worst = [(path_label(path), what["worst"]) for path, what in measured if what["worst"]]
    for name, about, key in (
        ("path_worst_frame_number", "The oldest frame of a path so far: its number on its port.", "seq"),
        ("path_worst_frame_position", "The same frame's position in samples.", "position"),
        ("path_worst_frame_timestamp_seconds", "When that frame was taken, in Unix time.", "time"),
    ):
        yield _gauge(name, about, ("path",), [((label,), frame[key]) for label, frame in worst])
