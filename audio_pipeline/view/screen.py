"""What the terminal view shows, as one map: a description and meters in, and the lines of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audio_pipeline.control.message import fields_of
from audio_pipeline.control.snapshots import Description, LinkDescription, LinkMeters, Meters
from audio_pipeline.view.text import State


def screen_state(description: Description, meters: Meters, log: Sequence[str]) -> State:
    """As `Client.state()`, with as much of it as a screen has room for."""
    links = zip(description.links, meters.links, strict=False)
    return {
        **fields_of(description),
        **fields_of(meters),
        "clock": {"master": meters.master, "ppm": meters.ppm},
        "nodes": {name: _node(description, meters, name) for name in description.nodes if name in meters.nodes},
        "links": [_link(link, now) for link, now in links],
        "paths": [fields_of(path) for path in description.paths],
        "transport": {name: fields_of(song) for name, song in meters.transport.items()},
        "log": list(log),
    }


def _node(description: Description, meters: Meters, name: str) -> dict[str, Any]:
    now = meters.nodes[name]
    return {**fields_of(description.nodes[name]), **fields_of(now), "levels_db": now.levels_db or {}}


def _link(link: LinkDescription, now: LinkMeters) -> dict[str, Any]:
    return {
        **fields_of(link),
        **fields_of(now),
        "from": link.source,
        "to": link.target,
        "dropped": {"lost": now.dropped} if now.dropped else {},
        "age_ms": {"p99": now.age_p99_ms},
    }
