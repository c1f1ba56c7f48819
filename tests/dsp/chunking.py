"""The block sizes every processor is tried with, and signals to try them on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIZES = [1, 17, 480, 1024, 1 << 30]


def chunks(x: NDArray[np.float32], size: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(position, block) of `x` from 0 on, with an empty block at the start and another at the end."""
    yield 0, x[:0]
    for i in range(0, len(x), size):
        yield i, x[i : i + size]
    yield len(x), x[:0]


def noise(n: int, channels: int = 2, seed: int = 0) -> NDArray[np.float32]:
    """White noise at -20 dBFS RMS."""
    return (np.random.default_rng(seed).standard_normal((n, channels)) * 0.1).astype(np.float32)


def tone(n: int, hz: float, rate: int, channels: int = 1, amplitude: float = 0.5) -> NDArray[np.float32]:
    """A sine in every channel."""
    x = amplitude * np.sin(2 * np.pi * hz * np.arange(n) / rate)
    return np.repeat(x[:, None], channels, axis=1).astype(np.float32)
