"""Streaming rate conversion with exact positions, by libsoxr."""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError, NodeError

PROBE_SAMPLES = 16
PROBE_S = 4


class StreamResampler:
    """HQ conversion of (n, channels); output sample q lies at input time q * rate_in / rate_out.

    libsoxr compensates its filter's delay, so a stream starts at once at position 0 and N samples give
    ceil(N * rate_out / rate_in): all output instants inside the input's span. To keep positions whole a
    stream has to start at a multiple of `step_samples` (`next_start`); its output starts at
    `map_position` of that. Chunks of any size give the same bits.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        if min(rate_in, rate_out, channels) < 1:
            raise ConfigError(
                f"resampling needs rates and channels of at least 1, got {rate_in} -> {rate_out} Hz, "
                f"{channels} channels"
            )
        self.rate_in, self.rate_out, self.channels = rate_in, rate_out, channels
        self.step_samples = rate_in // gcd(rate_in, rate_out)
        self._stream = _soxr_stream(rate_in, rate_out, channels) if rate_in != rate_out else None
        self._taken = self._given = 0

    @property
    def latency_samples(self) -> int:
        """Most output samples that the output can be behind the input; bursts are of the same order."""
        return _worst_latency(self.rate_in, self.rate_out)

    def map_position(self, position: int) -> int:
        """First output position at or after an input position; exact at multiples of `step_samples`."""
        return -(-position * self.rate_out // self.rate_in)

    def next_start(self, position: int) -> int:
        """First input position from `position` on at which a stream may start."""
        return -(-position // self.step_samples) * self.step_samples

    def process(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is ready after `x`, which must be finite: one NaN would spread over a filter's length."""
        if self._stream is None or not len(x):
            return x
        self._taken += len(x)
        y: NDArray[np.float32] = self._stream.resample_chunk(np.ascontiguousarray(x, np.float32))
        self._given += len(y)
        return y

    def flush(self) -> NDArray[np.float32]:
        """The rest of the stream; afterwards a new one may start."""
        rest = self.map_position(self._taken) - self._given
        if self._stream is None or self._taken == 0:
            return np.zeros((0, self.channels), np.float32)
        # libsoxr rounds the length to the nearest, so a little silence secures the last sample
        pad = np.zeros((2 + self.rate_in // self.rate_out, self.channels), np.float32)
        y: NDArray[np.float32] = self._stream.resample_chunk(pad, last=True)[:rest]
        self.reset()
        return y

    def reset(self) -> None:
        """Drop what is inside: a new stream starts."""
        if self._stream is not None:
            self._stream.clear()
        self._taken = self._given = 0


def resampled(x: NDArray[np.float32], rate_in: int, rate_out: int) -> NDArray[np.float32]:
    """A whole sound (samples, channels) at another rate; as it is where the rates are one."""
    if rate_in == rate_out:
        return x
    resampler = StreamResampler(rate_in, rate_out, x.shape[1])
    return np.concatenate([resampler.process(x), resampler.flush()])


def _soxr_stream(rate_in: int, rate_out: int, channels: int) -> Any:
    """A stream of libsoxr, which is imported here: an environment of another interpreter may lack it."""
    try:
        import soxr
    except ImportError as error:
        raise NodeError(f"converting {rate_in} to {rate_out} Hz needs soxr in this environment: {error}") from error
    return soxr.ResampleStream(rate_in, rate_out, channels)


@lru_cache(maxsize=64)
def _worst_latency(rate_in: int, rate_out: int) -> int:
    """Measured on silence, since libsoxr works in blocks whose sizes it does not tell.

    The block phase drifts slowly, so two probe chunks are added to what a few seconds show.
    """
    if rate_in == rate_out:
        return 0
    stream, chunk = _soxr_stream(rate_in, rate_out, 1), np.zeros((PROBE_SAMPLES, 1), np.float32)
    ratio, given, worst = rate_out / rate_in, 0, 0.0
    for i in range(1, PROBE_S * rate_in // PROBE_SAMPLES):
        worst = max(worst, i * PROBE_SAMPLES * ratio - given)
        given += len(stream.resample_chunk(chunk))
    return int(np.ceil(worst + 2 * PROBE_SAMPLES * ratio))
