"""A composed state taken apart again, for made-up pipelines: description, meters, ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audio_pipeline.control.incident import Incident
from audio_pipeline.control.snapshots import (
    Description,
    Ledger,
    LinkDescription,
    LinkLedger,
    LinkMeters,
    Measured,
    Meters,
    NodeDescription,
    NodeLedger,
    NodeMeters,
    PathDescription,
    PathLedger,
    Quantiles,
    SongMeters,
    TapLedger,
    Times,
    WorstFrame,
)

State = Mapping[str, Any]
NOTE_CHARACTERS = 200


def description_of(state: State) -> Description:
    """What the pipeline is made of."""
    same = {key: state[key] for key in ("name", "run", "folder", "rate", "frame_samples", "live", "revision")}
    return Description(
        **same,
        graph_revision=state["graph_revision"],
        nodes={name: _node_description(node) for name, node in state["nodes"].items()},
        links=tuple(_link_description(link) for link in state["links"]),
        paths=tuple(_path_description(path) for path in state["paths"]),
    )


def _node_description(node: State) -> NodeDescription:
    return NodeDescription(
        node["kind"],
        node["process"],
        tuple(node["outputs"]),
        tuple(node["events"]),
        tuple(node["event_inputs"]),
        node["latency_ms"],
        node["settings"],
        tuple(node["live"]),
    )


def _link_description(link: State) -> LinkDescription:
    return LinkDescription(link["from"], link["to"], link["policy"], link["budget_ms"], link["window"], link["standby"])


def _path_description(path: State) -> PathDescription:
    same = {key: path[key] for key in ("terms_ms", "total_ms", "stated_ms", "budget_ms", "monitor")}
    return PathDescription(tuple(path["path"]), **same)


def meters_of(state: State) -> Meters:
    """What moves."""
    same = {key: state[key] for key in ("revision", "graph_revision", "uptime_s", "position", "progress", "ended")}
    return Meters(
        **same,
        master=state["clock"]["master"],
        ppm=state["clock"]["ppm"],
        nodes={name: _node_meters(node) for name, node in state["nodes"].items()},
        links=tuple(_link_meters(link) for link in state["links"]),
        transport={name: SongMeters(**song) for name, song in state["transport"].items()},
        incident_count=state["incident_count"],
    )


def _node_meters(node: State) -> NodeMeters:
    same = {key: node[key] for key in ("state", "pid", "restarts", "cpu", "rss_mb", "busy", "disk_wait_s")}
    levels = {port: tuple(level) for port, level in node["levels_db"].items()}
    return NodeMeters(
        **same, levels_db=levels, note="" if node["state"] == "running" else node["note"][:NOTE_CHARACTERS]
    )


def _link_meters(link: State) -> LinkMeters:
    dropped = sum(count for reason, count in link["dropped"].items() if reason != "cancelled")
    return LinkMeters(link["queued"], link["in_flight"], dropped, link["age_ms"]["p99"], link["balanced"])


def ledger_of(state: State) -> Ledger:
    """What was counted."""
    return Ledger(
        state["graph_revision"],
        state["uptime_s"],
        {name: _node_ledger(node) for name, node in state["nodes"].items()},
        tuple(link_ledger(link) for link in state["links"]),
        tuple(link_ledger(link) for link in state["former_links"]),
        tuple(_tap_ledger(tap) for tap in state["taps"]),
        tuple(PathLedger(tuple(path["path"]), _measured(path["measured"])) for path in state["paths"]),
        tuple(Incident(**incident) for incident in state["incidents"]),
        state["incident_count"],
        tuple(state["log"]),
        tuple(state.get("left_out", ())),
    )


def _node_ledger(node: State) -> NodeLedger:
    same = {key: node[key] for key in ("note", "printed", "counters", "gauges")}
    return NodeLedger(
        **same,
        worst_step_ms=node.get("worst_step_ms"),
        wait=_times(node.get("wait")),
        work=_times(node.get("work")),
    )


def _times(times: State | None) -> Times | None:
    return Times(**{**times, "counts": tuple(times["counts"])}) if times is not None else None


def link_ledger(link: State) -> LinkLedger:
    """One link's."""
    names = ("policy", "budget_ms", "window", "offered", "delivered", "queued", "in_flight", "dropped", "balanced")
    return LinkLedger(
        source=link["from"],
        target=link["to"],
        **{key: link[key] for key in names},
        age_ms=Quantiles(**link["age_ms"]),
        age_counts=tuple(link["age_histogram"]["counts"]),
        standby=link["standby"],
        worst=_worst(link["worst"]),
    )


def _tap_ledger(tap: State) -> TapLedger:
    return TapLedger(source=tap["from"], **{key: value for key, value in tap.items() if key != "from"})


def _measured(measured: State | None) -> Measured | None:
    if measured is None:
        return None
    same = {key: measured[key] for key in ("count", "p50", "p99", "max")}
    return Measured(**same, counts=tuple(measured["counts"]), worst=_worst(measured["worst"]))


def _worst(worst: State | None) -> WorstFrame | None:
    if worst is None:
        return None
    same = {key: worst[key] for key in ("seq", "position", "epoch", "time", "age_ms")}
    return WorstFrame(worst["from"], worst["to"], **same)
