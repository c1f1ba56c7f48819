"""A whole state of a pipeline as one plain map, for tests that look into many corners of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from audio_pipeline.control.snapshots import (
    Description,
    Ledger,
    LinkLedger,
    Measured,
    Meters,
    TapLedger,
    WorstFrame,
)
from audio_pipeline.control.state import Asks, State, fetch_state
from audio_pipeline.histogram import AGE_EDGES_MS

Plain = dict[str, Any]


def plain_state(source: Asks | State) -> Plain:
    """All there is to see, of a client or as it was fetched before."""
    state = source if isinstance(source, State) else fetch_state(source)
    description, meters, ledger = state.description, state.meters, state.ledger
    found = {
        **asdict(description),
        **asdict(meters),
        "clock": {"master": meters.master, "ppm": meters.ppm},
        "nodes": _nodes(description, meters, ledger),
        "links": [link_map(link) for link in ledger.links],
        "former_links": [link_map(link) for link in ledger.former_links],
        "taps": [tap_map(tap) for tap in ledger.taps],
        "paths": _paths(description, ledger),
        "incidents": [asdict(incident) for incident in ledger.incidents],
        "log": list(ledger.log),
    }
    for name in ("master", "ppm", "left_out"):
        del found[name]
    left_out = [*description.left_out, *ledger.left_out]
    return {**found, **({"left_out": left_out} if left_out else {})}


def _nodes(description: Description, meters: Meters, ledger: Ledger) -> Plain:
    names = [name for name in description.nodes if name in meters.nodes and name in ledger.nodes]
    return {
        name: {
            **asdict(description.nodes[name]),
            **_without_nil(asdict(ledger.nodes[name])),
            **asdict(meters.nodes[name]),
            "note": ledger.nodes[name].note,
            "live": list(description.nodes[name].live),
            "levels_db": meters.nodes[name].levels_db or {},
        }
        for name in names
    }


def _without_nil(values: Plain) -> Plain:
    return {key: value for key, value in values.items() if value is not None}


def _paths(description: Description, ledger: Ledger) -> list[Plain]:
    measured = {path.path: path.measured for path in ledger.paths}
    return [
        {**asdict(path), "path": list(path.path), "measured": measured_map(measured.get(path.path))}
        for path in description.paths
    ]


def link_map(link: LinkLedger) -> Plain:
    """A link's ledger with its ends as `from` and `to`, and the histogram with its edges."""
    found = ends_named(asdict(link))
    found["age_histogram"] = {"edges_ms": AGE_EDGES_MS.tolist(), "counts": list(found.pop("age_counts"))}
    return {**found, "worst": worst_map(link.worst)}


def tap_map(tap: TapLedger) -> Plain:
    return ends_named(asdict(tap))


def worst_map(worst: WorstFrame | None) -> Plain | None:
    return ends_named(asdict(worst)) if worst is not None else None


def measured_map(measured: Measured | None) -> Plain | None:
    if measured is None:
        return None
    return {**asdict(measured), "counts": list(measured.counts), "worst": worst_map(measured.worst)}


def ends_named(values: Mapping[str, Any]) -> Plain:
    """`source` and `target` as `from` and `to`, which no Python field can be called."""
    names = {"source": "from", "target": "to"}
    return {names.get(key, key): value for key, value in values.items()}
