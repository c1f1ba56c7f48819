"""Key without tempo, while it plays: stretched by the ratio, then read as much faster."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.onsets import Onsets
from audio_pipeline.dsp.sinc import HALF, interpolate
from audio_pipeline.dsp.stretch import FRAME, OVERLAP, WAITED_HOPS, Piece, Samples, Stretch
from audio_pipeline.dsp.vocoder import Complexes
from audio_pipeline.errors import ConfigError

MOST = 12.0  # semitones up or down
EARLY = 3072  # samples: what onsets come early at most, at 48 kHz and the rates below
EDGE = 0.95  # of the highest frequency that is still there after a shift up: what lies above would fold back
LIFTER_S = 0.0016  # quefrencies below it are the envelope: voices up to 600 Hz
FLOOR = 1e-10  # of magnitude
MOST_GAIN = 8.0  # of a formant: 18 dB


@dataclass(frozen=True)
class _Stretched:
    """A piece, and the number of its first sample in the stretched sound."""

    first: int
    piece: Piece


class KeyShift:
    """A stream (n, channels) by so many semitones, sample for sample: sample p of the output is sample p of the input.

    With `formants` the spectral envelope stays where it is, as it does when a voice sings higher; without, it moves
    along, as it may for a band. With `onsets` drums stay sharp, and may come up to 60 ms early or late. At 0
    semitones, and half a second after a return to it, the output is the input to the bit.
    """

    def __init__(
        self, channels: int, rate: int, semitones: float = 0.0, *, formants: bool = False, onsets: bool = False
    ) -> None:
        self._channels = channels
        self._lifter = max(round(LIFTER_S * rate), 2) if formants else 0
        speed, onsets_at = 1 / ratio_of(semitones), rate if onsets else None
        self._stretch = Stretch(channels, speed, shape=self._shaped, onsets_at=onsets_at)
        self.reset()

    def reset(self) -> None:
        """The next sample is sample 0."""
        self._stretch.reset()
        self._held: Samples = np.zeros((HALF, self._channels), np.float32)  # of the stretched sound
        self._start = -HALF  # number of the first sample held
        self._waiting: deque[_Stretched] = deque()
        self._stretched = self._sent = self._end = 0

    def set_semitones(self, semitones: float) -> None:
        """From the next sample on. ConfigError beyond an octave."""
        self._stretch.set_speed(1 / ratio_of(semitones))

    def process(self, x: Samples) -> Samples:
        """What x (n, channels) completes of the output."""
        self._end += len(x)
        return self._read(self._stretch.pieces(x))

    def flush(self) -> Samples:
        """The rest: as many samples come out as went in."""
        left = self._end - self._sent
        zeros = np.zeros((latency_samples(MOST, onsets=True) + self._stretch.hop, self._channels), np.float32)
        return self._read(self._stretch.pieces(zeros))[:left]

    def _read(self, pieces: list[Piece]) -> Samples:
        for piece in pieces:
            self._waiting.append(_Stretched(self._stretched, piece))
            self._stretched += len(piece.sound)
        self._held = np.concatenate([self._held, *(piece.sound for piece in pieces)])
        out = [np.zeros((0, self._channels), np.float32)]
        while self._waiting and self._waiting[0].first + self._stretch.hop + HALF < self._stretched:
            out.append(self._part(self._waiting.popleft()))
        self._forget()
        return np.concatenate(out)

    def _part(self, at: _Stretched) -> Samples:
        """The samples whose places lie in a piece."""
        piece, hop = at.piece, self._stretch.hop
        wanted = np.arange(max(math.ceil(piece.begin), self._sent), math.ceil(piece.end))
        self._sent += len(wanted)
        if piece.end - piece.begin == hop and piece.begin == round(piece.begin):
            return piece.sound[wanted - round(piece.begin)]
        # places count from the piece, so that no cut changes their rounding
        around = self._held[at.first - self._start - HALF :]
        places = HALF + (wanted - piece.begin).astype(np.float64) * (hop / (piece.end - piece.begin))
        return interpolate(around, places)

    def _forget(self) -> None:
        needless = (self._waiting[0].first if self._waiting else self._stretched) - HALF - self._start
        if needless > 0:
            self._held, self._start = self._held[needless:].copy(), self._start + needless

    def _shaped(self, spectrum: Complexes, speed: float) -> Complexes:
        """Without what would fold back, with the formants where they belong."""
        bins = spectrum.shape[1]
        if self._lifter:
            spectrum = spectrum * _formant_gains(np.abs(spectrum).sum(axis=0), 1 / speed, self._lifter)
        if speed < 1.0:
            spectrum = spectrum * np.clip((speed - np.arange(bins) / (bins - 1)) / (speed * (1 - EDGE)), 0.0, 1.0)
        return spectrum


def latency_samples(most: float, *, onsets: bool = False) -> int:
    """Samples of input after a place that its output waits for, at most, where no shift exceeds `most` semitones."""
    speed = ratio_of(abs(most))
    waited = math.ceil((WAITED_HOPS * FRAME / OVERLAP + HALF + 1) * speed)
    return FRAME // 2 + waited + (Onsets.lookahead + EARLY if onsets else 0)


def ratio_of(semitones: float) -> float:
    """Of frequencies. ConfigError beyond an octave.

    >>> ratio_of(12.0), ratio_of(-12.0)
    (2.0, 0.5)
    """
    if not -MOST <= semitones <= MOST:
        raise ConfigError(f"semitones: expected -{MOST:g} to {MOST:g}, got {semitones!r}")
    return float(2.0 ** (semitones / 12))


def _formant_gains(magnitude: NDArray[np.float64], ratio: float, lifter: int) -> NDArray[np.float64]:
    """E(f ratio) / E(f) (bins,): reading faster by `ratio` then puts the envelope E back where it was."""
    if not magnitude.any():
        return np.ones(len(magnitude))
    bins = np.arange(len(magnitude), dtype=np.float64)
    logs = np.log(np.maximum(magnitude, FLOOR * magnitude.max()))
    cepstrum = np.fft.irfft(logs)
    cepstrum[lifter:-lifter] = 0.0
    envelope = np.fft.rfft(cepstrum).real
    moved = np.interp(bins * ratio, bins, envelope)
    return np.clip(np.exp(moved - envelope), 1 / MOST_GAIN, MOST_GAIN)
