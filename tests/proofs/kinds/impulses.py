"""Quiet noise with a full-scale click every 1.37 s."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Source

EVERY_SAMPLES = 60_417  # shares no factor with frame or hop, so clicks fall on every phase of both


class Impulses(Source):
    """Clicks for measuring delay."""

    def blocks(self, ctx: Context) -> Iterator[Samples]:
        rng = np.random.default_rng(7)
        position = 0
        while True:
            block = (1e-3 * rng.standard_normal((ctx.frame_samples, 2))).astype(np.float32)
            ahead = -position % EVERY_SAMPLES
            if position and ahead < len(block):
                block[ahead] = 0.9
            position += len(block)
            yield block


NODE = Impulses
