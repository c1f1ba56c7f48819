"""Two outputs that add up to the input; bypassed, one is the input and the other is silent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Bypass, Node, Ports


class Halves(Node):
    PORTS = Ports(outputs=("one", "two"), bypass={"one": Bypass.INPUT, "two": Bypass.SILENCE})

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        for port, share in (("one", 0.25), ("two", 0.75)):
            ctx.emit(port, frame.audio() * np.float32(share), frame.position)


NODE = Halves
