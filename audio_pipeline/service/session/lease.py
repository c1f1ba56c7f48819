"""How long a session goes on without anybody: paused first, then ended. Pure: time comes with each call."""

from __future__ import annotations

from enum import Enum

PAUSE_S, END_S = 30.0, 300.0
NEVER = 0.0


class Step(Enum):
    """What the lease asks for."""

    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


class Lease:
    """Renewed by a stamp that changes; its age is measured here, so a clock that is set ends nothing.

    `end_s` 0 keeps the session for ever.
    """

    def __init__(self, end_s: float, now_s: float) -> None:
        self._end_s, self._pause_s = end_s, min(PAUSE_S, end_s)
        self._stamp: int | None = None
        self._since_s = now_s
        self._is_paused = False

    def turn(self, stamp: int, now_s: float) -> Step | None:
        """What is to be done now; each step is asked for once."""
        if stamp != self._stamp:
            self._stamp, self._since_s = stamp, now_s
            return self._renewed()
        if self._end_s == NEVER:
            return None
        age_s = now_s - self._since_s
        if age_s >= self._end_s:
            return Step.END
        if age_s >= self._pause_s and not self._is_paused:
            self._is_paused = True
            return Step.PAUSE
        return None

    def _renewed(self) -> Step | None:
        was, self._is_paused = self._is_paused, False
        return Step.RESUME if was else None
