"""Spectral envelopes of voices: moving their formants, and comparing two by the shift between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOW_HZ, HIGH_HZ, POINTS = 100.0, 10_000.0, 64  # where a mean envelope is looked at: equal steps of the logarithm
STEP = float(np.log(HIGH_HZ / LOW_HZ)) / (POINTS - 1)
POINTS_HZ = LOW_HZ * np.exp(STEP * np.arange(POINTS))
COMPARED = (POINTS_HZ > 200) & (POINTS_HZ < 5_000)  # where formants are
FACTORS = np.exp(np.linspace(np.log(0.75), np.log(1.35), 61))
DOUBT, BELIEF = 0.1, 0.3  # how far (in the logarithm) formants stray from what pitch makes likely; what that weighs
VOCAL_TRACT = 0.25  # formants go with this power of pitch between speakers: 18 % for the octave of men and women
SMOOTH_HZ = 900.0
MOST_COLOUR = 2.3  # nepers of power: 10 dB
AT_ONCE = 32  # frames: indexing holds the interpreter's lock
TINY = 1e-16


def warped(envelope: Floats, factor: Floats, colour: Floats | None = None) -> Floats:
    """Power envelopes (frames, bins) with frequencies times factor (frames,): above 1 formants rise; power is kept.

    Output bin f is input bin f / factor, between bins by a straight line of the logarithm; beyond the last bin it
    goes on level. `colour` (bins,) or (frames, bins) is then added to the logarithm.
    """
    frames, bins = envelope.shape
    if not frames or (np.all(factor == 1.0) and colour is None):
        return envelope
    curves = np.broadcast_to(0.0 if colour is None else colour, envelope.shape)
    parts = [slice(i, i + AT_ONCE) for i in range(0, frames, AT_ONCE)]
    return np.concatenate([_warped(envelope[part], factor[part], curves[part]) for part in parts])


def _warped(envelope: Floats, factor: Floats, colour: Floats) -> Floats:
    bins = envelope.shape[1]
    at = np.minimum(np.arange(bins) / factor[:, None], bins - 1.0)
    low = np.minimum(at.astype(np.int64), bins - 2)
    logs = np.log(np.maximum(envelope, TINY))
    below, above = np.take_along_axis(logs, low, 1), np.take_along_axis(logs, low + 1, 1)
    y = np.exp(below + (above - below) * (at - low) + colour)
    return np.asarray(y * (power(envelope) / np.maximum(power(y), TINY))[:, None])


def power(envelope: Floats) -> Floats:
    """Mean over both halves of the spectrum (frames,) of power envelopes (frames, bins)."""
    inner: Any = envelope[:, 1:-1].sum(axis=1)
    return np.asarray((2 * inner + envelope[:, 0] + envelope[:, -1]) / (2 * (envelope.shape[1] - 1)))


def mean_shape(envelope: Floats, rate: int) -> Floats:
    """Mean logarithm of power envelopes (frames, bins) at POINTS_HZ, without the level: (POINTS,)."""
    at = np.minimum(POINTS_HZ / (rate / 2), 1.0) * (envelope.shape[1] - 1)
    logs = np.log(np.maximum(envelope, TINY)).mean(axis=0)
    shape = np.interp(at, np.arange(len(logs)), logs)
    return np.asarray(shape - shape.mean())


def likely_factor(source: Floats, target: Floats, log_f0_ratio: float) -> float:
    """The warp under which a source's mean shape (POINTS,) is most like the target's: the ratio of vocal tracts.

    On an axis of log frequency a warp is a shift (vocal tract length normalisation; Eide and Gish, ICASSP 1996).
    Mean spectra alone mistake a microphone's colour for a vocal tract, so what the ratio of pitches makes likely
    counts as well.
    """
    strayed = (np.log(FACTORS) - VOCAL_TRACT * log_f0_ratio) / DOUBT
    fits = np.array([_fit(source, target, float(np.log(factor)) / STEP) for factor in FACTORS])
    return float(FACTORS[int(np.argmax(fits - BELIEF / 2 * strayed**2))])


def _fit(source: Floats, target: Floats, shift: float) -> float:
    """Correlation of two shapes, but for their tilt, after moving the source `shift` points up."""
    at = np.arange(POINTS) - shift
    a, b = np.interp(at, np.arange(POINTS), source)[COMPARED], target[COMPARED]
    axis = np.arange(len(a))
    a, b = (v - np.polyval(np.polyfit(axis, v, 1), axis) for v in (a, b))
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + TINY))


def colouring(source: Floats, target: Floats, factor: float, bins: int, rate: int) -> Floats:
    """What to add to the log power of warped envelopes so that their broad colour is the target's: (bins,).

    The difference of the mean shapes (POINTS,), smoothed over SMOOTH_HZ so that formants are left alone.
    """
    hz = np.arange(bins) * (rate / 2 / (bins - 1))
    moved = np.interp(hz / factor, POINTS_HZ, source)
    difference = np.interp(hz, POINTS_HZ, target) - moved
    width = SMOOTH_HZ / hz[1]
    reach = round(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    smooth = np.convolve(np.pad(difference, reach, mode="edge"), kernel / kernel.sum(), "valid")
    return np.asarray(np.clip(smooth - smooth.mean(), -MOST_COLOUR, MOST_COLOUR))
