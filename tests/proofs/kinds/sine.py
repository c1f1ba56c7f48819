"""A sine whose sample at position p is a function of p alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Source
from audio_pipeline.settings import setting

LEVEL = 0.5
HZ = 997


@dataclass(frozen=True)
class Settings:
    hz: float = setting(HZ, "pitch", unit="Hz", minimum=1)


class Sine(Source):
    """A sine of 0.5 that begins with position 0."""

    Settings = Settings

    def blocks(self, ctx: Context) -> Iterator[Samples]:
        position, n = 0, ctx.frame_samples
        while True:
            t = np.arange(position, position + n) / ctx.rate
            wave = LEVEL * np.sin(2 * np.pi * self.settings.hz * t)
            yield np.repeat(wave[:, None], 2, axis=1).astype(np.float32)
            position += n


NODE = Sine
