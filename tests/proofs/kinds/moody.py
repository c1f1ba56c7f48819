"""Needs more time after a restart than before: its second process works in hops ten times as long."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame, Samples
from audio_pipeline.node import Latency, Node

HOP = 480


class Moody(Node):
    """Puts its input out in hops, unchanged."""

    def open(self, ctx: Context) -> None:
        self._hop = HOP * (10 if ctx.incarnation else 1)
        self._held: Samples = np.zeros((0, 2), np.float32)
        self._start: int | None = None

    def latency(self) -> Latency:
        return Latency(hop=self._hop)

    @classmethod
    def estimate(cls, settings: object, rate: int) -> Latency:
        return Latency(hop=HOP)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        self._held, self._start = self._held[:0], None

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        self._start = frame.position if self._start is None else self._start
        self._held = np.concatenate([self._held, frame.audio()])
        while len(self._held) >= self._hop:
            ctx.emit("out", self._held[: self._hop], self._start)
            self._start += self._hop
            self._held = self._held[self._hop :]


NODE = Moody
