"""Puts out blocks of `hop` samples at once, as a model does that works in hops; its bypass is its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame, Samples
from audio_pipeline.node import Bypass, Latency, Node, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    hop: int = setting(4096, "samples a hop", minimum=1)
    gain: float = setting(1.0, "what it does to the sound", live=True)


class Delay(Node):
    Settings = Settings
    PORTS = Ports(bypass={"out": Bypass.INPUT})

    @classmethod
    def estimate(cls, settings: Settings, rate: int) -> Latency:
        return Latency(hop=settings.hop)

    def latency(self) -> Latency:
        return Latency(hop=self.settings.hop)

    def open(self, ctx: Context) -> None:
        self.resets: list[tuple[int, str]] = []
        self._start: int | None = None
        self._held: list[Samples] = []

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        self.resets.append((position, reason))
        self._start, self._held = None, []

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if self._start is None:
            self._start = frame.position
        self._held.append(frame.audio())
        x, hop = np.concatenate(self._held), self.settings.hop
        for at in range(0, len(x) - hop + 1, hop):
            self._emit(x[at : at + hop], ctx)
        self._held = [x[len(x) - len(x) % hop :]]

    def _emit(self, x: Samples, ctx: Context) -> None:
        assert self._start is not None
        ctx.emit("out", x * np.float32(self.settings.gain), self._start)
        self._start += len(x)

    def flush(self, ctx: Context) -> None:
        if self._start is not None:
            self._emit(np.concatenate(self._held), ctx)


NODE = Delay
