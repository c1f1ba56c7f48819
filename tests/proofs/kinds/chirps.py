"""Silence with a chirp every second or so, for a matched filter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Source

EVERY_SAMPLES = 48_017  # on every phase of a frame
RATE = 48_000
SECONDS = 0.1


def chirp() -> Samples:
    """(4800,): 500 Hz to 8 kHz at -6 dBFS under a Hann window; its correlation has a peak one sample wide."""
    t = np.arange(round(SECONDS * RATE)) / RATE
    phase = 2 * np.pi * (500 * t + (8_000 - 500) / SECONDS / 2 * t**2)
    return (0.5 * np.sin(phase) * np.hanning(len(t))).astype(np.float32)


class Chirps(Source):
    """The first chirp begins at `EVERY_SAMPLES`."""

    def blocks(self, ctx: Context) -> Iterator[Samples]:
        silence = np.zeros((EVERY_SAMPLES, 2), np.float32)
        period = silence.copy()
        period[: round(SECONDS * RATE)] = chirp()[:, None]
        yield from np.array_split(silence, 100)
        while True:
            yield from np.array_split(period, 100)


NODE = Chirps
