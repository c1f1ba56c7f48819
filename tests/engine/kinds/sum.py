"""Adds its inputs, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Flag, Frame, Samples
from audio_pipeline.node import ANY, Aligned, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class InputSettings:
    gain: float = setting(1.0, "weight", live=True)


class Sum(Aligned):
    InputSettings = InputSettings
    PORTS = Ports(inputs=(ANY,))
    light = True

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        first = next(iter(inputs.values()))
        total: Samples = np.zeros((first.samples, 2), np.float32)
        flags = Flag.NONE
        for name, frame in inputs.items():
            total += frame.audio() * np.float32(self.input_settings[name].gain)
            flags |= frame.flags
        ctx.emit("out", total, first.position, flags=flags)


NODE = Sum
