"""Paths of sound with their budgets, as the view and the report show them."""

from __future__ import annotations

from audio_pipeline.control.snapshots import PathDescription
from audio_pipeline.control.state import Status


def allowed_ms(status: Status, path: PathDescription) -> float | None:
    """The budget, and for the monitor path the devices at its ends on top: it may take 25 ms *between* these."""
    if not path.monitor or path.budget_ms is None:
        return path.budget_ms
    nodes = status.description.nodes
    ends_ms = [nodes[path.path[end]].latency_ms["total"] for end in (0, -1)]
    return path.budget_ms + sum(end_ms + status.frame_ms for end_ms in ends_ms if end_ms)


def keeps(status: Status, path: PathDescription) -> bool:
    """Whether a path is as fast as it must be."""
    limit_ms = allowed_ms(status, path)
    return limit_ms is None or path.total_ms <= limit_ms
