"""Measures the level of a stream; the sound passes unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.dsp.level import WINDOW_MS, LevelMeter
from audio_pipeline.dsp.ramp import SILENCE_DB
from audio_pipeline.frame import Frame, Samples
from audio_pipeline.node import Bypass, Filter, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    every_windows: int = setting(1, f"windows of {WINDOW_MS} ms between two events", minimum=1, maximum=100)


class Meter(Filter):
    """Peak and RMS level of each 100 ms, as gauges and as events that carry their exact position.

    A `level` event belongs to the position just after its window: {peak_db, rms_db, hold_db}, a list by
    channel each, in dBFS and not below -120. `hold_db` is a peak that falls back slowly, for display.
    """

    Settings = Settings
    PORTS = Ports(events=("levels",), bypass={"out": Bypass.INPUT})
    light = True

    def open(self, ctx: Context) -> None:
        self._window = ctx.rate * WINDOW_MS // 1000
        self._meter = LevelMeter(ctx.rate, 1)
        self._channels = 0
        self._filled = self._windows = 0

    def filter(self, x: Samples) -> Samples:
        return x

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        super().process(inputs, ctx)
        frame = inputs["in"]
        if frame.channels != self._channels:
            self._channels, self._meter = frame.channels, LevelMeter(ctx.rate, frame.channels)
            self._filled = 0
        x, position = frame.audio(), frame.position
        while len(x):
            part, x = x[: self._window - self._filled], x[self._window - self._filled :]
            position += len(part)
            self._filled = (self._filled + len(part)) % self._window
            if self._meter.process(part):
                self._show(position, ctx)

    def _show(self, position: int, ctx: Context) -> None:
        levels = {name: _shown(getattr(self._meter, name)) for name in ("peak_db", "rms_db", "hold_db")}
        for name, values in levels.items():
            ctx.gauge(name, max(values))
        self._windows += 1
        if self._windows % self.settings.every_windows == 0:
            ctx.event("levels", "level", position, **levels)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        self._meter.reset()
        self._filled = 0


def _shown(levels_db: Any) -> list[float]:
    return [round(float(level), 2) for level in np.maximum(levels_db, SILENCE_DB)]


NODE = Meter
