"""A ring that is written at whole positions and read at places between them."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.drift_control import Span
from audio_pipeline.dsp.extend import Extension
from audio_pipeline.dsp.fade import crossfade
from audio_pipeline.dsp.ring import PositionRing
from audio_pipeline.dsp.sinc import HALF, interpolate
from audio_pipeline.dsp.switch import Switch

Samples = NDArray[np.float32]

FADE_MS = 5
LONG_AGO = -(1 << 62)


class DriftReader:
    """Gives the samples of one span after the other, at a ratio that may change all the time.

    Where samples are missing the last ones are continued for 5 ms, fading out; what comes behind them fades in.
    `concealed_samples` counts replaced samples, `underruns` their spans, `late_samples` those that came too late.
    """

    def __init__(self, channels: int, rate: int, capacity_samples: int) -> None:
        self._channels, self._fade = channels, max(rate * FADE_MS // 1000, 1)
        self._ring = PositionRing(channels, capacity_samples + 4 * HALF)
        self.concealed_samples = self.underruns = self.late_samples = 0
        self.clear()

    def clear(self) -> None:
        """Forgets the sound."""
        self._ring.clear(LONG_AGO)
        self._extension = Extension(self._channels, self._fade)
        self._switch = Switch(self._channels, self._fade, enter_samples=self._fade)
        self._old: Span | None = None
        self._began = self._has_played = self._dry = False

    @property
    def end(self) -> int:
        """One past the newest sample."""
        return self._ring.end

    def write(self, position: int, x: Samples) -> None:
        """Takes (n, channels)."""
        if not len(x):
            return
        if not self._began:  # before the first sample there was silence, and that is known
            self._ring.write(position - 2 * HALF, np.zeros((2 * HALF, self._channels), np.float32))
            self._began = True
        self.late_samples += self._ring.write(position, x).late_samples

    def available(self, span: Span) -> bool:
        """True where nothing of a span is missing."""
        return self._run(span) >= span.samples

    def is_past(self, span: Span) -> bool:
        """True where sound behind a span has come: what is missing in it was lost on the way."""
        return self.end > span.end[0] + HALF

    def _run(self, span: Span) -> int:
        """Output samples from the span's first on whose whole neighbourhood is here; looks past the span's end."""
        spare = self._ring.run(span.at - HALF + 1) - 2 * HALF - span.frac
        return max(floor(spare / max(span.ratio, span.next_ratio)) + 1, 0)

    def read(self, span: Span, *, counted: bool = True) -> Samples:
        """The span's (n, channels); what lies before them is forgotten. `counted`: what is missing is a loss."""
        if not span.samples:
            return np.zeros((0, self._channels), np.float32)
        run = self._run(span)
        if counted:
            self._note(run, span.samples)
        continued, usable, _ = self._extension.process(self._at(span), run)
        out = self._switch.process(continued, usable, np.zeros_like(continued))
        if self._old is not None:
            k = min(self._fade, span.samples)
            out = np.concatenate([crossfade(self._at(self._old)[:k], out[:k]), out[k:]])
            self._old = None
        self._ring.discard_before(span.end[0] - HALF)
        return out

    def jump(self, old: Span) -> None:
        """The next span is no neighbour of the last: what would have been read, `old`, fades out under it."""
        self._old = old

    def _at(self, span: Span) -> Samples:
        places = span.offsets() + (HALF - 1)
        return interpolate(self._ring.read(span.at - HALF + 1, floor(places[-1]) + HALF + 1), places)

    def _note(self, run: int, samples: int) -> None:
        self._has_played = self._has_played or run > 0
        missing = samples - min(run, samples) if self._has_played else 0
        self.concealed_samples += missing
        self.underruns += missing > 0 and not self._dry
        self._dry = missing > 0
