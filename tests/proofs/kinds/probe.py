"""Writes down when each frame arrived, and where its loudest sample is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import ANY, Node, Ports


class Probe(Node):
    """A measuring point: one line of JSON a frame."""

    PORTS = Ports(inputs=(ANY,), outputs=())
    continuous = False

    def open(self, ctx: Context) -> None:
        self._file = (Path(ctx.folder) / "probe.jsonl").open("w")

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        for name, frame in inputs.items():
            if frame.samples == 0:
                continue
            level = np.abs(frame.audio()).max(axis=1)
            line = {
                "input": name,
                "position": frame.position,
                "samples": frame.samples,
                "arrived_ns": ctx.now_ns(),
                "captured_ns": frame.captured_ns,
                "peak_at": int(level.argmax()),
                "peak": float(level.max()),
            }
            self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()


NODE = Probe
