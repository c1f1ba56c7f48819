"""Notes when each numbered frame arrived, and when the link says that it was sent."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Node, Ports

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from links_stage import Times, number_of


class BenchProbe(Node):
    """The end of a chain."""

    PORTS = Ports(outputs=())
    light = True

    def open(self, ctx: Context) -> None:
        self._times = Times(Path(ctx.folder), "arrived")

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        now_ns = time.monotonic_ns()
        frame = inputs["in"]
        sent_ns = frame.captured_ns + frame.sent_age_us * 1000
        self._times.add(number_of(frame.audio()), now_ns, sent_ns)

    def close(self) -> None:
        self._times.save()


NODE = BenchProbe
