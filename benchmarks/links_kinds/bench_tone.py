"""A paced tone with numbered frames."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Source

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from links_stage import Maker


class BenchTone(Source):
    """The first node of a chain: 440 Hz at -12 dBFS."""

    light = True

    def open(self, ctx: Context) -> None:
        self._maker = Maker(Path(ctx.folder))

    def blocks(self, ctx: Context) -> Iterator[Samples]:
        while True:
            yield self._maker.frame()

    def close(self) -> None:
        self._maker.times.save()


NODE = BenchTone
