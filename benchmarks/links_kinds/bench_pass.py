"""Hands sound on as it came, and notes when."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Filter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from links_stage import Times, number_of


class BenchPass(Filter):
    """A node in the middle of a chain."""

    light = True

    def open(self, ctx: Context) -> None:
        self._times = Times(Path(ctx.folder), f"sent{ctx.name[1:]}")

    def filter(self, x: Samples) -> Samples:
        self._times.add(number_of(x), time.monotonic_ns())
        return x

    def close(self) -> None:
        self._times.save()


NODE = BenchPass
