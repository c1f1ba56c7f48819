"""Keeps all sound that comes, the first channel of it, with the position and the time of every frame."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import ANY, Node, Ports

HEAD = struct.Struct("<qqi")  # position, captured_ns of the newest sample, samples


class Tape(Node):
    """A measuring point: `<input>.tape`."""

    PORTS = Ports(inputs=(ANY,), outputs=())
    continuous = False

    def open(self, ctx: Context) -> None:
        self._folder = Path(ctx.folder)
        self._files: dict[str, BinaryIO] = {}

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        for name, frame in inputs.items():
            if frame.samples:
                if name not in self._files:
                    self._files[name] = (self._folder / f"{name}.tape").open("wb")
                file = self._files[name]
                file.write(HEAD.pack(frame.position, frame.captured_ns, frame.samples))
                file.write(frame.audio()[:, 0].tobytes())

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class Played:
    """A tape read back: `sound` from `position` on, and the host time of each of its samples."""

    def __init__(self, path: Path, rate: int) -> None:
        data, at = path.read_bytes(), 0
        heads, parts = [], []
        while at < len(data):
            head = HEAD.unpack_from(data, at)
            parts.append(np.frombuffer(data, np.float32, head[2], at + HEAD.size))
            heads.append(head)
            at += HEAD.size + 4 * head[2]
        self.position = heads[0][0]
        joints = [(a[0] + a[2], b[0]) for a, b in zip(heads, heads[1:], strict=False)]
        self.jumps = [(end, start - end) for end, start in joints if end != start]  # where, by how much
        self.sound: NDArray[np.float32] = np.concatenate(parts)
        self._ends = np.cumsum([head[2] for head in heads])
        self._captured_ns = np.array([head[1] for head in heads], np.int64)
        self._rate = rate

    def ns_at(self, index: float) -> float:
        """When the sample with this index in `sound` was captured."""
        frame = min(int(np.searchsorted(self._ends, index, "right")), len(self._ends) - 1)
        return float(self._captured_ns[frame] - (self._ends[frame] - index) / self._rate * 1e9)

    def index_at(self, host_ns: float) -> int:
        """The sample that was captured about then."""
        frame = min(int(np.searchsorted(self._captured_ns, host_ns)), len(self._ends) - 1)
        return int(self._ends[frame] - (self._captured_ns[frame] - host_ns) * self._rate / 1e9)


NODE = Tape
