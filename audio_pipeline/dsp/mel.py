"""Mel spectrograms of power, streamed: Slaney's scale, triangles of equal area or height."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from audio_pipeline.dsp.windows import hann
from audio_pipeline.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float32]]

BREAK_HZ, BREAK_MEL = 1000.0, 15.0  # linear below (3 mels in 200 Hz), logarithmic above
STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: Any) -> Any:
    """Slaney's Auditory Toolbox scale, for numbers and arrays.

    >>> float(hz_to_mel(1000.0)), round(float(hz_to_mel(6400.0)), 6)
    (15.0, 42.0)
    """
    hz = np.asarray(hz, np.float64)
    return np.where(hz < BREAK_HZ, hz * 3 / 200, BREAK_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / STEP)


def mel_to_hz(mel: Any) -> Any:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    return np.where(mel < BREAK_MEL, mel * 200 / 3, BREAK_HZ * np.exp(STEP * (mel - BREAK_MEL)))


def triangles(rate: int, frame: int, bands: int, top_hz: float) -> Array:
    """(bands, bins) for spectra of `frame` samples: triangles of height 1 between neighbouring centres."""
    edges = _edges_hz(bands, top_hz)
    bins = np.linspace(0.0, rate / 2, frame // 2 + 1)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    found: Array = np.maximum(0.0, np.minimum(rise, fall))
    return found


def _edges_hz(bands: int, top_hz: float) -> Any:
    return mel_to_hz(np.linspace(0.0, float(hz_to_mel(top_hz)), bands + 2))


@dataclass(frozen=True)
class Mel:
    """Bands of the power spectrum of frames of `frame` samples (periodic Hann) every `hop` samples."""

    rate: int
    frame: int
    hop: int
    bands: int

    def __post_init__(self) -> None:
        if not 0 < self.hop <= self.frame or self.bands < 1 or self.rate < 1:
            raise ConfigError(
                f"a mel spectrogram of {self.bands} bands cannot have frames of {self.frame} every {self.hop} samples"
            )

    @cached_property
    def filters(self) -> Array:
        """(bands, bins): triangles between neighbouring centres, each of area 1 over Hz."""
        edges = _edges_hz(self.bands, self.rate / 2)
        area = 2.0 / (edges[2:] - edges[:-2])
        whole = triangles(self.rate, self.frame, self.bands, self.rate / 2)
        filters: Array = (whole * area[:, None]).astype(np.float32)
        return filters

    @cached_property
    def window(self) -> Array:
        """Hann, periodic."""
        return hann(self.frame)

    def frames(self, x: Array) -> Array:
        """(frames, bands) of the whole frames in mono x (samples,), the first at x[0]."""
        count = max(0, (len(x) - self.frame) // self.hop + 1)
        if not count:
            return np.zeros((0, self.bands), np.float32)
        rows = np.lib.stride_tricks.sliding_window_view(x, self.frame)[:: self.hop][:count]
        power = np.abs(np.fft.rfft(rows * self.window, axis=1)) ** 2
        mel: Array = (power @ self.filters.T).astype(np.float32)
        return mel

    def centred(self, x: Array) -> Array:
        """(1 + samples // hop, bands): frame i is centred on sample i * hop, with silence around x."""
        around = np.zeros(self.frame // 2, np.float32)
        return self.frames(np.concatenate([around, x, around]))
