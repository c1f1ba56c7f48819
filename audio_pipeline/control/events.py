"""What happens in a pipeline: a type for each kind of event, told apart by `kind`. See `docs/protocol.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.incident import Incident
from audio_pipeline.control.message import built
from audio_pipeline.settings import setting

LEVELS = INFO, WARNING, ERROR = ("info", "warning", "error")
LOG, INCIDENT, GRAPH = "log", "incident", "graph"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; of a kind that only a newer pipeline knows, no more than this."""

    time_s: float = setting(0.0, "since the clock started", unit="s")
    kind: str = setting(doc="what happened")

    @classmethod
    def variant(cls, raw: Mapping[str, object]) -> type[Event]:
        """The type of a map: those of nodes have `data`, the others a kind of their own."""
        return NodeEvent if "data" in raw else KINDS.get(str(raw.get("kind")), Event)


@dataclass(frozen=True, kw_only=True)
class LogEvent(Event):
    """A line of the log."""

    kind: str = setting(LOG, choices=(LOG,))
    message: str = setting(doc="for people")
    event: str = setting(
        "",
        "`died`, `back`, `parked`, `left_out`, `said`, `waits`, `waited`, `taken_back`, `shortage`, `malformed`, "
        "`folder`, `helper`; empty for none of these",
    )
    level: str = setting(INFO, "", choices=LEVELS)
    node: str | None = setting(None, "the node concerned")
    cause: str | None = setting(None, "why")
    pid: int | None = setting(None, "of the process that died")
    incarnation: int | None = setting(None, "of the node's process")
    step: str | None = setting(None, "of the supervisor, which lacked a resource")


@dataclass(frozen=True, kw_only=True)
class IncidentEvent(Event):
    """A process died."""

    kind: str = setting(INCIDENT, choices=(INCIDENT,))
    message: str = setting(doc="for people")
    incident: Incident = setting(doc="as in the [ledger](#ledger)")


@dataclass(frozen=True, kw_only=True)
class GraphEvent(Event):
    """A change of the graph plays."""

    kind: str = setting(GRAPH, choices=(GRAPH,))
    revision: int = setting(doc="of the graph, now")
    what: str = setting(doc="`edit`, `undo` or `redo`")


@dataclass(frozen=True, kw_only=True)
class NodeEvent(Event):
    """An event of a node; the node's page lists its kinds and their keys."""

    kind: str = setting(doc="the node's own: `media`, `level`, `start`, `segment`, `saved`, ...")
    node: str = setting(doc="the sender")
    position: int = setting(doc="on its timeline")
    data: dict[str, Any] = setting(doc="a map, by kind")


KINDS: Mapping[str, type[Event]] = {LOG: LogEvent, INCIDENT: IncidentEvent, GRAPH: GraphEvent}
TYPES: tuple[type[Event], ...] = (*KINDS.values(), NodeEvent)
IN_A_FRAME = ("kind", "position", "node")


def node_event(node: str, frame: Mapping[str, object]) -> NodeEvent:
    """The event in a map as nodes send it over links, `{kind, position, node, ...}`. Raises ControlError."""
    data = {str(key): value for key, value in frame.items() if key not in IN_A_FRAME}
    own = {key: frame[key] for key in ("kind", "position") if key in frame}
    return built(NodeEvent, {**own, "node": node, "data": data}, "event")
