"""Latency by path: from each source to each sink, what every node and link adds, and what the file allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audio_pipeline.graph.job import DUE_MARGIN_FRAMES
from audio_pipeline.settings import fail

if TYPE_CHECKING:
    from audio_pipeline.graph.plan import Plan


@dataclass(frozen=True)
class PathLatency:
    """From a source to a sink: what each node and link adds."""

    names: tuple[str, ...]
    terms_ms: Mapping[str, float]
    budget_ms: float | None
    monitor: bool

    @property
    def total_ms(self) -> float:
        return sum(self.terms_ms.values())


def paths_of(plan: Plan) -> list[PathLatency]:
    """Every way from a source to a sink, the monitor path first."""
    sources = [name for name in plan.order if not plan.graph.nodes[name].sound_inputs]
    found = [_path(plan, names) for source in sources for names in _ways(plan, source)]
    return sorted(found, key=lambda path: (not path.monitor, -path.total_ms))


def _ways(plan: Plan, name: str) -> Iterator[tuple[str, ...]]:
    nodes = plan.graph.nodes.values()
    after = [spec.name for spec in nodes if any(link.source.node == name for link in spec.sound_inputs.values())]
    if not after:
        yield (name,)
    for following in after:
        for rest in _ways(plan, following):
            yield (name, *rest)


def _path(plan: Plan, names: tuple[str, ...]) -> PathLatency:
    terms: dict[str, float] = {}
    age = 0.0
    for before, name in zip((None, *names), names, strict=False):
        arrived = _arrival_ms(plan, before, name, age)
        own = plan.node_ms(name) + (plan.frame_ms if before is None else 0.0)
        terms[name] = arrived - age + own
        age = arrived + own
    monitor, top = _is_monitor(plan, names), plan.graph.top
    return PathLatency(names, terms, top.monitor_budget_ms if monitor else top.budget_ms, monitor)


def _arrival_ms(plan: Plan, before: str | None, name: str, age_ms: float) -> float:
    """Age of a sample when a node uses it: an aligned one waits for the slowest input, then for its next frame."""
    arrived = age_ms + (plan.hop_ms(before, name) if before else 0.0)
    if not (plan.graph.nodes[name].aligned and plan.live):
        return arrived
    waits = max(plan.aligned_ms(name, before or name), arrived)
    return math.ceil((waits + DUE_MARGIN_FRAMES * plan.frame_ms) / plan.frame_ms) * plan.frame_ms


def _is_monitor(plan: Plan, names: tuple[str, ...]) -> bool:
    """Microphone to mixer to playback: what a singer hears of herself."""
    nodes = plan.graph.nodes
    first, last = nodes[names[0]].cls, nodes[names[-1]].cls
    between = all(plan.latencies[name].total == 0 or nodes[name].cls.bridge for name in names[1:-1])
    return first.clock_source and last.audible and between and len(names) > 2


def check_budgets(plan: Plan) -> None:
    """Raises ConfigError where a path is slower than the file allows."""
    for path in plan.paths if plan.live else ():
        device = _device_ms(plan, path) if path.monitor else 0.0
        if path.budget_ms is not None and path.total_ms - device > path.budget_ms:
            key = "monitor_budget_ms" if path.monitor else "budget_ms"
            reason = (
                f"path {' -> '.join(path.names)} takes {path.total_ms - device:.0f} ms, "
                f"the limit is {path.budget_ms:g} ms"
            )
            raise fail((key,), reason, plan.graph.places)


def _device_ms(plan: Plan, path: PathLatency) -> float:
    """What microphone and loudspeaker take, and the bridge that they need where each has a clock of its own."""
    bridges = [name for name in path.names[1:-1] if plan.graph.nodes[name].cls.bridge]
    return sum(plan.node_ms(name) for name in (path.names[0], *bridges, path.names[-1]))
