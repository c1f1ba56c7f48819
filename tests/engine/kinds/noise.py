"""A source whose sample at position p never depends on how it is asked: noise, or full scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Ports, Source
from audio_pipeline.settings import setting

PERIOD = 1 << 18


@lru_cache
def _table(seed: int) -> Samples:
    if not seed:
        return np.ones((PERIOD, 2), np.float32)
    return np.random.default_rng(seed).standard_normal((PERIOD, 2)).astype(np.float32) * np.float32(0.1)


def noise(position: int, n: int, seed: int = 1) -> Samples:
    """(n, 2) of white noise at -20 dBFS, a function of position; seed 0 is the constant 1."""
    return _table(seed)[np.arange(position, position + n) % PERIOD]


@dataclass(frozen=True)
class Settings:
    seconds: float = setting(1e6, "length", minimum=0)
    block: int = setting(0, "samples a block; 0 for a frame", minimum=0)
    seed: int = setting(1, "which noise; 0 for the constant 1")
    level: float = setting(1.0, "gain", live=True)
    ahead: bool = setting(True, "may run ahead of the clock; a microphone cannot")


class Noise(Source):
    Settings = Settings
    PORTS = Ports(inputs=(), events=("map",))
    commands = ("seek", "next")

    def seekable(self) -> bool:
        return bool(self.settings.ahead)

    def blocks(self, ctx: Context) -> Iterator[Samples]:
        s = self.settings
        self.position = 0
        self.commands: list[tuple[str, dict[str, Any]]] = []
        left, block = round(s.seconds * ctx.rate), s.block or ctx.frame_samples
        ctx.event("map", "media", 0, media_s=0.0, length_s=s.seconds, media_id="noise")
        while left > 0:
            n = min(block, left)
            yield noise(self.position, n, s.seed) * np.float32(self.settings.level)
            self.position += n
            left -= n

    def on_command(self, name: str, args: Mapping[str, Any], ctx: Context) -> dict[str, Any]:
        """Seeking changes the sign, so that new sound can be told from old."""
        if name not in ("seek", "next"):
            raise NotImplementedError(name)
        self.commands.append((name, dict(args)))
        return {"asked": len(self.commands)}


NODE = Noise
