"""Decoded frames as float32 of one rate and channel count, whatever each of them has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.level import sanitise
from audio_pipeline.dsp.resample import StreamResampler

Samples = NDArray[np.float32]
Layout = tuple[str, ...]


_TYPES = {"u8": "u1", "s16": "<i2", "s32": "<i4", "s64": "<i8", "flt": "<f4", "dbl": "<f8"}


def samples_of(frame: Any) -> Samples:
    """(n, channels) float32 of a decoded frame in any of FFmpeg's sample formats."""
    channels, dtype = int(frame.layout.nb_channels), np.dtype(_TYPES[frame.format.name.removesuffix("p")])
    planes = frame.planes
    if frame.format.is_planar:  # plane by plane: PyAV 18.1 takes eight planes for nine and reads beyond them
        x = np.stack([np.frombuffer(planes[i], dtype, frame.samples) for i in range(channels)], axis=1)
    else:
        x = np.frombuffer(planes[0], dtype, frame.samples * channels).reshape(-1, channels)
    if dtype.kind == "u":
        return np.asarray((x.astype(np.float32) - 128) / 128, np.float32)
    scale = 2.0 ** (8 * dtype.itemsize - 1) if dtype.kind == "i" else 1.0
    return np.array(x / scale if scale != 1 else x, np.float32)


def layout_of(thing: Any) -> Layout:
    """Names of a frame's or a codec's channels in their order; empty where nothing tells them."""
    return _layout(thing.layout.name)


@lru_cache(maxsize=256)
def _layout(name: str) -> Layout:
    import av

    try:
        names = tuple(str(channel.name) for channel in av.AudioLayout(name).channels)
    except (ValueError, RuntimeError):
        return ()
    return () if not names or any(known in ("NONE", "UNKNOWN", "UNUSED", "UNSD") for known in names) else names


class Fit:
    """Brings sound to the rate and the channels that its file began with."""

    def __init__(self, rate: int, channels: int) -> None:
        self.rate, self.channels, self.own = rate, channels, rate
        self._resampler: StreamResampler | None = None

    def change(self, own: int) -> Samples:
        """From here on sound comes at another rate; what is left of that before."""
        rest = self.flush()
        self.own = own
        self._resampler = None if own == self.rate else StreamResampler(own, self.rate, self.channels)
        return rest

    def process(self, x: Samples, layout: Layout) -> Samples:
        x = to_channels(x, self.channels, layout)
        return x if self._resampler is None else self._resampler.process(sanitise(x)[0])

    def flush(self) -> Samples:
        if self._resampler is None:
            return np.zeros((0, self.channels), np.float32)
        return self._resampler.flush()
