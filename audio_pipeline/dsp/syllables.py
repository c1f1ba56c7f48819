"""How fast somebody speaks, by the peaks of loudness (de Jong, Wempe; Behavior Research Methods 41, 2009)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]

WINDOW_S, HOP_S = 0.05, 0.01
DIP_DB = 2.0  # a peak counts when loudness fell so far since the one before
BELOW_LOUDEST_DB = 25.0


def syllables(x: Array, rate: int) -> int:
    """Syllable nuclei in mono speech (samples,): maxima of intensity with dips of 2 dB between them."""
    window, hop = round(WINDOW_S * rate), round(HOP_S * rate)
    if len(x) < 2 * window:
        return 0
    shape = np.hanning(window)
    power = np.convolve(np.square(x, dtype=np.float64), shape / shape.sum(), "same")[::hop]
    loud = 10 * np.log10(power + 1e-12)
    floor = np.percentile(loud, 99) - BELOW_LOUDEST_DB
    count, rising, low, high = 0, True, loud[0], loud[0]
    for value in loud:
        low, high = min(low, value), max(high, value)
        if rising and value < high - DIP_DB:
            count, rising, low = count + (high > floor), False, value
        elif not rising and value > low + DIP_DB:
            rising, high = True, value
    return int(count)


def rate_of(x: Array, rate: int) -> float:
    """Syllables a second; 0 for nothing."""
    return syllables(x, rate) * rate / len(x) if len(x) else 0.0
