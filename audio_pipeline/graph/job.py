"""What the supervisor hands a node's process: plain data, sent as msgpack."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.packed import dumps, loads
from audio_pipeline.settings import build

DUE_MARGIN_FRAMES = 0.5  # an aligned input is used no earlier than its stated arrival plus this


@dataclass(frozen=True)
class QueueTerms:
    """What becomes of frames that a consumer has no room for."""

    policy: str
    queue: int  # frames


@dataclass(frozen=True)
class OutJob:
    """An output as planned: who listens, and how much past a consumer that comes back may ask for."""

    port: str
    endpoint: str
    timeline: str
    consumers: dict[str, QueueTerms]  # by identity
    history_samples: int = 0
    events: bool = False
    local: str = ""  # where consumers in the same process connect
    rates: dict[str, int] = field(default_factory=dict)  # identity -> rate that its frames are converted to here


@dataclass(frozen=True)
class Anchor:
    """Where an aligned node has put a timeline, and the generation that this holds for."""

    position: int
    generation: int


@dataclass(frozen=True)
class ScheduledSetting:
    """A live setting that changes when the node gets to a position."""

    at: int
    name: str
    value: Any


@dataclass(frozen=True)
class SourcePlace:
    """Where in its timeline and in its song a source goes on."""

    position: int
    playing: bool
    media_s: float


@dataclass(frozen=True)
class Job:
    """One node of one run."""

    name: str
    kind: str
    settings: dict[str, Any]
    input_settings: dict[str, Any]  # settings by input
    rate: int
    frame_samples: int
    live: bool
    folder: str
    token: str
    board: str
    clock: str  # the record that everybody in this node's region reads
    inputs: tuple[LinkPlan, ...]
    outputs: tuple[OutJob, ...]
    epoch: int = 1
    incarnation: int = 0
    control: str = ""
    node_paths: tuple[str, ...] = ()
    kind_at: str = ""  # module:class of a kind that another interpreter's own registry does not know
    master: bool = False  # writes `clock`
    own_clock: str = ""  # a device's record of its own
    generations: dict[str, int] = field(default_factory=dict)
    anchors: dict[str, Anchor] = field(default_factory=dict)  # by timeline
    state: dict[str, Any] = field(default_factory=dict)  # the node's own snapshot
    place: SourcePlace | None = None  # of a source that was here before
    end_position: int | None = None  # offline: where a source stops
    cpus: tuple[int, ...] | None = None
    nice: int | None = None
    realtime: int | None = None
    joins: bool = False  # the others play already: nothing is taken before the start
    schedule: tuple[ScheduledSetting, ...] = ()


def pack_jobs(jobs: Sequence[Job]) -> bytes:
    """The jobs of one process, as msgpack."""
    return dumps([dataclasses.asdict(job) for job in jobs])


def unpack_jobs(data: bytes) -> list[Job]:
    """The inverse of `pack_jobs`. Raises ConfigError for what is no job."""
    return [build(Job, raw, ("job",)) for raw in loads(data)]
