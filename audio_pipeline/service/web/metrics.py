"""Metrics of the service for Prometheus. No session has a label of its own: sessions come and go without end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audio_pipeline.errors import PipelineError
from audio_pipeline.observe.families import counter, gauge
from audio_pipeline.observe.prometheus import CONTENT_TYPE
from audio_pipeline.service.session.folder import STATES
from audio_pipeline.service.web.state import Service, restarts

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["CONTENT_TYPE", "text_of"]


def text_of(service: Service) -> bytes:
    """In Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Once(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from metrics_of(service)

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry)


def metrics_of(service: Service) -> Iterator[Metric]:
    """Every family, with its samples."""
    yield _sessions(service)
    capacity, reserved = service.budget.capacity, service.budget.reserved
    for what, scale, has, taken in (
        ("cores", 1.0, capacity.cores, reserved.cores),
        ("memory_bytes", 1e6, capacity.mb, reserved.mb),
    ):
        yield gauge(f"service_{what}_capacity", "What sessions may take.", (), [((), has * scale)])
        yield gauge(f"service_{what}_reserved", "What is set aside for sessions.", (), [((), taken * scale)])
    yield gauge("service_draining", "Whether no session is accepted.", (), [((), float(service.is_draining))])
    yield counter(
        "service_restarts",
        "Processes of the service that were started anew.",
        ("process",),
        [((name,), count) for name, count in restarts(service).items()],
    )
    yield counter(
        "service_requests_refused",
        "Sessions that were refused, by what was short.",
        ("what",),
        [((what,), count) for what, count in sorted(service.budget.refused.items())],
    )


def _sessions(service: Service) -> Metric:
    found: Counter[tuple[str, ...]] = Counter(
        {(config, state): 0 for config in service.catalog.entries for state in STATES}
    )
    for folder in service.sessions.all():
        try:
            found[folder.job().config, service.sessions.status(folder).state] += 1
        except PipelineError:
            continue
    return gauge("service_sessions", "Sessions by pipeline and state.", ("config", "state"), list(found.items()))
