"""What there is to see of a running pipeline, in three messages: what it is made of, what moves, what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.incident import Incident
from audio_pipeline.refs import InputKey, PortRef


@dataclass(frozen=True)
class NodeDescription:
    """One node as wanted now."""

    kind: str
    process: str  # of the group that shares a process, or the node's own name
    outputs: tuple[str, ...]
    events: tuple[str, ...]
    event_inputs: tuple[str, ...]
    latency_ms: dict[str, float]  # window, lookahead, hop, compute, total
    settings: dict[str, Any]  # those of inputs under `inputs`
    live: tuple[str, ...]  # names that `set` takes


@dataclass(frozen=True)
class Ends:
    """Both ends of a link."""

    source: str  # node.port
    target: str  # node.input

    @property
    def output(self) -> PortRef:
        return PortRef.parse(self.source)

    @property
    def input(self) -> InputKey:
        return InputKey.parse(self.target)


@dataclass(frozen=True)
class LinkDescription(Ends):
    """One link as planned."""

    policy: str
    budget_ms: float
    window: int  # frames
    standby: bool = False


@dataclass(frozen=True)
class PathDescription:
    """One way of sound from a source to a sink."""

    path: tuple[str, ...]
    terms_ms: dict[str, float]  # what each node states to add
    total_ms: float
    stated_ms: float  # without the sink's own latency: what frames should measure when the sink takes them
    budget_ms: float | None = None
    monitor: bool = False  # microphone to mixer to loudspeaker


@dataclass(frozen=True)
class Description:
    """What the pipeline is made of. Changes with `revision`."""

    name: str
    run: str
    folder: str
    rate: int
    frame_samples: int
    live: bool
    revision: int  # rises when desired or known state changes
    graph_revision: int  # rises with each change of the graph
    nodes: dict[str, NodeDescription]
    links: tuple[LinkDescription, ...]
    paths: tuple[PathDescription, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeMeters:
    """What a node does now."""

    state: str
    pid: int | None = None
    restarts: int = 0
    cpu: float = 0.0  # cores in use
    rss_mb: float = 0.0
    busy: float = 0.0  # share of the time its loop worked
    disk_wait_s: float = 0.0
    levels_db: dict[str, tuple[float, ...]] | None = None  # by port: peak and RMS of the last 100 ms, dBFS
    note: str = ""  # its last log line, while it is not running


@dataclass(frozen=True)
class LinkMeters:
    """What waits on a link now, and what it has lost; in the order of the description's links."""

    queued: int
    in_flight: int
    dropped: int  # frames that were wanted: without those that a seek or a stop cancelled
    age_p99_ms: float
    balanced: bool = True


@dataclass(frozen=True)
class SongMeters:
    """What a source plays, as it is audible now."""

    playing: bool
    loop: bool
    media_s: float
    length_s: float
    media_id: str


@dataclass(frozen=True)
class Meters:
    """What moves. Small: read off the boards, at most 20 times a second."""

    revision: int
    graph_revision: int
    uptime_s: float  # since the clock started, 0 before
    position: int
    progress: float  # offline: share of the longest song that is through
    master: str  # of the clock: a node, or `host`
    ppm: float
    nodes: dict[str, NodeMeters]
    links: tuple[LinkMeters, ...]
    transport: dict[str, SongMeters]
    incident_count: int = 0
    ended: bool = False


@dataclass(frozen=True)
class Quantiles:
    """Of a duration, in ms."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True)
class Times:
    """A duration that was measured again and again; `counts` by bin as on boards."""

    count: int
    sum_ms: float
    p50: float
    p99: float
    max: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class NodeLedger:
    """What a node counted, over all its processes."""

    note: str
    printed: str  # file in the runtime folder
    counters: dict[str, int]
    gauges: dict[str, float]  # those that are finite
    worst_step_ms: float | None = None
    wait: Times | None = None
    work: Times | None = None


@dataclass(frozen=True)
class WorstFrame:
    """The oldest frame when it was taken."""

    source: str
    target: str
    seq: int
    position: int
    epoch: int
    time: float  # Unix
    age_ms: float


@dataclass(frozen=True)
class LinkLedger(Ends):
    """The account of every frame of a link: offered = delivered + dropped + queued + in flight."""

    policy: str
    budget_ms: float
    window: int
    offered: int
    delivered: int
    queued: int
    in_flight: int
    dropped: dict[str, int]  # by reason, without zeros
    balanced: bool
    age_ms: Quantiles
    age_counts: tuple[int, ...]  # by bin as on boards
    standby: bool = False
    worst: WorstFrame | None = None


@dataclass(frozen=True)
class TapLedger:
    """The same of all taps of a port together."""

    source: str
    offered: int
    delivered: int
    queued: int
    in_flight: int
    dropped: dict[str, int]
    balanced: bool


@dataclass(frozen=True)
class Measured:
    """How old a source's sound was when the sink of a path took it, in ms."""

    count: int
    p50: float
    p99: float
    max: float
    counts: tuple[int, ...]
    worst: WorstFrame | None = None


@dataclass(frozen=True)
class PathLedger:
    """What a path took."""

    path: tuple[str, ...]
    measured: Measured | None = None


@dataclass(frozen=True)
class Ledger:
    """What was counted since the start."""

    graph_revision: int
    uptime_s: float
    nodes: dict[str, NodeLedger]
    links: tuple[LinkLedger, ...]
    former_links: tuple[LinkLedger, ...]
    taps: tuple[TapLedger, ...]
    paths: tuple[PathLedger, ...]
    incidents: tuple[Incident, ...]
    incident_count: int
    log: tuple[str, ...]
    left_out: tuple[str, ...] = ()
