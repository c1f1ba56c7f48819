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
    inputs: list[LinkPlan]
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
        inputs = [LinkPlan.of(item) for item in raw.pop("inputs")]
        outputs = [build(OutJob, item) for item in raw.pop("outputs")]
        return cls(inputs=inputs, outputs=outputs, **raw)


def pack_jobs(jobs: Sequence[Job]) -> bytes:
    """The jobs of one process, as msgpack."""
    packed: bytes = dumps([dataclasses.asdict(job) for job in jobs])
    return packed


def unpack_jobs(data: bytes) -> list[Job]:
    """The inverse of `pack_jobs`."""
    return [Job.of(raw) for raw in loads(data)]
