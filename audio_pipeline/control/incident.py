"""What is kept of a death: for the ledger, for events, for the report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class LinkFlow:
    """The account of every frame of a link, without ages."""

    source: str
    target: str
    offered: int
    delivered: int
    dropped: dict[str, int]
    queued: int
    in_flight: int
    balanced: bool


@dataclass(frozen=True)
class Incident:
    """A process died, or the supervisor lacked something; the last three are empty in all but the newest."""

    time_s: float
    node: str  # `supervisor` where the supervisor itself had too little of something
    pid: int | None
    incarnation: int
    cause: str
    others: tuple[str, ...] = ()  # nodes of the same process
    log: tuple[str, ...] = ()  # its last lines
    ledger: tuple[LinkFlow, ...] = ()  # of its links
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def brief(self) -> Incident:
        """Without what is long."""
        return replace(self, log=(), ledger=(), settings={})
