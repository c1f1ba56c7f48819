"""What the REST API takes and gives. The OpenAPI document is made from these types."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from audio_pipeline.service.catalog import Parameter, Port, Stated
from audio_pipeline.service.uploads import Upload

Text = Annotated[str, msgspec.Meta(max_length=200)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Secret = Annotated[str, msgspec.Meta(max_length=200)]
LeaseSeconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request: a key that is not known is an error."""


class Login(Asked, frozen=True):
    """The token of a login link."""

    token: Secret


class NewSession(Asked, frozen=True):
    """A session to be started."""

    config: Key
    set: dict[str, Any] = {}
    label: Text = ""
    lease_s: LeaseSeconds | None = None  # without anybody, before it ends; 0: never


class Changes(Asked, frozen=True):
    """Live settings, `node.setting`, in the order in which they are made."""

    set: dict[str, Any]


class TransportCommand(Asked, frozen=True):
    """What a source is to do."""

    action: Key  # play, pause, seek, next, loop
    node: Key = "song"
    to_s: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | None = None  # seek
    on: bool = True  # loop


class RecordCommand(Asked, frozen=True):
    """Begins or ends a take."""

    on: bool


class GraphChanges(Asked, frozen=True):
    """A transaction on the graph: all of it or nothing."""

    revision: Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]
    changes: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=64)]


class Me(msgspec.Struct, frozen=True):
    """Who is logged in."""

    name: str
    role: str


class Config(msgspec.Struct, frozen=True):
    """A pipeline that a session can be made of."""

    id: str
    title: str
    text: str
    kind: str
    parameters: list[Parameter]


class Reserved(msgspec.Struct, frozen=True):
    """Set aside on this host."""

    cores: float
    mb: float


class SessionInfo(msgspec.Struct, frozen=True):
    """A session."""

    id: str
    config: str
    label: str
    state: str  # starting, playing, paused, ending, ended, failed
    error: str
    created: float  # Unix time
    lease_s: float
    revision: int
    recording: bool
    stated: Stated
    reserved: Reserved
    ports: list[Port]
    feeds: list[str]
    audio: str
    events: str


class Audible(msgspec.Struct, frozen=True):
    """When a change is heard."""

    position: int | None = None
    heard_in_ms: float | None = None
    note: str = ""


class TransportDone(msgspec.Struct, frozen=True):
    """What the source replied."""

    heard_in_ms: float | None = None
    note: str = ""


class Recording(msgspec.Struct, frozen=True):
    """Whether a take is under way."""

    recording: bool
    take: str  # id; empty where none is


class GraphInfo(msgspec.Struct, frozen=True):
    """The graph as it is wanted now."""

    revision: int
    graph: dict[str, Any]
    can_undo: int
    can_redo: int
    changing: bool


class Edited(msgspec.Struct, frozen=True):
    """The change plays."""

    revision: int
    added: list[str]
    removed: list[str]
    touched: list[str]


class Used(msgspec.Struct, frozen=True):
    """What of this host sessions may have, and what is set aside."""

    capacity: float
    reserved: float


class Memory(msgspec.Struct, frozen=True):
    """Of this host, in MB."""

    total_mb: float
    used_mb: float
    capacity_mb: float
    reserved_mb: float


class GpuInfo(msgspec.Struct, frozen=True):
    """A GPU of this host."""

    name: str


class ModelInfo(msgspec.Struct, frozen=True):
    """A process of the host that sessions share."""

    name: str
    holds: str
    used: int  # places


class HostSession(msgspec.Struct, frozen=True):
    """A session, as far as the host is concerned."""

    id: str
    label: str
    config: str
    state: str
    cores: float
    mb: float


class LogLine(msgspec.Struct, frozen=True):
    """What a process of the service printed."""

    text: str


class HostInfo(msgspec.Struct, frozen=True):
    """This host and what runs on it."""

    version: str
    cpus: int
    load: float  # share of all cores, 0 to 1
    cores: Used
    memory: Memory
    gpu: list[GpuInfo]
    models: list[ModelInfo]
    sessions: list[HostSession]
    costs: dict[str, Reserved]  # of a session, as it was measured, by config
    restarts: dict[str, int]  # of the service's own processes
    draining: bool
    uptime_s: float
    log: list[LogLine]


class Ready(msgspec.Struct, frozen=True):
    """Whether a session could be started now, and why not."""

    ready: bool
    reasons: list[str]


class ErrorBody(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str
    code: str
    where: str


class Error(msgspec.Struct, frozen=True):
    """Every error has this shape."""

    error: ErrorBody


FileInfo = Upload
