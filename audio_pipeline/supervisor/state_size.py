"""A state that fits into a message: what is longest and least needed is left out first, and the state says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from audio_pipeline.packed import dumps

STATE_BYTES = 2 << 20
FIGURES = 256  # counters, and gauges, of one node
State = dict[str, Any]
T = TypeVar("T")


def few(figures: dict[str, T]) -> dict[str, T]:
    """So many of a node's figures as anybody will look at."""
    return figures if len(figures) <= FIGURES else dict(list(figures.items())[:FIGURES])


def fitted(state: State, most: int = STATE_BYTES) -> State:
    """The state, or as much of it as has at most so many bytes; `left_out` names what it lacks."""
    left_out: list[str] = []
    for name, shorten in STEPS:
        if len(dumps(state)) <= most:
            break
        state = shorten(state)
        left_out.append(name)
        state["left_out"] = left_out
    return state


def _brief_incidents(state: State) -> State:
    return {**state, "incidents": [{**item, "log": [], "ledger": [], "settings": {}} for item in state["incidents"]]}


def _few_incidents(state: State) -> State:
    return {**state, "incidents": state["incidents"][-20:], "log": state["log"][-20:]}


def _without_former_links(state: State) -> State:
    return {**state, "former_links": []}


def _without_spreads(state: State) -> State:
    """Histograms are what is longest in links, paths and nodes; their quantiles stay."""
    links = [{**link, "age_histogram": {"edges_ms": [], "counts": []}} for link in state["links"]]
    nodes = {
        name: {**node, **{key: {**node[key], "counts": []} for key in ("wait", "work") if key in node}}
        for name, node in state["nodes"].items()
    }
    paths = [{**path, "measured": path["measured"] and {**path["measured"], "counts": []}} for path in state["paths"]]
    return {**state, "links": links, "nodes": nodes, "paths": paths}


def _without_settings(state: State) -> State:
    nodes = {
        name: {**node, "settings": {"inputs": {}}, "counters": {}, "gauges": {}, "note": ""}
        for name, node in state["nodes"].items()
    }
    return {**state, "nodes": nodes}


STEPS: tuple[tuple[str, Callable[[State], State]], ...] = (
    ("details of incidents", _brief_incidents),
    ("former links", _without_former_links),
    ("older incidents and log lines", _few_incidents),
    ("histograms", _without_spreads),
    ("settings, counters and gauges", _without_settings),
    ("paths", lambda state: {**state, "paths": []}),
)
