"""Holds back its first seconds and says nothing of it, or leaves a stretch out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from audio_pipeline.context import Context
from audio_pipeline.frame import Frame
from audio_pipeline.node import Bypass, Node, Ports
from audio_pipeline.settings import setting


@dataclass(frozen=True)
class Settings:
    back_s: float = setting(0.0, "what it holds back, against its word")
    hole_from_s: float = setting(0.0, "where what it leaves out begins")
    hole_s: float = setting(0.0, "how much it leaves out")


class Holder(Node):
    Settings = Settings
    PORTS = Ports(bypass={"out": Bypass.INPUT})

    def open(self, ctx: Context) -> None:
        self._held: deque[Frame] = deque()

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame, s = inputs["in"], self.settings
        at_s = frame.position / ctx.rate
        if not s.hole_from_s <= at_s < s.hole_from_s + s.hole_s:
            self._held.append(frame)
        while self._held and frame.end - self._held[0].end >= s.back_s * ctx.rate:
            self._let_go(ctx)

    def _let_go(self, ctx: Context) -> None:
        frame = self._held.popleft()
        ctx.emit("out", frame.audio(), frame.position)

    def flush(self, ctx: Context) -> None:
        while self._held:
            self._let_go(ctx)


NODE = Holder
