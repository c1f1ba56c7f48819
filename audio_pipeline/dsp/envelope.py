"""Spectral envelopes of voices: moving their formants, and comparing two by the shift between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW_HZ, HIGH_HZ, POINTS = 200.0, 5_000.0, 48  # where a mean envelope is looked at: equal steps of the logarithm
STEP = float(np.log(HIGH_HZ / LOW_HZ)) / (POINTS - 1)
TINY = 1e-16


def warped(envelope: Floats, factor: Floats) -> Floats:
    """Power envelopes (frames, bins) with frequencies times factor (frames,): above 1 formants rise; power is kept.

    Output bin f is input bin f / factor, between bins by a straight line of the logarithm; beyond the last bin it
    goes on level.
    """
    frames, bins = envelope.shape
    if not frames or np.all(factor == 1.0):
        return envelope
    at = np.minimum(np.arange(bins) / factor[:, None], bins - 1.0)
    low = np.minimum(at.astype(np.int64), bins - 2)
    logs = np.log(np.maximum(envelope, TINY))
    below, above = np.take_along_axis(logs, low, 1), np.take_along_axis(logs, low + 1, 1)
    y = np.exp(below + (above - below) * (at - low))
    return y * (power(envelope) / np.maximum(power(y), TINY))[:, None]


def power(envelope: Floats) -> Floats:
    """Mean over both halves of the spectrum (frames,) of power envelopes (frames, bins)."""
    inner: Any = envelope[:, 1:-1].sum(axis=1)
    return np.asarray((2 * inner + envelope[:, 0] + envelope[:, -1]) / (2 * (envelope.shape[1] - 1)))


def mean_shape(envelope: Floats, rate: int) -> Floats:
    """Mean logarithm of power envelopes (frames, bins) at POINTS frequencies, without level and tilt: (POINTS,)."""
    hz = LOW_HZ * np.exp(STEP * np.arange(POINTS))
    at = hz / (rate / 2) * (envelope.shape[1] - 1)
    logs = np.log(np.maximum(envelope, TINY)).mean(axis=0)
    shape = np.interp(at, np.arange(len(logs)), logs)
    axis = np.linspace(-1, 1, POINTS)
    return np.asarray(shape - np.polyval(np.polyfit(axis, shape, 1), axis))


def best_factor(source: Floats, target: Floats, low: float = 0.75, high: float = 1.35) -> float:
    """The warp under which a source's mean shape (POINTS,) is most like the target's: their vocal tracts' ratio.

    On an axis of log frequency a warp is a shift (Eide and Gish 1996 call it vocal tract length normalisation).
    """
    factors = np.exp(np.linspace(np.log(low), np.log(high), 61))
    fits = [_fit(source, target, float(np.log(factor)) / STEP) for factor in factors]
    return float(factors[int(np.argmax(fits))])


def _fit(source: Floats, target: Floats, shift: float) -> float:
    """Correlation where both are known after moving the source `shift` points up."""
    at = np.arange(POINTS) - shift
    known = (at >= 0) & (at <= POINTS - 1)
    a = np.interp(at[known], np.arange(POINTS), source)
    b = target[known]
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + TINY))
