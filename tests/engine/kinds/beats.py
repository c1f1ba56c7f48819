"""An event for each 100 ms of sound."""

from __future__ import annotations

from collections.abc import Mapping

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Node, Ports

EVERY = 4_800


class Beats(Node):
    PORTS = Ports(outputs=(), events=("beats",))

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        for position in range(-(-frame.position // EVERY) * EVERY, frame.end, EVERY):
            ctx.event("beats", "beat", position)


NODE = Beats
