"""What a node that plays frames of another host needs of whatever brings them."""

from __future__ import annotations

from typing import Protocol

from audio_pipeline.frame import Frame
from audio_pipeline.gateway.notices import Notices


class FrameSource(Protocol):
    """Frames with the time at which each arrived. All of it belongs to the node's thread."""

    @property
    def connected(self) -> bool:
        """True while there is a sender."""

    @property
    def notices(self) -> Notices:
        """What happened to the connection, for the log."""

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and the host time in ns at which it arrived; None where none has."""

    def close(self) -> None:
        """Ends the connection and its thread."""
