"""Stands in for a separator: works in hops, and gives half of its input on each of two outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame, Samples
from audio_pipeline.node import Bypass, Latency, Node, Ports

HOP = 4096


class Halves(Node):
    """Two halves whose sum is the input; what stands in for them is the input, once."""

    PORTS = Ports(outputs=("vocals", "accompaniment"), bypass={"vocals": Bypass.SILENCE, "accompaniment": Bypass.INPUT})

    @classmethod
    def estimate(cls, settings: object, rate: int) -> Latency:
        return Latency(hop=HOP)

    def latency(self) -> Latency:
        return Latency(hop=HOP)

    def open(self, ctx: Context) -> None:
        self._held: list[Samples] = []
        self._start: int | None = None

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        self._held, self._start = [], None

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        self._start = frame.position if self._start is None else self._start
        self._held.append(frame.audio())
        if sum(map(len, self._held)) >= HOP:
            self.flush(ctx)

    def flush(self, ctx: Context) -> None:
        if self._start is None or not self._held:
            return
        half = np.concatenate(self._held) * np.float32(0.5)
        for port in ("vocals", "accompaniment"):
            ctx.emit(port, half, self._start)
        self._start, self._held = self._start + len(half), []


NODE = Halves
