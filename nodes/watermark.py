"""Hides a watermark in synthetic speech, so that `audio-pipeline detect` can tell it from a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audio_pipeline.context import Context
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Frame
from audio_pipeline.node import Latency, Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.speech.blockwise import Excerpt

CONTEXT_MS, FADE_MS = 100, 20


@dataclass(frozen=True)
class Settings:
    block_ms: int = setting(400, "length of a block, most of the latency", unit="ms", minimum=250, maximum=2_000)


class Watermark(Node):
    """Adds the Perth watermark, in blocks with context around them, joined by crossfades.

    N samples in, N samples out; nothing above 2 kHz changes. It declares no bypass: its input is never audible without
    the watermark. At its start it marks a probe, and does not start if it cannot detect the watermark there.
    """

    Settings = Settings
    PORTS = Ports()

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return ("perth",)

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.models.hearing.perth",)

    def open(self, ctx: Context) -> None:
        from audio_pipeline.models.hearing import perth
        from audio_pipeline.models.speech.blockwise import Blockwise

        self._perth, self._mark = perth.load(), perth.marked
        found = perth.self_check(self._perth)
        if found < perth.PRESENT:
            raise NodeError(f"watermark: the mark is not found in what was just marked ({found:.2f} of 1)")
        block, context, fade = (ms * ctx.rate // 1000 for ms in (self.settings.block_ms, CONTEXT_MS, FADE_MS))
        self._blocks = Blockwise(block, context, fade)
        self._latency = _latency(self.settings, ctx.rate)
        self._base = self._next = 0

    def latency(self) -> Latency:
        return self._latency

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        return _latency(settings, rate)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if frame.position != self._next:
            self.reset(frame.position, "discontinuity", ctx)
        self._next = frame.end
        self._send(self._blocks.push(frame.audio()), ctx)

    def _send(self, excerpts: Iterable[Excerpt], ctx: Context) -> None:
        for excerpt in excerpts:
            start, answer = self._blocks.join(excerpt, {"out": self._mark(self._perth, excerpt.sound, ctx.rate)})
            ctx.emit("out", answer["out"], self._base + start)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason != "cancel":
            self.flush(ctx)
        self._blocks.reset()
        self._base = self._next = position

    def flush(self, ctx: Context) -> None:
        self._send(self._blocks.finish(), ctx)


def _latency(settings: Settings, rate: int) -> Latency:
    lookahead_ms, compute_ms = CONTEXT_MS + FADE_MS // 2, settings.block_ms // 8
    terms = (lookahead_ms, settings.block_ms, compute_ms)
    lookahead, hop, compute = (ms * rate // 1000 for ms in terms)
    return Latency(lookahead=lookahead, hop=hop, compute=compute)


NODE = Watermark
