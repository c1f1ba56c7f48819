"""Takes what comes at a rate of its own, as a model does, and puts it out at that rate; says where it runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from audio_pipeline.context import Context
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Node, Ports
from audio_pipeline.settings import setting

ASKED = ("numpy", "zmq", "msgpack", "soxr", "yaml", "psutil", "soundfile", "nodes", "models", "tests")


@dataclass(frozen=True)
class Settings:
    rate: int = setting(16_000, "rate that it works at", unit="Hz")


class Narrow(Node):
    Settings = Settings
    PORTS = Ports(events=("place",))

    def input_rate(self, port: str, graph_rate: int) -> int:
        return int(self.settings.rate)

    def open(self, ctx: Context) -> None:
        here = [name for name in ASKED if importlib.util.find_spec(name)]
        ctx.event("place", "place", 0, python=sys.executable, here=here)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        flags = frame.flags & ~(Flag.END | Flag.GAP | Flag.REPLAY)
        ctx.emit("out", frame.audio(), frame.position, rate=frame.rate, flags=flags)


NODE = Narrow
