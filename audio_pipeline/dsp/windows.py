"""Windows for short-time spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


def hann(samples: int) -> Array:
    """Hann, periodic (samples,): 0 at the first sample only, so that hops which divide it add up evenly.

    >>> hann(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)).astype(np.float32)
