"""Says on an event port where each frame began."""

from __future__ import annotations

from collections.abc import Mapping

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Node, Ports


class Marker(Node):
    PORTS = Ports(outputs=(), events=("marks",))

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        ctx.event("marks", "mark", inputs["in"].position)


NODE = Marker
