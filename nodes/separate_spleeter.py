"""Splits music with the original `spleeter` package, in its own interpreter, for comparison with ours."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audio_pipeline import threads
from audio_pipeline.context import Context
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame, Samples
from audio_pipeline.node import Bypass, Latency, Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.speech.blockwise import Excerpt

RATE = 44_100
STEMS = ("vocals", "accompaniment")
FADE_S = 0.1
MOST_WAITING = 2  # live: excerpts under way before one goes out dry
COMPUTE_FACTOR = 3  # of the warm-up's time: a busy machine
GUESSED_COMPUTE_S = 4.0
BEAT_S = 0.5


@dataclass(frozen=True)
class Settings:
    block_s: float = setting(9.5, "live: length of a block", unit="s", minimum=1, maximum=60)
    context_s: float = setting(1.0, "live: context before and after a block", unit="s", minimum=0.1, maximum=10)
    longest_s: float = setting(
        600.0,
        "offline: longest song, which is separated in one piece as by `spleeter separate`",
        unit="s",
        minimum=1,
        maximum=3600,
    )
    wiener: bool = setting(False, "the package's multichannel Wiener filter")
    threads: int = setting(0, "CPU threads of TensorFlow; 0: its own choice", minimum=0, maximum=64)


class SeparateSpleeter(Node):
    """Runs Deezer's package unchanged, with our copy of its weights: two stems, at the same positions as the input.

    Offline it processes a song in one piece. Live it processes blocks with context, joined by crossfades, so the
    latency is that of a block; if TensorFlow does not keep up, a block goes out dry (`missed_blocks`). It needs
    `python:`, since TensorFlow 2.12 and numpy 2 exclude each other.
    """

    Settings = Settings
    PORTS = Ports(outputs=STEMS, bypass={STEMS[0]: Bypass.SILENCE, STEMS[1]: Bypass.INPUT})

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return ("spleeter-original",)

    def input_rate(self, port: str, graph_rate: int) -> int:
        return RATE

    def input_channels(self, port: str) -> int | None:
        return 2

    def open(self, ctx: Context) -> None:
        import numpy as np

        from audio_pipeline.models.separation.spleeter_original import Original
        from audio_pipeline.models.speech.blockwise import Blockwise
        from audio_pipeline.models.weights import store

        s = self.settings
        self._separate = Original(store.path("spleeter-original"), wiener=s.wiener, threads=s.threads)
        block, context = (round(s.block_s * RATE), round(s.context_s * RATE)) if ctx.live else (0, 0)
        self._blocks = Blockwise(block, context, min(round(FADE_S * RATE), 2 * context))
        self._pool = threads.pool("inference")
        self._under_way: deque[tuple[Excerpt, Future[dict[str, Samples]] | None]] = deque()
        self._base = self._next = 0  # positions of the stream's first and next sample
        began = time.perf_counter()
        self._separate(np.zeros((block + 2 * context or RATE, 2), np.float32))
        compute = round(COMPUTE_FACTOR * (time.perf_counter() - began) * RATE) if ctx.live else 0
        longest = 0 if ctx.live else round(s.longest_s * RATE)
        self._latency = Latency(lookahead=self._blocks.latency_samples - block, hop=block + longest, compute=compute)

    def latency(self) -> Latency:
        return self._latency

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        seconds = (settings.context_s + FADE_S / 2, settings.block_s, GUESSED_COMPUTE_S)
        lookahead, hop, compute = (round(term * RATE) for term in seconds)
        return Latency(lookahead=lookahead, hop=hop, compute=compute)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if frame.position != self._next:
            self.reset(frame.position, "discontinuity", ctx)
        self._next = frame.end
        if not ctx.live and self._next - self._base > self.settings.longest_s * RATE:
            reason = (
                f"longest_s: a song longer than {self.settings.longest_s:g} s came; set it higher (0.4 MB a second)"
            )
            raise NodeError(reason)
        for excerpt in self._blocks.push(frame.audio()):
            self._begin(excerpt, ctx)
        self.poll(ctx)

    def _begin(self, excerpt: Excerpt, ctx: Context) -> None:
        if ctx.live and len(self._under_way) >= MOST_WAITING:
            ctx.count("missed_blocks")
            self._under_way.append((excerpt, None))
            return
        future = self._pool.submit(self._separate, excerpt.sound)
        future.add_done_callback(lambda _: ctx.wake())
        self._under_way.append((excerpt, future))

    def poll(self, ctx: Context) -> None:
        while self._under_way:
            excerpt, future = self._under_way[0]
            if future is not None and not future.done():
                return
            self._under_way.popleft()
            self._send(excerpt, future, ctx)

    def _send(self, excerpt: Excerpt, future: Future[dict[str, Samples]] | None, ctx: Context) -> None:
        dry = {STEMS[0]: excerpt.sound * 0, STEMS[1]: excerpt.sound}
        start, stems = self._blocks.join(excerpt, future.result() if future else dry)
        for stem in STEMS:
            flags = Flag.NONE if future else Flag.CONCEALED
            ctx.emit(stem, stems[stem], self._base + start, flags=flags, rate=RATE)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason == "discontinuity" and not ctx.live:
            self.flush(ctx)
        for _, future in self._under_way:
            if future is not None:
                future.cancel()
        self._under_way.clear()
        self._blocks.reset()
        self._base = self._next = position

    def flush(self, ctx: Context) -> None:
        for excerpt in self._blocks.finish():
            self._begin(excerpt, ctx)
        while self._under_way:
            future = self._under_way[0][1]
            while future is not None and not wait([future], BEAT_S).done:
                ctx.alive()
            self.poll(ctx)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._separate.close()


NODE = SeparateSpleeter
