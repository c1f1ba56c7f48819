"""A spectrogram with a logarithmic frequency axis, column by column as the sound comes in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

Array = NDArray[np.float32]
FLOOR_DB = -120.0
WINDOW_S = 0.085  # long enough to tell 40 Hz from 55


class LogSpectrogram:
    """Power in `bands` equal steps of pitch from `low_hz` to just below half the rate, `columns_per_s` times a second.

    A full-scale sine in every channel reads 0 dB in its band. Column k is of the `window` samples that end with sample
    `(k + 1) * hop`; before the first there is silence. Blocks may be of any length.
    """

    def __init__(self, rate: int, *, bands: int = 96, columns_per_s: float = 20.0, low_hz: float = 40.0) -> None:
        if bands < 1 or not 0 < low_hz < rate / 2:
            reason = f"expected bands >= 1 and low_hz below {rate / 2:g} Hz, got {bands} and {low_hz:g}"
            raise ConfigError(f"spectrogram: {reason}")
        self.rate, self.bands = rate, bands
        self.hop = max(round(rate / columns_per_s), 1)
        self.window = 1 << max(round(np.log2(rate * WINDOW_S)), 4)
        self.edges_hz = np.geomspace(low_hz, rate / 2, bands + 1)
        self._taper = np.hanning(self.window + 1)[:-1].astype(np.float32)
        self._first, self._last = _bins(self.edges_hz, rate, self.window)
        self._held = np.zeros((self.window, 0), np.float32)
        self._due = self.hop  # samples until the next column

    def push(self, x: Array) -> Array:
        """Takes (n, channels); gives the columns that are complete now: (columns, bands) in dB, low bands first."""
        if self._held.shape[1] != x.shape[1]:
            self._held = np.zeros((self.window, x.shape[1]), np.float32)
        columns = []
        while len(x) >= self._due:
            head, x = x[: self._due], x[self._due :]
            self._keep(head)
            self._due = self.hop
            columns.append(self._column())
        self._keep(x)
        self._due -= len(x)
        return np.array(columns, np.float32).reshape(len(columns), self.bands)

    def _keep(self, x: Array) -> None:
        self._held = np.concatenate([self._held, x])[-self.window :]

    def _column(self) -> Array:
        spectrum = np.fft.rfft(self._held * self._taper[:, None], axis=0)
        power = (np.abs(spectrum) ** 2).mean(axis=1) * (2 / self._taper.sum()) ** 2
        loudest = np.array([power[a:b].max() for a, b in zip(self._first, self._last, strict=True)])
        column: Array = np.maximum(10 * np.log10(np.maximum(loudest, 1e-12)), FLOOR_DB).astype(np.float32)
        return column


def _bins(edges_hz: NDArray[np.float64], rate: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First bin and the one after the last of each band; a band narrower than a bin takes the nearest."""
    middles = np.sqrt(edges_hz[:-1] * edges_hz[1:]) * window / rate
    first = np.minimum(np.ceil(edges_hz[:-1] * window / rate), np.round(middles)).astype(np.int64)
    last = np.maximum(np.ceil(edges_hz[1:] * window / rate), np.round(middles) + 1).astype(np.int64)
    return first, np.minimum(last, window // 2 + 1)
