"""What the supervisor hands a node's process: plain data, sent as msgpack."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audio_pipeline.packed import dumps, loads

DUE_MARGIN_FRAMES = 0.5  # an aligned input is used no earlier than its stated arrival plus this


@dataclass(frozen=True)
class InJob:
    """An input as planned. Latencies are what a frame's age should be when every node keeps its word."""

    port: str
    endpoint: str
    identity: str
    timeline: str
    policy: str
    window: int
    queue: int
    budget_ms: float
    on_loss: str = "silence"
    align_samples: int = 0
    standby: bool = False  # this input also has `<port>~bypass`
    events: bool = False
    source: str = ""
    latency_ms: float = 0.0  # stated age of a frame's first sample at this input
    muted: bool = False  # connected, but silent: what is heard of its producer is a bypass of silence
    clock: str = ""  # for a bridge: the record that positions here are counted by
    same_clock: bool = True  # the file gives both sides of the bridge one clock
    spare_frames: int = 2  # of an eager one: what may be in hand before it is heard sooner
    eager: bool = False  # its source cannot run ahead of the clock: to be up to date is worth more than the start


@dataclass(frozen=True)
class OutJob:
    """An output as planned: who listens, and how much past a consumer that comes back may ask for."""

    port: str
    endpoint: str
    timeline: str
    consumers: dict[str, list[Any]]  # identity -> [policy, queue in frames]
    history_samples: int = 0
    events: bool = False
    local: str = ""  # where consumers in the same process connect
    rates: dict[str, int] = field(default_factory=dict)  # identity -> rate that its frames are converted to here


@dataclass(frozen=True)
class Job:
    """One node of one run."""

    name: str
    kind: str
    settings: dict[str, Any]
    input_settings: dict[str, Any]
    rate: int
    frame_samples: int
    live: bool
    folder: str
    token: str
    board: str
    clock: str  # the record that everybody in this node's region reads
    inputs: list[InJob]
    outputs: list[OutJob]
    epoch: int = 1
    incarnation: int = 0
    control: str = ""
    node_paths: list[str] = field(default_factory=list)
    kind_at: str = ""  # module:class of a kind that another interpreter's own registry does not know
    master: bool = False  # writes `clock`
    own_clock: str = ""  # a device's record of its own
    generations: dict[str, int] = field(default_factory=dict)
    anchors: dict[str, list[int]] = field(default_factory=dict)  # timeline -> [anchor, generation]
    state: dict[str, Any] = field(default_factory=dict)  # the node's own snapshot
    transport: dict[str, Any] = field(default_factory=dict)  # position, media_s, playing of a source
    end_position: int | None = None  # offline: where a source stops
    cpus: list[int] | None = None
    nice: int | None = None
    realtime: int | None = None
    joins: bool = False  # the others play already: nothing is taken before the start
    schedule: list[list[Any]] = field(default_factory=list)  # [position, setting, value], offline

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Job:
        """The job in a map that came from our own supervisor."""
        inputs = [InJob(**item) for item in raw.pop("inputs")]
        outputs = [OutJob(**item) for item in raw.pop("outputs")]
        return cls(inputs=inputs, outputs=outputs, **raw)


def pack_jobs(jobs: Sequence[Job]) -> bytes:
    """The jobs of one process, as msgpack."""
    packed: bytes = dumps([dataclasses.asdict(job) for job in jobs])
    return packed


def unpack_jobs(data: bytes) -> list[Job]:
    """The inverse of `pack_jobs`."""
    return [Job.of(raw) for raw in loads(data)]
