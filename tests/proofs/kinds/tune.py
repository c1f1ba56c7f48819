"""Noise whose sample at a position is a function of the position alone, also after a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Ports, Source

PERIOD = 262_139  # a prime
TABLE = np.random.default_rng(11).standard_normal((2 * PERIOD, 2)).astype(np.float32) * np.float32(0.1)


def tune(position: int, n: int) -> Samples:
    """(n, 2) of noise at -20 dBFS from `position` on; n at most PERIOD."""
    at = position % PERIOD
    return TABLE[at : at + n]


TABLE[PERIOD:] = TABLE[:PERIOD]


class Tune(Source):
    """A source that can be checked bit by bit wherever it is heard."""

    PORTS = Ports(inputs=())
    commands = ("seek",)

    def restore(self, state: Mapping[str, Any]) -> None:
        self._position = int(state.get("position", 0))

    def snapshot(self) -> dict[str, Any]:
        return {"position": self._position}

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._position = 0

    def blocks(self, ctx: Context) -> Iterator[Samples]:
        while True:
            block = tune(self._position, ctx.frame_samples)
            self._position += len(block)
            yield block

    def on_command(self, name: str, args: Mapping[str, Any], ctx: Context) -> Any:
        if name != "seek":  # which begins a new generation, but is nowhere else in the noise
            raise NotImplementedError(name)
        return self.snapshot()


NODE = Tune
