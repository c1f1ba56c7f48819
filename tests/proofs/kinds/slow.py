"""A consumer that takes too long over each frame, and writes down how old the frames were."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.context import Context
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting

LINE = struct.Struct("<qq")  # position, ns that the frame spent on its link
FILE = "slow.bin"


@dataclass(frozen=True)
class Settings:
    work_ms: float = setting(0.0, "what each frame takes", unit="ms", minimum=0)


class Slow(Node):
    """Too slow; what it gets must not be old for all that."""

    Settings = Settings
    PORTS = Ports(outputs=())
    continuous = False

    def open(self, ctx: Context) -> None:
        self._file = (Path(ctx.folder) / FILE).open("ab", buffering=0)
        self._due_s = 0.0

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if not frame.samples or frame.flags & Flag.REPLAY:
            return
        on_link_ns = ctx.now_ns() - frame.captured_ns - frame.sent_age_us * 1000
        self._file.write(LINE.pack(frame.position, on_link_ns))
        if self.settings.work_ms:
            time.sleep(self.settings.work_ms / 1000)

    def close(self) -> None:
        self._file.close()


def ages_ms(folder: Path) -> list[tuple[int, float]]:
    """(position, ms on the link) of each frame that was taken."""
    data = (folder / FILE).read_bytes()
    return [(position, ns / 1e6) for position, ns in LINE.iter_unpack(data[: len(data) // LINE.size * LINE.size])]


NODE = Slow
