"""Families of Prometheus metrics under one prefix: gauges, counters, histograms.

Conventions: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from audio_pipeline.histogram import AGE_EDGES_MS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "audio_pipeline_"
EVERY = 8  # of our bins, a bucket: 24 of them, a factor of 1.8 apart
Samples = Sequence[tuple[Sequence[str], float]]  # values of the labels, and the sample's


class Spread(NamedTuple):
    """One histogram of a family."""

    labels: Sequence[str]
    counts: Sequence[int]  # by bin as on boards
    sum_ms: float | None = None


def gauge(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    """What goes up and down."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def counter(name: str, about: str, labels: Sequence[str], samples: Samples) -> Metric:
    """What only rises; `_total` is added to its name."""
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def histogram(name: str, about: str, labels: Sequence[str], spreads: Sequence[Spread]) -> Metric:
    """Durations in seconds; the sum where it is known."""
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(PREFIX + name, about, labels=labels)
    for values, counts, sum_ms in spreads:
        family.add_metric(values, buckets=_buckets(counts), sum_value=None if sum_ms is None else sum_ms / 1000)
    return family


def _buckets(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative counts at some of the bins' upper edges, in seconds, and at infinity."""
    found: list[tuple[str, float]] = []
    reached = 0
    for bin_, count in enumerate(counts):
        reached += count
        if bin_ % EVERY == EVERY - 1 and bin_ < len(AGE_EDGES_MS):
            found.append((f"{AGE_EDGES_MS[bin_] / 1000:.6g}", reached))
    return [*found, ("+Inf", reached)]
