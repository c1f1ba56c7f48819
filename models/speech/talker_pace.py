"""How long the next piece may be, so that it is made before what is heard now has ended."""

from __future__ import annotations

from collections.abc import Callable

SHARE = 0.8  # of the time that is left, for what varies
SMOOTH = 0.5  # weight of the newest piece
HOPELESS = 0.95  # real-time factor from which on short pieces would only make more pauses


class Pace:
    """Learns what a character costs; `clock` is in seconds. Sound is played as soon as it is there."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._cost_s = self._factor = 0.0  # a character, and a second of sound
        self._ends_s = 0.0  # when what was made will have been played

    def made(self, characters: int, took_s: float, sound_s: float) -> None:
        """A piece is there now."""
        weight = SMOOTH if self._cost_s else 1.0
        self._cost_s += weight * (took_s / max(characters, 1) - self._cost_s)
        self._factor += weight * (took_s / max(sound_s, 1e-3) - self._factor)
        self._ends_s = max(self._ends_s, self.clock()) + sound_s

    @property
    def most(self) -> float | None:
        """Characters that the next piece may have; None where it does not matter."""
        if not self._cost_s or self._factor > HOPELESS:
            return None
        return SHARE * max(self._ends_s - self.clock(), 0.0) / self._cost_s
