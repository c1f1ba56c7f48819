"""Paths of sound with their budgets, as the view and the report read them off a state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audio_pipeline.view.text import State

Path = Mapping[str, Any]


def present_paths(state: State) -> list[Path]:
    """Paths whose nodes are all there."""
    nodes = state["nodes"]
    return [path for path in state["paths"] if all(nodes[name]["state"] != "absent" for name in path["path"])]


def allowed_ms(state: State, path: Path) -> float:
    """The budget, and for the monitor path the devices at its ends on top: it may take 25 ms *between* these."""
    if not path["monitor"]:
        return float(path["budget_ms"])
    frame_ms = 1000 * state["frame_samples"] / state["rate"]
    ends_ms = [state["nodes"][path["path"][end]]["latency_ms"]["total"] for end in (0, -1)]
    return float(path["budget_ms"] + sum(end_ms + frame_ms for end_ms in ends_ms if end_ms))


def keeps(state: State, path: Path) -> bool:
    """Whether a path is as fast as it must be."""
    return path["budget_ms"] is None or path["total_ms"] <= allowed_ms(state, path)
