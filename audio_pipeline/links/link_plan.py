"""A link as planned: what the supervisor derives from the graph and hands to the processes at both ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.refs import InputKey, PortRef

Ends = tuple[PortRef, InputKey]


@dataclass(frozen=True)
class LinkPlan:
    """One link with everything derived for it. The last three depend on the run and stand in jobs only."""

    source: PortRef
    target: InputKey
    policy: str  # of the producer's queue
    budget_ms: float  # longest time that a frame may spend on it
    window: int  # frames under way
    queue: int  # frames that wait at the producer
    timeline: str
    latency_ms: float  # stated age of a frame's first sample when it arrives
    align_samples: int = 0  # that its buffer must hold; 0: its input is not aligned
    on_loss: str | None = None
    events: bool = False
    muted: bool = False  # connected, but silent: a bypass of silence is heard in place of its producer
    has_standby: bool = False  # another link stands by for it
    eager: bool = False  # its source cannot run ahead of the clock: to be up to date is worth more than the start
    spare_frames: int = 2  # of an eager one: what may be in hand before it is heard sooner
    endpoint: str = ""  # where its producer is found
    clock: str = ""  # for a bridge: the record that positions here are counted by
    same_clock: bool = True  # the file gives both sides of the bridge one clock

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> LinkPlan:
        """The inverse of `dataclasses.asdict`, for what comes from our own supervisor."""
        return cls(**{**raw, "source": PortRef(**raw["source"]), "target": InputKey(**raw["target"])})

    @property
    def standby(self) -> bool:
        """True where it stands by for another link."""
        return self.target.standby
