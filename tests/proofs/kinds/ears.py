"""Keeps what a loudspeaker really played, and when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Node, Ports


class Ears(Node):
    """Listens to `playback.reference`; at the end `heard.npz` holds `sound` (n,) and `ns` (n,), the host time of each
    sample."""

    PORTS = Ports(outputs=())

    def open(self, ctx: Context) -> None:
        self._path, self._rate = Path(ctx.folder) / "heard.npz", ctx.rate
        self._sound: list[np.ndarray] = []
        self._ns: list[np.ndarray] = []

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        back = np.arange(frame.samples - 1, -1, -1) * 1_000_000_000 // self._rate
        self._sound.append(frame.audio()[:, 0].copy())
        self._ns.append(frame.captured_ns - back)

    def flush(self, ctx: Context) -> None:
        np.savez(self._path, sound=np.concatenate(self._sound), ns=np.concatenate(self._ns))


NODE = Ears
