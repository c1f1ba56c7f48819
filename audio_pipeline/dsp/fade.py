"""Fade curves and the crossfade."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

Curve = Literal["linear", "equal_power"]


def fade_in(samples: int, curve: Curve = "linear") -> NDArray[np.float32]:
    """Gains (samples,) that rise from 0 to 1, taken at the middle of each sample.

    `linear` and its reverse add up to 1: for correlated signals. The squares of `equal_power` (a quarter
    sine) and its reverse add up to 1: for uncorrelated ones.
    """
    if samples < 0:
        raise ConfigError(f"a fade of {samples} samples must be 0 or longer")
    t = (np.arange(samples) + 0.5) / max(samples, 1)
    if curve == "linear":
        return t.astype(np.float32)
    if curve == "equal_power":
        return np.sin(t * (np.pi / 2)).astype(np.float32)
    raise ConfigError(f"fade curve {curve!r} must be 'linear' or 'equal_power'")


def fade_out(samples: int, curve: Curve = "linear") -> NDArray[np.float32]:
    """`fade_in` in reverse."""
    return fade_in(samples, curve)[::-1]


def rising(done: int, n: int, fade_samples: int) -> NDArray[np.float32]:
    """Weights (n, 1) of what comes, `done` samples after its beginning: half a cosine, then 1.

    Equal gain, for the same programme on both sides; a cosine, because a straight ramp has corners, whose second
    difference alone is -60 dB at 20 ms and 48 kHz.
    """
    t = np.minimum((np.arange(done, done + n) + 0.5) / fade_samples, 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * t), np.float32)[:, None]


def blended(old: NDArray[np.float32], new: NDArray[np.float32], done: int, fade_samples: int) -> NDArray[np.float32]:
    """`old` turning into `new`, both (n, channels), as `rising`; bit for bit where they are equal."""
    return old + (new - old) * rising(done, len(new), fade_samples)


def crossfade(old: NDArray[np.float32], new: NDArray[np.float32], curve: Curve = "linear") -> NDArray[np.float32]:
    """From `old` to `new`, both (n, channels), over their whole length."""
    if old.shape != new.shape:
        raise ConfigError(f"a crossfade needs two blocks of one shape, got {old.shape} and {new.shape}")
    n = len(old)
    return old * fade_out(n, curve)[:, None] + new * fade_in(n, curve)[:, None]
