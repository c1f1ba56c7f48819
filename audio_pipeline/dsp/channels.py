"""Conversion between channel counts, by fixed rules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

# Weights of C and of the surrounds in the stereo mix: -3 dB, ITU-R BS.775-3 annex 4, table 2. It leaves the
# LFE out and does not scale the sum down; over full scale is legal inside, the output counts it.
# Orders are those of WAVE_FORMAT_EXTENSIBLE. BS.775 knows no 7.1: both pairs get the surround's weight.
_H = 0.5**0.5
_LEFT = {
    3: (1, 0, _H),  # L R C
    4: (1, 0, _H, 0),  # L R Ls Rs
    5: (1, 0, _H, _H, 0),  # L R C Ls Rs
    6: (1, 0, _H, 0, _H, 0),  # L R C LFE Ls Rs
    8: (1, 0, _H, 0, _H, 0, _H, 0),  # L R C LFE Lb Rb Ls Rs
}
_RIGHT = {
    3: (0, 1, _H),
    4: (0, 1, 0, _H),
    5: (0, 1, _H, 0, _H),
    6: (0, 1, _H, 0, 0, _H),
    8: (0, 1, _H, 0, 0, _H, 0, _H),
}


def to_channels(x: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """`x` (n, k) as (n, channels).

    Mono goes to every channel. Stereo goes to mono as its mean, 3.0 to 7.1 to stereo by ITU-R BS.775
    and on to mono as the mean of that. Otherwise channels keep their places: those beyond `channels` are left
    out, those that are missing are silent. The same count gives `x` itself.
    """
    if channels < 1:
        raise ConfigError(f"channels = {channels} must be at least 1")
    if x.ndim != 2 or x.shape[1] < 1:
        raise ConfigError(f"audio to convert must be (samples, channels), got shape {x.shape}")
    given = x.shape[1]
    if given == channels:
        return x
    if given == 1:
        return np.repeat(x, channels, axis=1)
    if channels == 1:
        return np.asarray(to_channels(x, 2).mean(axis=1, keepdims=True, dtype=np.float32))
    if channels == 2 and given in _LEFT:
        return np.asarray(x @ np.array([_LEFT[given], _RIGHT[given]], np.float32).T)
    out = np.zeros((len(x), channels), np.float32)
    kept = min(given, channels)
    out[:, :kept] = x[:, :kept]
    return out
