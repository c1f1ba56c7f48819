"""The two ends of sound between hosts, as a node uses them: where frames come from, and where they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from audio_pipeline.frame import Frame
from audio_pipeline.gateway.notices import Notices

if TYPE_CHECKING:
    from audio_pipeline.context import Context


class FrameEnd(Protocol):
    """What both ends have."""

    @property
    def connected(self) -> bool:
        """True while there is somebody at the other side."""

    @property
    def notices(self) -> Notices:
        """What happened to the connection, for the log."""

    def report(self, ctx: Context) -> None:
        """Notices to a node's log, and how the connection is as its gauges and counters."""

    def close(self) -> None:
        """Says goodbye, and lets go of the connection."""


class FrameSource(FrameEnd, Protocol):
    """Frames with the time at which each arrived. All of it belongs to the node's thread."""

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and the host time in ns at which it arrived; None where none has."""


class FrameSink(FrameEnd, Protocol):
    """Takes frames for the other side. `offer` may be called from any thread."""

    def offer(self, frame: Frame) -> None:
        """Sends it, or drops it where nobody takes it in time: what is late is worth nothing."""
