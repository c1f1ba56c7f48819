"""What the scenarios measure in a recording: levels, the share of each track in a mix, the place in a song."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.files.player import Player

Sound = NDArray[np.float64]  # (samples, channels)
FLOOR_DB = -200.0
SEPARATED_HZ = 10_000  # what Spleeter leaves of a song ends at 11 kHz


def level_db(x: Sound) -> float:
    """RMS in dBFS."""
    return float(10 * np.log10(np.mean(np.square(x)) + 10 ** (FLOOR_DB / 10))) if len(x) else FLOOR_DB


def shares_db(mix: Sound, tracks: Sequence[Sound]) -> list[float]:
    """The gain in dB with which each track is in the mix, by least squares."""
    design = np.stack([track.ravel() for track in tracks], axis=1)
    gains, *_ = np.linalg.lstsq(design, mix.ravel(), rcond=None)
    return [float(20 * np.log10(max(abs(gain), 10 ** (FLOOR_DB / 20)))) for gain in gains]


@dataclass(frozen=True)
class Place:
    """Where in a song a piece of sound comes from, and how sure that is (1: a copy)."""

    seconds: float
    certainty: float


class Song:
    """A song as the file source plays it."""

    def __init__(self, path: Path, rate: int) -> None:
        self.name, self.rate = path.name, rate
        player = Player([path], rate, 2)
        blocks = []
        while len(block := player.read(rate)):
            blocks.append(block)
        player.close()
        self.samples: Sound = np.concatenate(blocks).astype(np.float64)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @cached_property
    def _mono(self) -> NDArray[np.float64]:
        return _low(self.samples.mean(axis=1), self.rate)

    @cached_property
    def _spectrum(self) -> NDArray[Any]:
        return np.fft.rfft(self._mono, 2 * len(self._mono))

    @cached_property
    def _energy(self) -> NDArray[np.float64]:
        energy: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(self._mono**2)])
        return energy

    def place(self, x: Sound) -> Place:
        """Where `x` fits best, by normalised correlation with every place."""
        piece, n = _low(x.mean(axis=1), self.rate), len(x)
        both = self._spectrum * np.conj(np.fft.rfft(piece, 2 * len(self._mono)))
        products = np.fft.irfft(both)[: len(self._mono) - n + 1]
        energy = np.maximum((self._energy[n:] - self._energy[:-n]) * np.sum(piece**2), 1e-12)
        fit = products / np.sqrt(energy)
        best = int(np.argmax(fit))
        return Place(best / self.rate, float(fit[best]))

    def at(self, seconds: float, samples: int) -> Sound:
        """That much of the song from a time on; after its end it starts again."""
        start = round(seconds * self.rate)
        return self.samples[np.arange(start, start + samples) % len(self.samples)]


def _low(x: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """What of (samples,) is in the band that separation keeps."""
    spectrum = np.fft.rfft(x)
    spectrum[round(SEPARATED_HZ * len(x) / rate) :] = 0
    return np.fft.irfft(spectrum, len(x))


def longest_silence(x: Sound) -> int:
    """Samples of the longest stretch in which every channel is under -80 dBFS."""
    quiet = np.abs(x).max(axis=1) < 1e-4
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    return int(max(edges[1::2] - edges[::2], default=0))
