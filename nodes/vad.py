"""Finds speech: events with exact positions, marked frames, and a gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.hysteresis import Edge, Gate, Hysteresis
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Flag, Frame, Samples
from audio_pipeline.node import Bypass, Context, Latency, Node, Ports, silence
from audio_pipeline.settings import setting

RATE = 16_000  # of both engines
WINDOW = {"silero": 512, "webrtc": 320}  # samples at RATE
FADE_MS = 5
APART = 0.15  # between entering and leaving speech, as in Silero's own iterator

Detect = Callable[[Samples], float]  # a window (samples,) at RATE to the probability of speech


@dataclass(frozen=True)
class Settings:
    engine: str = setting("silero", "silero is more reliable, webrtc needs no weights", choices=tuple(WINDOW))
    threshold: float = setting(
        0.5, "silero: probability from which on it is speech", minimum=0.05, maximum=0.95
    )
    aggressiveness: int = setting(
        2, "webrtc: 0 finds the most speech, 3 rejects the most noise", minimum=0, maximum=3
    )
    min_speech_ms: int = setting(150, "shorter sounds are no speech", unit="ms", minimum=0, maximum=2_000)
    min_silence_ms: int = setting(
        300, "shorter pauses end no utterance", unit="ms", minimum=20, maximum=5_000
    )
    pad_ms: int = setting(
        100, "how much longer an utterance is made at both ends; at most min_silence_ms", unit="ms",
        minimum=0, maximum=1_000,
    )  # fmt: skip
    gate: bool = setting(False, "let only speech through")


class Vad(Node):
    """Marks the utterances of a stream.

    `out` is the sound, delayed by the node's latency so that the frames in which an utterance begins and ends
    can carry SEGMENT_START and SEGMENT_END; with `gate` all else is silent. Events on `speech`: `start`
    {start, start_s} as soon as an utterance is certain and `segment` {start, end, start_s, end_s} when it is
    over; positions are those of the input, `end` is one past the last sample.
    """

    Settings = Settings
    PORTS = Ports(events=("speech",), bypass={"out": Bypass.INPUT})

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        if self.settings.pad_ms > self.settings.min_silence_ms:
            most = self.settings.min_silence_ms
            raise ConfigError(f"pad_ms: expected at most min_silence_ms ({most}), got {self.settings.pad_ms}")

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        filter_samples = StreamResampler(rate, RATE, 1).latency_samples
        window = -(-(WINDOW[settings.engine] + filter_samples) * rate // RATE)
        return Latency(window=window, lookahead=_hysteresis(settings, rate).latency_samples)

    def latency(self) -> Latency:
        return self.estimate(self.settings, self._rate)

    def open(self, ctx: Context) -> None:
        self._rate = ctx.rate
        self._window = WINDOW[self.settings.engine]
        self._new_detector = _detectors(self.settings)
        self._begin(None)

    def _begin(self, position: int | None) -> None:
        """A new stretch of sound, with everything forgotten."""
        fade = self._rate * FADE_MS // 1000
        self._detect = self._new_detector()
        self._resampler = StreamResampler(self._rate, RATE, 1)
        self._hysteresis = _hysteresis(self.settings, self._rate)
        self._gate = Gate(fade, 0, fade)
        self._origin, self._sent, self._windows = position, position or 0, 0
        self._mono = np.zeros(0, np.float32)  # at RATE, not seen by the detector yet
        self._held = silence(0, 1)  # from position `_sent` on
        self._marks: dict[int, Flag] = {}
        self._start = 0
        self._end: int | None = None  # of the stretch, once it is known

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if self._origin is None:
            self._begin(frame.position)
        x = frame.audio()
        self._held = np.concatenate([self._held, x]) if len(self._held) else x
        self._hear(self._resampler.process(to_channels(x, 1)), ctx)
        self._send(self._heard(self._windows) - self._hysteresis.latency_samples, ctx)

    def _heard(self, windows: int) -> int:
        """Position at which a window begins."""
        return (self._origin or 0) + windows * self._window * self._rate // RATE

    def _hear(self, mono: Samples, ctx: Context) -> None:
        self._mono = np.concatenate([self._mono, mono[:, 0]])
        while len(self._mono) >= self._window:
            window, self._mono = self._mono[: self._window], self._mono[self._window :]
            start, stop = self._heard(self._windows), self._heard(self._windows + 1)
            self._windows += 1
            probability = self._detect(window)
            ctx.gauge("probability", probability)
            self._tell(self._hysteresis.push(start, stop - start, probability), ctx)

    def _tell(self, edges: list[Edge], ctx: Context) -> None:
        for found in edges:
            edge = found if self._end is None else Edge(min(found.position, self._end), found.on)
            at_s = edge.position / self._rate
            self._gate.edge(edge)
            if edge.on:
                self._start = edge.position
                self._mark(edge.position, Flag.SEGMENT_START)
                ctx.event("speech", "start", edge.position, start=edge.position, start_s=at_s)
            else:
                self._mark(edge.position - 1, Flag.SEGMENT_END)
                spoken = {"start": self._start, "end": edge.position}
                ctx.event(
                    "speech", "segment", edge.position, **spoken, start_s=self._start / self._rate, end_s=at_s
                )

    def _mark(self, position: int, flag: Flag) -> None:
        self._marks[position] = self._marks.get(position, Flag.NONE) | flag

    def _send(self, limit: int, ctx: Context) -> None:
        """Sends what no later edge can change; a marked sample goes alone, so that one frame is marked."""
        limit = min(limit, self._sent + len(self._held))
        for mark in [*sorted(mark for mark in self._marks if mark < limit), None]:
            self._emit(limit if mark is None else mark, Flag.NONE, ctx)
            if mark is not None:
                self._emit(mark + 1, self._marks.pop(mark), ctx)

    def _emit(self, stop: int, flags: Flag, ctx: Context) -> None:
        count = stop - self._sent
        if count <= 0:
            return
        block, self._held = self._held[:count], self._held[count:]
        block = self._gate.process(self._sent, block) if self.settings.gate else block
        ctx.emit("out", block, self._sent, flags=flags)
        self._sent = stop

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason != "cancel":
            self.flush(ctx)
        self._begin(None)

    def flush(self, ctx: Context) -> None:
        if self._origin is None:
            return
        self._end = self._sent + len(self._held)
        self._hear(self._resampler.flush(), ctx)
        if len(self._mono):
            self._hear(np.zeros((self._window - len(self._mono), 1), np.float32), ctx)
        self._tell(self._hysteresis.flush(), ctx)
        self._send(self._end, ctx)
        self._begin(None)


def _hysteresis(settings: Settings, rate: int) -> Hysteresis:
    enter = settings.threshold if settings.engine == "silero" else 0.5
    on, off, pad = settings.min_speech_ms, settings.min_silence_ms, settings.pad_ms
    return Hysteresis(
        enter, max(enter - APART, 0.0), rate * on // 1000, rate * off // 1000, rate * pad // 1000
    )


def _detectors(settings: Settings) -> Callable[[], Detect]:
    """What makes a detector for a new stretch of sound; the model is loaded once."""
    if settings.engine == "webrtc":
        return lambda: _webrtc(settings.aggressiveness)
    from audio_pipeline.models import silero

    return silero.load().stream


def _webrtc(aggressiveness: int) -> Detect:
    import webrtcvad

    vad = webrtcvad.Vad(aggressiveness)
    return lambda x: float(vad.is_speech((np.clip(x, -1, 1) * 32767).astype("<i2").tobytes(), RATE))


NODE = Vad
