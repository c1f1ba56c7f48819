"""Two simulated sound cards whose clocks drift apart, with the jitter that real ones have, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.clock import ClockLine
from audio_pipeline.dsp.dll import Dll
from audio_pipeline.dsp.drift_control import Span
from audio_pipeline.dsp.drift_reader import DriftReader
from audio_pipeline.dsp.sinc import HALF

RATE, BLOCK = 48_000, 480
START_NS = 5_000_000_000_000
JITTER_NS = 100_000.0  # of a time stamp
LATE_NS = 300_000.0  # of a callback, on average
HICCUP = 2_000  # one callback in so many comes 8 ms late, stamp and all
PUBLISH_BLOCKS = 10

Samples = NDArray[np.float32]
Ppm = Callable[[float], float]  # by seconds since the start


class Card:
    """A card that has `ppm` more samples a second than it says. `line` is what its node publishes."""

    def __init__(self, ppm: Ppm, seed: int) -> None:
        self._ppm, self._random, self._dll = ppm, np.random.default_rng(seed), Dll(RATE)
        self.position, self.time_ns, self.rate = 0, float(START_NS), float(RATE)
        self._noise: list[tuple[float, float]] = []
        self._blocks = 0
        self.line = ClockLine(0.0, START_NS, float(RATE))

    def step(self) -> float:
        """The next block: its true end is `time_ns`; returns the host time at which its callback runs."""
        self.rate = RATE * (1 + self._ppm((self.time_ns - START_NS) / 1e9) * 1e-6)
        self.position += BLOCK
        self.time_ns += BLOCK / self.rate * 1e9
        jitter, late = self._draw()
        self._dll.update(self.position, round(self.time_ns + jitter))
        self._blocks += 1
        if self._blocks % PUBLISH_BLOCKS == 0:
            self.line = ClockLine(self.position, round(self._dll.host_ns_at(self.position)), self._dll.rate)
        return self.time_ns + late

    def _draw(self) -> tuple[float, float]:
        if not self._noise:
            n = 10_000
            hiccup = np.where(self._random.random(n) < 1 / HICCUP, 8e6, 0.0)
            jitter = np.abs(self._random.normal(0, JITTER_NS, n)) + hiccup
            late = np.maximum(self._random.exponential(LATE_NS, n), hiccup)
            self._noise = list(zip(jitter.tolist(), late.tolist(), strict=True))
        return self._noise.pop()

    def true_ns(self, position: float) -> float:
        """When the card truly stood at a position near the newest."""
        return self.time_ns + (position - self.position) / self.rate * 1e9

    def true_position(self, host_ns: float) -> float:
        """Where the card truly stood at a time near now."""
        return self.position + (host_ns - self.time_ns) * self.rate / 1e9


class Ledger:
    """Adds up what was read: every span must begin where the last one ended."""

    def __init__(self) -> None:
        self.samples_out = self.broken = self.backwards = 0
        self.used = 0.0
        self.began: Span | None = None
        self.last: Span | None = None
        self.kept: list[Span] = []
        self.keep = False

    def note(self, span: Span) -> None:
        if self.last is not None and (span.at, span.frac) != self.last.end:
            self.broken += 1
        self.backwards += min(span.ratio, span.next_ratio) <= 0
        self.samples_out += span.samples
        self.used += span.advance
        self.began, self.last = self.began or span, span
        if self.keep:
            self.kept.append(span)

    def places(self) -> NDArray[np.float64]:
        """Where each kept output sample lies in the input."""
        return np.concatenate([span.at + span.offsets() for span in self.kept])

    @property
    def span_samples(self) -> float:
        """From the first place to behind the last, by places alone."""
        assert self.began is not None and self.last is not None
        at, frac = self.last.end
        return at - self.began.at + frac - self.began.frac


@dataclass
class Noted(DriftReader):
    """The reader itself, with a ledger of what it was asked for."""

    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        super().__init__(1, RATE, 10 * RATE)

    def read(self, span: Span) -> Samples:
        self.ledger.note(span)
        return super().read(span)


class Counted(Noted):
    """The same without sound: only how far the samples reach."""

    _newest = 0

    @property
    def end(self) -> int:
        return self._newest

    def write(self, position: int, x: Samples) -> None:
        self._newest = position + len(x)

    def available(self, span: Span) -> bool:
        at, frac = span.end
        return at + HALF + (frac > 0) <= self._newest

    def read(self, span: Span) -> Samples:
        self.ledger.note(span)
        self.concealed_samples += 0 if self.available(span) else span.samples
        return NOTHING[: span.samples]


NOTHING = np.zeros((10 * RATE, 0), np.float32)  # as long as sound, but nothing in it


def sine(position: int, n: int, hz: float) -> Samples:
    """(n, 1) of a tone at -6 dBFS from a position on."""
    phase = np.fmod(hz / RATE * np.arange(position, position + n), 1.0)
    return np.asarray(0.5 * np.sin(2 * np.pi * phase), np.float32)[:, None]


def residual_db(y: NDArray[np.float64], places: NDArray[np.float64], hz: float) -> float:
    """Everything that is not the tone at these very places, over the tone."""
    ideal = 0.5 * np.sin(2 * np.pi * np.fmod(hz / RATE * places, 1.0))
    return float(10 * np.log10(np.mean((y - ideal) ** 2) / 0.125))


def thd_n_db(y: NDArray[np.float64], hz: float) -> float:
    """Everything that is not one steady sine near `hz`, over it: what an analyser shows, wavering pitch included."""
    t = (np.arange(len(y)) - len(y) / 2) / RATE
    for _ in range(4):  # frequency by the phase's slope (least squares with the derivative)
        c, s = np.cos(2 * np.pi * hz * t), np.sin(2 * np.pi * hz * t)
        a, *_ = np.linalg.lstsq(np.stack([c, s, t * c, t * s], axis=1), y, rcond=None)
        hz += (a[0] * a[3] - a[1] * a[2]) / (a[0] ** 2 + a[1] ** 2) / (2 * np.pi)
    c, s = np.cos(2 * np.pi * hz * t), np.sin(2 * np.pi * hz * t)
    a, *_ = np.linalg.lstsq(np.stack([c, s], axis=1), y, rcond=None)
    rest = y - np.stack([c, s], axis=1) @ a
    return float(10 * np.log10(np.mean(rest**2) / (np.sum(a**2) / 2)))
