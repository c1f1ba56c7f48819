"""Pitch of speech by YIN (de Cheveigné, Kawahara; JASA 111, 2002), and what it says of a voice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
Wide = np.ndarray[Any, np.dtype[np.float64]]

LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
WINDOW_S, HOP_S = 0.032, 0.01
CERTAIN = 0.15  # of the normalised difference: YIN's threshold
QUIET_DB = 35.0  # below the loudest frame: no pitch


def pitch(x: Array, rate: int) -> Array:
    """Hz every 10 ms of mono x (samples,), 0 where nothing is voiced."""
    longest, shortest = round(rate / LOWEST_HZ), int(rate / HIGHEST_HZ)
    window = round(WINDOW_S * rate)
    reach = window + longest + 1
    if len(x) < reach:
        return np.zeros(0, np.float32)
    rows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), reach)[:: round(HOP_S * rate)]
    normal = _normalised(rows, window, longest)
    dips = np.zeros(normal.shape, bool)
    inner = normal[:, 1:-1]
    dips[:, 1:-1] = (inner <= normal[:, :-2]) & (inner < normal[:, 2:]) & (inner < CERTAIN)
    dips[:, :shortest] = False
    lag = dips.argmax(axis=1)
    power = np.square(rows[:, :window]).mean(axis=1)
    audible = dips.any(axis=1) & (power > power.max() * 10 ** (-QUIET_DB / 10))
    found = np.zeros(len(rows))
    found[audible] = rate / _between(normal[audible], lag[audible])
    return found.astype(np.float32)


def _normalised(rows: Wide, window: int, longest: int) -> Wide:
    """The cumulative mean normalised difference (frames, lags), YIN's equations 6 and 8, by FFT."""
    size = 1 << int(np.ceil(np.log2(rows.shape[1] + window)))
    ahead = np.fft.rfft(rows, size, axis=1)
    product = np.fft.irfft(ahead * np.fft.rfft(rows[:, :window], size, axis=1).conj(), size, axis=1)[:, : longest + 2]
    total = np.cumsum(np.pad(np.square(rows), ((0, 0), (1, 0))), axis=1)
    energy = total[:, window:][:, : longest + 2] - total[:, : longest + 2]
    product = product[:, : energy.shape[1]]
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0.0)
    lags = np.arange(1, difference.shape[1])
    normal: Wide = np.ones_like(difference)
    normal[:, 1:] = difference[:, 1:] * lags / np.maximum(np.cumsum(difference[:, 1:], axis=1), 1e-12)
    return normal


def _between(normal: Wide, lag: np.ndarray[Any, np.dtype[np.intp]]) -> Wide:
    """The lags of the minima of parabolas through three points."""
    at = np.arange(len(lag))
    before, here, after = normal[at, lag - 1], normal[at, lag], normal[at, lag + 1]
    bend = before - 2 * here + after
    return np.asarray(lag + 0.5 * (before - after) / np.where(bend > 0, bend, np.inf))


@dataclass(frozen=True)
class PitchRange:
    """Where a voice lies and how far it moves."""

    median_hz: float
    sd_semitones: float


def pitch_range(hz: Array) -> PitchRange | None:
    """Of a contour with 0 where unvoiced; octave errors, beyond 9 semitones of the median, are left out."""
    voiced = 12 * np.log2(hz[hz > 0])
    if len(voiced) < 10:
        return None
    near = voiced[np.abs(voiced - np.median(voiced)) < 9]
    return PitchRange(float(2 ** (np.median(near) / 12)), float(near.std()))
