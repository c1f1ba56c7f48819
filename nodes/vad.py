"""Detects speech: events with exact positions, marked frames, and a gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.dsp.hysteresis import Gate, Hysteresis
from audio_pipeline.dsp.leveller import Leveller
from audio_pipeline.dsp.mono import MEAN
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.dsp.utterances import Detect, Found, Utterances
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Bypass, Latency, Node, Ports
from audio_pipeline.settings import setting

RATE = 16_000  # of both engines
WINDOW = {"silero": 512, "webrtc": 320}  # samples at RATE
FADE_MS = 5
APART = 0.15  # between entering and leaving speech, as in Silero's own iterator


@dataclass(frozen=True)
class Settings:
    engine: str = setting(
        "silero",
        "silero is more reliable; webrtc needs no weights, but detects music and varying noise as speech",
        choices=tuple(WINDOW),
    )
    threshold: float = setting(0.5, "silero: least probability of speech", minimum=0.05, maximum=0.95)
    aggressiveness: int = setting(2, "webrtc: 0 finds the most speech, 3 rejects the most noise", minimum=0, maximum=3)
    min_speech_ms: int = setting(150, "shorter sounds are not speech", unit="ms", minimum=0, maximum=2_000)
    min_silence_ms: int = setting(300, "shorter pauses end no utterance", unit="ms", minimum=20, maximum=5_000)
    pad_ms: int = setting(
        100,
        "extension of an utterance at both ends; at most min_silence_ms",
        unit="ms",
        minimum=0,
        maximum=1_000,
    )
    gate: bool = setting(False, "pass only speech")


class Vad(Node):
    """Marks the utterances of a stream, at any level from -60 dBFS on.

    `out` is the sound, delayed by the node's latency so that the frames at the beginning and end of an utterance can
    carry SEGMENT_START and SEGMENT_END; with `gate` everything else is silent. Events on `speech`: `start` {start,
    start_s} as soon as an utterance is certain and `segment` {start, end, start_s, end_s} after its end; positions are
    those of the input, `end` is one past the last sample.
    """

    Settings = Settings
    PORTS = Ports(events=("speech",), bypass={"out": Bypass.INPUT})
    light = True  # webrtc is; silero has weights, which keep it apart

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return ("silero-vad",) if settings.engine == "silero" else ()

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
        self._new_detector = _detectors(self.settings)
        self._side = MEAN
        self._begin()

    def _begin(self) -> None:
        fade, window = self._rate * FADE_MS // 1000, WINDOW[self.settings.engine]
        gate = Gate(fade, 0, fade) if self.settings.gate else None
        hysteresis = _hysteresis(self.settings, self._rate)
        self._speech = Utterances(self._rate, self._new_detector(), RATE, window, hysteresis, gate)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        self._send(self._speech.push(frame.position, frame.audio()), ctx)
        ctx.gauge("probability", self._speech.probability)
        self._report_side(ctx)

    def _report_side(self, ctx: Context) -> None:
        """Says once that both sides cancel, and which one is listened to instead."""
        sides = self._speech.sides
        if sides.choice != MEAN and self._side == MEAN:
            lost = f"mixed they are {sides.loss_db:.0f} dB softer than alone"
            ctx.log(f"the two sides of the sound cancel ({lost}): speech is detected on {sides.description}")
        self._side = sides.choice

    def _send(self, found: Found, ctx: Context) -> None:
        for start, end in found.utterances:
            start_s = start / self._rate
            if end is None:
                ctx.event("speech", "start", start, start=start, start_s=start_s)
            else:
                span = {"start": start, "end": end, "start_s": start_s, "end_s": end / self._rate}
                ctx.event("speech", "segment", end, **span)
        for position, data, starts, ends in found.pieces:
            flags = (Flag.SEGMENT_START if starts else Flag.NONE) | (Flag.SEGMENT_END if ends else Flag.NONE)
            ctx.emit("out", data, position, flags=flags)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason != "cancel":
            self.flush(ctx)
        self._begin()

    def flush(self, ctx: Context) -> None:
        self._send(self._speech.flush(), ctx)
        self._begin()


def _hysteresis(settings: Settings, rate: int) -> Hysteresis:
    enter = settings.threshold if settings.engine == "silero" else 0.5
    on, off, pad = settings.min_speech_ms, settings.min_silence_ms, settings.pad_ms
    return Hysteresis(enter, max(enter - APART, 0.0), rate * on // 1000, rate * off // 1000, rate * pad // 1000)


def _detectors(settings: Settings) -> Callable[[], Detect]:
    """What makes a detector for a new stretch of sound; the model is loaded once."""
    if settings.engine == "webrtc":
        return lambda: _webrtc(settings.aggressiveness)
    from audio_pipeline.models.hearing import silero

    return silero.load().stream


def _webrtc(aggressiveness: int) -> Detect:
    import webrtcvad

    vad, level = webrtcvad.Vad(aggressiveness), Leveller(WINDOW["webrtc"] / RATE)
    return lambda x: float(vad.is_speech((np.clip(level(x), -1, 1) * 32767).astype("<i2").tobytes(), RATE))


NODE = Vad
