"""One in, one out, times a gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_pipeline.frame import Samples
from audio_pipeline.node import Filter
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    gain: float = setting(1.0, "factor", live=True)


class Fader(Filter):
    Settings = Settings
    light = True

    def filter(self, x: Samples) -> Samples:
        return x * np.float32(self.settings.gain)


NODE = Fader
