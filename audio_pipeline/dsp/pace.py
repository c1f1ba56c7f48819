"""Where in the input each output frame of a stretch lies: evenly spaced, but at speed 1 around an onset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.onsets import Onsets

BEFORE = 0.8  # of half a frame: so near, an onset has weight in the frame
OWED_S = 0.06  # most that places may be off by
PAID_BACK = 0.5  # of the speed: by so much it changes until nothing is owed


class Pace:
    """Places advance by hop x speed. Around onsets they advance by hop, and what is owed is paid back afterwards."""

    def __init__(self, hop: int, half: int, channels: int, onsets_at: int | None) -> None:
        self._hop, self._half = hop, half
        self._onsets = None if onsets_at is None else Onsets(onsets_at, channels)
        self._most = OWED_S * (onsets_at or 0)
        self.reset(0.0)

    @property
    def lookahead(self) -> int:
        """Samples beyond a frame's end that have to be known."""
        return 0 if self._onsets is None else self._onsets.lookahead

    def reset(self, place: float) -> None:
        """The next frame lies at `place`, and the next sample noted is sample 0."""
        self.nominal, self._owed = place, 0.0
        self._found: list[int] = []
        if self._onsets is not None:
            self._onsets.reset()

    @property
    def place(self) -> float:
        """Of the next frame's centre in the input, in samples."""
        return self.nominal + self._owed

    @property
    def has_onset(self) -> bool:
        """Whether one is within the next frame."""
        return any(self.place - self._half <= at < self.place + BEFORE * self._half for at in self._found)

    def note(self, x: NDArray[np.float32]) -> None:
        """Samples (n, channels) that came in."""
        if self._onsets is not None:
            self._found += self._onsets.process(x)

    def advance(self, speed: float) -> None:
        """On to the frame after the next one."""
        owed, even = self._owed, self._hop * speed
        held = owed + self._hop - even
        if speed != 1.0 and abs(held) < self._most and self.has_onset:
            owed = held
        else:
            paid = PAID_BACK * even
            owed -= min(max(owed, -paid), paid)
        after = self.nominal + even
        # at speed 1 places are whole, so that the input can be had to the bit
        self.nominal, self._owed = (float(round(after)) if speed == 1.0 else after), owed
        self._found = [at for at in self._found if at >= self.place - self._half]
