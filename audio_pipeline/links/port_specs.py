"""What each end of a link is set up with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OutSpec:
    """A producer's port: where it binds and who is expected."""

    port: str
    endpoint: str
    stream: int
    rate: int
    channels: int
    timeline: str
    history_samples: int
    consumers: dict[str, tuple[str, int]]  # identity -> (policy, queue in frames)
    rates: dict[str, int] = field(default_factory=dict)  # identity -> rate that it wants converted here
    local: str = ""  # where it binds besides, for consumers in the same process


@dataclass(frozen=True)
class InSpec:
    """A consumer's port: whom it listens to and on which terms."""

    identity: str
    endpoint: str
    window: int
    policy: str
    stream: int = 0
    credit_every: int = 1  # frames taken; fewer where the window is small
    port: str | None = None  # on another host: which output is meant,
    queue: int | None = None  # how many frames may wait there,
    format: str | None = None  # and how they are encoded
