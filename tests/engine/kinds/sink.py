"""Keeps what it gets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame, Samples
from audio_pipeline.node import ANY, Node, Ports


class Sink(Node):
    PORTS = Ports(inputs=(ANY,), outputs=())
    continuous = False

    def open(self, ctx: Context) -> None:
        self.frames: dict[str, list[Frame]] = {name: [] for name in self.input_settings}

    def on_inputs(self, ctx: Context) -> None:
        self.frames |= {name: [] for name in self.input_settings if name not in self.frames}

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        for name, frame in inputs.items():
            self.frames[name].append(frame)

    def sound(self, name: str) -> Samples:
        """All that came, end to end: (samples, channels)."""
        return np.concatenate([np.zeros((0, 2), np.float32), *(frame.audio() for frame in self.frames[name])])


NODE = Sink
