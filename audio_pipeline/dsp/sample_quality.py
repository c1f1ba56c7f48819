"""How good a recording of speech is: noise under it, samples at the end of the scale, how high its spectrum reaches."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

WINDOW_S = 0.03
QUIETEST_DB = -100.0  # below lies digital silence
BEST_DB = 80.0
LEAST_PAUSE = 5  # windows
FULL = 0.9999
RUN, RUNS = 3, 3  # equal samples in a row, and how often that must be the case
SPECTRUM_S = 0.04
FLOOR_DB = -60.0  # under the strongest band
OVER_NOISE_DB = 3.0
SMOOTH_HZ = 200.0


def snr_db(x: Array, rate: int, spoken: Flags) -> float:
    """Level of speech over what is heard in its pauses, up to 80 dB, for mono sound (samples,).

    `spoken` says of each window of 30 ms whether it is speech. Without pauses the quietest windows stand for them,
    so that the noise is rather over- than underestimated.
    """
    size = round(WINDOW_S * rate)
    count = min(len(x) // size, len(spoken))
    power = np.square(x[: count * size].reshape(count, size), dtype=np.float64).mean(axis=1)
    spoken = spoken[:count]
    if not np.any(spoken):
        return 0.0
    pauses = power[~spoken] if np.sum(~spoken) >= LEAST_PAUSE else np.sort(power)[: max(count // 20, 1)]
    noise = max(float(np.median(pauses)), 10 ** (QUIETEST_DB / 10))
    speech = max(float(power[spoken].mean()) - noise, noise * 1e-3)
    return float(min(10 * np.log10(speech / noise), BEST_DB))


def clipped_ms(x: Array, rate: int) -> float:
    """For how long the converter was at its end: flat tops at full scale, or at a lower one that was turned down later.

    A top is three or more samples in a row that are exactly the greatest or the least of the clip (mono, (samples,)),
    and a clip that is clipped has several: the crest of a slow wave can be flat once.
    """
    tops: list[int] = []
    for end in (np.max(x, initial=0.0), np.min(x, initial=0.0)):
        if not end:
            continue
        flat = (np.abs(x) >= FULL) & (np.sign(x) == np.sign(end)) if abs(end) >= FULL else x == end
        tops += [length for is_flat, run in groupby(flat.tolist()) if is_flat and (length := len(list(run))) >= RUN]
    return sum(tops) * 1000 / rate if len(tops) >= RUNS else 0.0


def bandwidth_hz(x: Array, rate: int, spoken: Flags) -> float:
    """Up to where there is something of the voice in mono sound (samples,): the highest frequency at which speech
    is within 60 dB of its strongest band, and 3 dB over the pauses."""
    size = round(SPECTRUM_S * rate)
    hop = round(WINDOW_S * rate)
    starts = np.arange(min(len(spoken), max((len(x) - size) // hop + 1, 0))) * hop
    if not len(starts) or not np.any(spoken):
        return 0.0
    power = np.abs(np.fft.rfft(x[starts[:, None] + np.arange(size)] * np.hanning(size).astype(np.float32))) ** 2
    spoken = spoken[: len(starts)]
    speech = _smooth(power[spoken].mean(axis=0), rate / size) if np.any(spoken) else power[0]
    audible = speech > speech.max() * 10 ** (FLOOR_DB / 10)
    if np.sum(~spoken) >= LEAST_PAUSE:
        audible &= speech > _smooth(np.median(power[~spoken], axis=0), rate / size) * 10 ** (OVER_NOISE_DB / 10)
    return float(np.flatnonzero(audible)[-1] * rate / size) if np.any(audible) else 0.0


def _smooth(spectrum: Any, step_hz: float) -> Any:
    """The mean over 200 Hz."""
    width = max(round(SMOOTH_HZ / step_hz), 1) | 1
    return np.convolve(np.pad(spectrum, width // 2, mode="edge"), np.ones(width) / width, "valid")
