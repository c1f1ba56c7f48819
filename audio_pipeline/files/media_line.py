"""Where on a file's time line its next sample lies: by counting, corrected where the stamps say otherwise."""

from __future__ import annotations

from audio_pipeline.files.media_facts import Facts
from audio_pipeline.files.media_faults import DAMAGED, GAP, STAMP, Faults

MOST_BACK_S = 1.0  # further back is no overlap, but a clock that began anew
MOST_GAP_S = 6 * 3600.0  # whatever the file says of its length: further on is a clock that began anew


class Line:
    """A position in samples at `rate`, while the sound itself may come at another rate `own`."""

    def __init__(self, rate: int, facts: Facts, faults: Faults) -> None:
        self.rate, self.own = rate, rate
        self.zero_s, self.tolerance_s, self._end_s = facts.zero_s, facts.tolerance_s, facts.end_s
        self._rounding_s = facts.rounding_s
        self._gap = GAP if facts.has_gaps else DAMAGED
        self.off_s = 0.0  # stamp less count, of the last frame that fitted
        self._faults, self._damaged = faults, 0
        self._origin, self._count = 0, 0

    @property
    def place_s(self) -> float:
        """Time of the next sample."""
        return self._origin / self.rate + self._count / self.own

    @property
    def place(self) -> int:
        """Position of the next sample at `rate`."""
        return self._origin - (-self._count * self.rate // self.own)

    def start(self, at_s: float) -> int:
        """Goes on at a stamp after a jump; returns the position."""
        self._origin, self._count = round((at_s - self.zero_s - self.off_s) * self.rate), 0
        return self._origin

    def change(self, own: int) -> None:
        """From here on samples come at another rate."""
        self._origin, self._count, self.own = self.place, 0, own

    def add(self, samples: int) -> None:
        self._count += samples

    def correction(self, at_s: float | None, samples: int, next_s: float | None) -> int:
        """Samples of silence that belong ahead of a frame of `samples`; negative: so many at its start are doubled."""
        if at_s is None:
            return 0
        off_s = at_s - self.zero_s - self.place_s
        if abs(off_s) <= self.tolerance_s:
            self.off_s = off_s
            return 0
        if self._is_odd(samples, next_s):
            self._faults.add(STAMP, self.place_s)
            return 0
        if off_s < -MOST_BACK_S or off_s > self._most_gap_s():
            self._faults.add(STAMP, self.place_s)
            self.zero_s += off_s
            return 0
        self._note(off_s)
        self.off_s = 0.0
        return self._unrounded(off_s * self.own, samples)

    def _unrounded(self, gap: float, samples: int) -> int:
        """A gap in samples; a whole number of frames, where rounded stamps are that near: frames were lost then."""
        frames = round(gap / samples) * samples
        return frames if frames and abs(frames - gap) <= self._rounding_s * self.own else round(gap)

    def _is_odd(self, samples: int, next_s: float | None) -> bool:
        """Whether the frame behind it lies where it would without this stamp."""
        if next_s is None:
            return False
        return abs(next_s - self.zero_s - self.place_s - samples / self.own) <= self.tolerance_s

    def _most_gap_s(self) -> float:
        return MOST_GAP_S if self._end_s is None else min(self._end_s - self.place_s, MOST_GAP_S)

    def _note(self, off_s: float) -> None:
        """A gap where something was damaged is that damage; one at the start is where the sound begins."""
        damaged = self._faults.tallies[DAMAGED].count
        if off_s < 0:
            self._faults.add(STAMP, self.place_s)
        elif damaged == self._damaged and self.place:
            self._faults.add(self._gap, self.place_s, off_s, "frames are missing")
        self._damaged = damaged
