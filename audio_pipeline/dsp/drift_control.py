"""How fast one clock's samples are read by another clock: the loop of a drift bridge, without the sound."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

BANDWIDTH_HZ = 0.002
SMOOTH = 4
FIRST_HZ = 0.5  # no faster even at first: jittery stamps would be heard as wow
MAX_PPM = 2_000.0  # 3.5 cents: beyond what cards are off by, below what is heard as a change of pitch
JUMP_S = 0.05  # an error of more is no drift: something was lost


@dataclass(frozen=True)
class Span:
    """Where `samples` output samples lie in the input: whole index, fraction, and the ratio from first to last."""

    at: int
    frac: float
    samples: int
    ratio: float
    next_ratio: float

    def offsets(self) -> NDArray[np.float64]:
        """Places relative to `at`; the ratio slews in a straight line, so that pitch never jumps."""
        k = np.arange(self.samples, dtype=np.float64)
        slew = (self.next_ratio - self.ratio) / max(2 * self.samples, 1)
        return self.frac + k * (self.ratio + k * slew)

    @property
    def advance(self) -> float:
        """Input samples used: the integral of the ratio."""
        return self.samples * (self.ratio + self.next_ratio) / 2

    @property
    def end(self) -> tuple[int, float]:
        """Where the next span begins."""
        place = self.frac + self.advance
        whole = int(place // 1)
        return self.at + whole, place - whole


class DriftControl:
    """A second-order loop that keeps the place that is read where it should be.

    Phase gain sqrt(2) omega and rate gain omega^2 as in `Dll`, so a constant difference of rates leaves no error;
    the bandwidth falls as 1/(2t) from `first_hz` to `bandwidth_hz`: it settles within a minute and then passes on less
    and less of the jitter of the time stamps. A pole at four times the bandwidth keeps the rest from the pitch (as in
    F. Adriaensen, "Controlling adaptive resampling", Linux Audio Conference 2012). Place and fraction are kept
    apart, so that days cost no precision.
    """

    def __init__(
        self,
        rate: int,
        *,
        bandwidth_hz: float = BANDWIDTH_HZ,
        first_hz: float = FIRST_HZ,
        max_ppm: float = MAX_PPM,
    ) -> None:
        if rate < 1 or not 0 < bandwidth_hz < 1 or not 0 < max_ppm <= 20_000:
            raise ConfigError(
                f"a drift bridge needs a rate, a bandwidth below 1 Hz and at most 20000 ppm, "
                f"got {rate}, {bandwidth_hz}, {max_ppm}"
            )
        self.rate, self._bandwidth, self._limit = rate, bandwidth_hz, max_ppm * 1e-6
        self._first = max(first_hz, bandwidth_hz)
        self.error_samples = 0.0
        self.start(0)

    def start(self, at: int, frac: float = 0.0, *, keep_rate: bool = False) -> None:
        """Reads from here on; `keep_rate` where the clocks are the same as before."""
        self.at, self.frac = at, frac
        if not keep_rate:
            self.ratio, self._drift = 1.0, 0.0
        self._elapsed_s = self._smooth = 0.0

    def move(self, at: int, frac: float) -> None:
        """Reads from here on, at the speed of before: the place jumped, no clock did."""
        self.at, self.frac, self._smooth = at, frac, 0.0

    @property
    def ppm(self) -> float:
        """By how much the input's clock is faster than the output's, as far as is known."""
        return self._drift * 1e6

    @property
    def place(self) -> float:
        """What is read next; for differences of a few samples use `behind`."""
        return self.at + self.frac

    def behind(self, at: int, frac: float = 0.0) -> float:
        """Samples between what is read next and a place."""
        return at - self.at + frac - self.frac

    def peek(self, samples: int) -> Span:
        """Where the next samples would be read, did nothing change."""
        return Span(self.at, self.frac, samples, self.ratio, self.ratio)

    def lost(self, at: int, frac: float = 0.0) -> bool:
        """True where a wanted place is too far off to be reached by a change of speed."""
        return abs(self.behind(at, frac)) > JUMP_S * self.rate

    def advance(self, samples: int, at: int, frac: float = 0.0, *, bend: float = 0.0) -> Span:
        """The next `samples`, behind which `at + frac` should be read; any distance is made up for by speed alone.

        `bend` is added to the ratio where the wanted place itself moves on purpose: it is no drift.
        """
        if samples <= 0:
            return self.peek(0)
        dt = samples / self.rate
        self.error_samples = self.behind(at, frac) - samples * (self.ratio + bend)
        self._elapsed_s += dt
        bandwidth_hz = max(self._bandwidth, min(0.5 / (self._elapsed_s + dt), self._first))
        omega = min(2 * pi * bandwidth_hz, 0.5 / dt)
        self._smooth += min(SMOOTH * omega * dt, 1.0) * (self.error_samples - self._smooth)
        error_s = self._smooth / self.rate
        self._drift = self._limited(self._drift + omega**2 * error_s * dt)
        target = 1.0 + self._limited(self._drift + sqrt(2) * omega * error_s + bend)
        span = Span(self.at, self.frac, samples, self.ratio, target)
        self.ratio = target
        self.at, self.frac = span.end
        return span

    def _limited(self, off: float) -> float:
        return min(max(off, -self._limit), self._limit)
