"""Speech that comes in parts, without the silence at its two ends."""

from __future__ import annotations

import numpy as np

from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.models.speech.engine import Array

FLOOR = 10 ** (-50 / 20)  # of full scale: the peak of a piece is not known while it comes


class StreamTrim:
    """Gives what has come as soon as it is no end; lengths in samples.

    Of the silence before the speech `lead` samples stay, of that behind it `tail`; the outermost `fade` samples are
    faded. The result does not depend on how the sound was cut.
    """

    def __init__(self, rate: int, lead: int, tail: int, fade: int) -> None:
        self._lead, self._tail, self._fade = lead, tail, fade
        self._held = np.zeros(0, np.float32)
        self._given = 0  # 0: no speech yet

    def push(self, x: Array) -> Array:
        """What can be heard now, (samples,)."""
        self._held = np.concatenate([self._held, x.astype(np.float32)])
        loud = np.flatnonzero(np.abs(self._held) > FLOOR)
        if not self._given and not self._begin(loud):
            return self._held[:0]
        loud = np.flatnonzero(np.abs(self._held) > FLOOR)
        return self._give(max((int(loud[-1]) + 1 if len(loud) else 0) - self._fade, 0))

    def _begin(self, loud: np.ndarray[tuple[int], np.dtype[np.intp]]) -> bool:
        """Drops the silence before the first loud sample; True once there is one, and enough for the fade."""
        first = int(loud[0]) if len(loud) else len(self._held)
        self._held = self._held[max(first - self._lead, 0) :]
        return bool(len(loud)) and len(self._held) >= 2 * self._fade

    def _give(self, samples: int) -> Array:
        out: Array = self._held[:samples].copy()
        self._held = self._held[samples:]
        n = min(max(self._fade - self._given, 0), len(out))
        out[:n] *= fade_in(self._fade)[self._given : self._given + n]
        self._given += samples
        return out

    def finish(self) -> Array:
        """The end: what was held, its silence cut, faded out."""
        loud = np.flatnonzero(np.abs(self._held) > FLOOR)
        if not self._given and not len(loud):
            return self._held[:0]
        end = (int(loud[-1]) + 1 if len(loud) else 0) + self._tail
        rest = self._give(min(end, len(self._held)))
        n = min(self._fade, len(rest))
        rest[len(rest) - n :] *= fade_out(n)
        self._held, self._given = self._held[:0], 0
        return rest
