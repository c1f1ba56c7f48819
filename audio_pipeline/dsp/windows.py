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


def vorbis(samples: int) -> Array:
    """Vorbis I's power-complementary window (samples,): squared it adds up to 1 at a hop of half its length.

    >>> bool(np.allclose(vorbis(8)[:4] ** 2 + vorbis(8)[4:] ** 2, 1))
    True
    """
    rise = np.sin(np.pi * (np.arange(samples) + 0.5) / samples)
    return np.sin(np.pi / 2 * rise**2).astype(np.float32)
