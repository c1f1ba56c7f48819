"""The state of a session as viewers get it: small, without paths, and without nulls, so that patches can be made."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from audio_pipeline.control.events import Event, IncidentEvent, LogEvent, NodeEvent
from audio_pipeline.control.message import fields_of
from audio_pipeline.control.snapshots import Description, Meters, NodeDescription, NodeMeters, SongMeters
from audio_pipeline.service.graph_text import shown_settings
from audio_pipeline.service.session.folder import SessionJob, SessionStatus
from audio_pipeline.service.uploads import Uploads
from audio_pipeline.setting_values import value_at

METERS_MAGIC = b"APM1"
SILENT_DB = -120.0


def about(session: str, job: SessionJob, status: SessionStatus) -> dict[str, Any]:
    """What is known before its pipeline answers."""
    return {
        "session": {
            "id": session,
            "config": job.config,
            "label": job.label,
            "state": status.state,
            "error": status.error,
        }
    }


def meter_names(description: Description) -> list[str]:
    """`node.port` of every output for sound, in the order of binary meters."""
    return [f"{name}.{port}" for name, node in description.nodes.items() for port in node.outputs]


def state_of(
    session: Mapping[str, Any], description: Description, meters: Meters, recording: Mapping[str, Any], uploads: Uploads
) -> dict[str, Any]:
    """All there is to see, but for levels."""
    now = meters.nodes
    state: dict[str, Any] = {
        **session,
        "name": description.name,
        "rate": description.rate,
        "frame_samples": description.frame_samples,
        "graph_revision": description.graph_revision,
        "uptime_s": round(meters.uptime_s),
        "clock": {"master": meters.master, "ppm": round(meters.ppm, 1)},
        "incidents": meters.incident_count,
        "recording": recording,
        "monitor_ms": round(min((path.total_ms for path in description.paths if path.monitor), default=0.0), 1),
        "values": live_values(description),
        "nodes": {name: _node(node, now[name], uploads) for name, node in description.nodes.items() if name in now},
        "links": _links(description, meters),
        "transport": {name: _song(song, uploads) for name, song in meters.transport.items()},
        "meters": meter_names(description),
    }
    return state


def live_values(description: Description) -> dict[str, Any]:
    """Every setting that may be changed while it plays, by the key with which it is changed."""
    return {
        f"{name}.{key}": value
        for name, node in description.nodes.items()
        for key in node.live
        if (value := value_at(node.settings, key)) is not None
    }


def recording_of(description: Description, recorders: Collection[str], since_s: float | None) -> dict[str, Any]:
    """Whether a take is under way, which, and for how long it has been seen."""
    running = [description.nodes[name] for name in recorders if name in description.nodes]
    take = str(running[0].settings.get("folder", "")).rpartition("/")[2] if running else ""
    return {"on": bool(running), "take": take, "seconds": 0 if since_s is None else round(since_s)}


def _node(node: NodeDescription, now: NodeMeters, uploads: Uploads) -> dict[str, Any]:
    shown: dict[str, Any] = without_nulls(
        {
            "kind": node.kind,
            "process": node.process,
            "outputs": list(node.outputs),
            "settings": shown_settings(node.kind, node.settings, uploads),
            "live": list(node.live),
            "latency_ms": round(node.latency_ms.get("total", 0.0), 1),
            "state": now.state,
            "restarts": now.restarts,
            "cpu": round(now.cpu, 2),
            "rss_mb": round(now.rss_mb),
            "busy": round(now.busy, 2),
            "note": now.note,
        }
    )
    return shown


def _links(description: Description, meters: Meters) -> dict[str, Any]:
    return {
        f"{link.source}>{link.target}": {
            "policy": link.policy,
            "queued": now.queued,
            "in_flight": now.in_flight,
            "dropped": now.dropped,
            "age_p99_ms": round(now.age_p99_ms, 1),
        }
        for link, now in zip(description.links, meters.links, strict=False)
    }


def _song(song: SongMeters, uploads: Uploads) -> dict[str, Any]:
    upload = uploads.known(song.media_id)
    return {
        "playing": song.playing,
        "loop": song.loop,
        "media_s": round(song.media_s, 2),
        "length_s": round(song.length_s, 2),
        "title": upload.name if upload else song.media_id,
        "file": f"file:{upload.id}" if upload else "",
    }


def without_nulls(value: Any) -> Any:
    """Maps without the keys whose value is null: a patch could not tell them from keys that are gone."""
    if isinstance(value, Mapping):
        return {str(key): without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [without_nulls(each) for each in value]
    return value


def binary_meters(names: Sequence[str], meters: Meters) -> bytes:
    """`APM1`, a count, and peak and RMS in dBFS of each name, as f32; little-endian."""
    values: list[float] = []
    for name in names:
        node, _, port = name.partition(".")
        now = meters.nodes.get(node)
        levels = (now.levels_db or {}).get(port) if now else None
        values += levels[:2] if levels and len(levels) >= 2 else (SILENT_DB, SILENT_DB)
    return METERS_MAGIC + struct.pack(f"<I{len(values)}f", len(names), *values)


def shown_event(event: Event, hidden: str) -> dict[str, Any]:
    """An event for viewers: lines for people without the folder `hidden`, events of nodes without paths."""
    if isinstance(event, LogEvent):
        return {
            "kind": event.kind,
            "time_s": event.time_s,
            "message": event.message.replace(hidden, ""),
            "level": event.level,
        }
    if isinstance(event, IncidentEvent):
        return {
            "kind": event.kind,
            "time_s": event.time_s,
            "message": event.message.replace(hidden, ""),
            "level": "error",
        }
    shown = without_nulls(fields_of(event))
    if isinstance(event, NodeEvent):
        shown["data"] = {key: value for key, value in shown["data"].items() if key not in ("path", "file", "folder")}
    return dict(shown)
