"""What the terminal view shows."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.control.state import Status


@dataclass(frozen=True)
class ScreenState(Status):
    """A pipeline's status and the newest lines of its log."""

    log: tuple[str, ...] = ()
