"""A node of one's own: the level swings up and down."""

from dataclasses import dataclass

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Filter
from audio_pipeline.settings import setting


class Tremolo(Filter):
    """Makes the sound swing between full level and `depth` less."""

    @dataclass(frozen=True)
    class Settings:
        speed_hz: float = setting(5.0, "swings a second", unit="Hz", minimum=0.1, maximum=20)
        depth: float = setting(0.7, "0: not at all, 1: down to silence", minimum=0, maximum=1)

    def open(self, ctx: Context) -> None:
        self.rate, self.position = ctx.rate, 0

    def filter(self, x: Samples) -> Samples:
        seconds = np.arange(self.position, self.position + len(x)) / self.rate
        self.position += len(x)
        down = self.settings.depth * (1 - np.cos(2 * np.pi * self.settings.speed_hz * seconds)) / 2
        return np.asarray(x * (1 - down[:, None]), np.float32)


NODE = Tremolo
