"""Conversion between channel counts, by fixed rules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

# Weights of each loudspeaker in the stereo mix. C and the surrounds have -3 dB, ITU-R BS.775-3 annex 4, table 2; a
# single surround goes to both sides 3 dB softer still, as if split into two first. The LFE is left out and the sum not
# scaled down: over full scale is legal inside, the output counts it. BS.775 knows no 7.1: both pairs get the
# surround's weight. Speakers between centre and side, and a ready stereo mix, keep their side.
_H = 0.5**0.5
_LEFT, _RIGHT, _CENTRE, _SURROUND = (1.0, 0.0), (0.0, 1.0), (_H, _H), (0.5, 0.5)
_WEIGHTS = {
    **dict.fromkeys(("FL", "FLC", "WL", "DL"), _LEFT),
    **dict.fromkeys(("FR", "FRC", "WR", "DR"), _RIGHT),
    "FC": _CENTRE,
    **dict.fromkeys(("BL", "SL", "TFL", "TBL", "TSL", "SDL", "BFL", "SSL", "TTL"), (_H, 0.0)),
    **dict.fromkeys(("BR", "SR", "TFR", "TBR", "TSR", "SDR", "BFR", "SSR", "TTR"), (0.0, _H)),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC"), _SURROUND),
    **dict.fromkeys(("LFE", "LFE2"), (0.0, 0.0)),
}
# What so many channels are taken for where nothing tells: the orders of WAVE_FORMAT_EXTENSIBLE.
_USUAL = {
    count: tuple(names.split())
    for count, names in {
        3: "FL FR FC",
        4: "FL FR BL BR",
        5: "FL FR FC BL BR",
        6: "FL FR FC LFE BL BR",
        7: "FL FR FC LFE BC SL SR",
        8: "FL FR FC LFE BL BR SL SR",
    }.items()
}


def to_channels(x: NDArray[np.float32], channels: int, layout: Sequence[str] = ()) -> NDArray[np.float32]:
    """`x` (n, k) as (n, channels); `layout` names its channels in their order (FL, FR, FC, LFE, ...), where known.

    Mono goes to every channel. Stereo goes to mono as its mean, what has more channels to stereo by ITU-R BS.775
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
        return np.asarray(to_channels(x, 2, layout).mean(axis=1, keepdims=True, dtype=np.float32))
    weights = _weights(tuple(layout), given) if channels == 2 else None
    if weights is not None:
        return np.asarray(x @ weights)
    out = np.zeros((len(x), channels), np.float32)
    kept = min(given, channels)
    out[:, :kept] = x[:, :kept]
    return out


def is_placed(layout: Sequence[str], given: int) -> bool:
    """Whether a stereo mix knows where each of `given` channels belongs, by name or by custom."""
    return given <= 2 or _weights(tuple(layout), given) is not None


@lru_cache(maxsize=64)
def _weights(layout: tuple[str, ...], given: int) -> NDArray[np.float32] | None:
    """(given, 2) of a stereo mix; None where nothing tells which channel is which."""
    known = len(layout) == given and all(name in _WEIGHTS for name in layout)
    names = layout if known else _USUAL.get(given, ())
    return np.array([_WEIGHTS[name] for name in names], np.float32) if names else None
