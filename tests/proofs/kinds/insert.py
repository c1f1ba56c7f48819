"""An effect that can be bypassed: its input times a gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio_pipeline.frame import Samples
from audio_pipeline.node import Bypass, Filter, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    gain: float = setting(1.0, "factor", live=True)


class Insert(Filter):
    """Times a gain; its bypass is its input."""

    Settings = Settings
    PORTS = Ports(bypass={"out": Bypass.INPUT})

    def filter(self, x: Samples) -> Samples:
        return x * np.float32(self.settings.gain)


NODE = Insert
