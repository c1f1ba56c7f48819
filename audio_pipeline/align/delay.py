"""How much later than at once a microphone has to be heard so that it is rarely too late."""

from __future__ import annotations

LATE_EVENTS = 3  # so many within ...
LATE_WITHIN_NS = 2_000_000_000  # ... are no accident
CALM_NS = 10_000_000_000
SPARE_FRAMES = 2


class DelayKeeper:
    """Watches one timeline that cannot run ahead of the clock; a song has its lead and needs none of this.

    On a busy host frames come late again and again: then a frame of delay is added. Where two frames or more
    (`spare_frames`) were in hand at every tick for ten seconds, one is taken off again. Behind a bridge it takes
    three: there frames come ever earlier in the tick, or ever later, and once a minute or so a whole one.
    """

    def __init__(self, frame_samples: int, spare_frames: int = SPARE_FRAMES) -> None:
        self._frame, self._spare = frame_samples, spare_frames
        self._late: list[int] = []
        self._calm_since_ns: int | None = None

    def note_late(self, now_ns: int, frame_ns: int) -> int:
        """Something came too late; the samples of delay to add. What comes in one burst was held up once."""
        self._calm_since_ns = None
        if self._late and now_ns - self._late[-1] < frame_ns // 2:
            return 0
        self._late = [at for at in self._late if now_ns - at < LATE_WITHIN_NS] + [now_ns]
        if len(self._late) < LATE_EVENTS:
            return 0
        self._late = []
        return self._frame

    def note_spare(self, samples: int, now_ns: int) -> int:
        """What was in hand at a tick; the samples of delay to take off."""
        if samples < self._spare * self._frame:
            self._calm_since_ns = None
            return 0
        self._calm_since_ns = now_ns if self._calm_since_ns is None else self._calm_since_ns
        if now_ns - self._calm_since_ns < CALM_NS:
            return 0
        self._calm_since_ns = None
        return self._frame
