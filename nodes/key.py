"""Another key while it plays: for the voice and the band of a song that is being separated, or for anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.dsp.key_shift import MOST, KeyShift, latency_samples
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Frame, Samples
from audio_pipeline.node import Bypass, Latency, Node, Ports
from audio_pipeline.settings import setting

COMPUTE_MS = 10  # a frame of the vocoder, with room


@dataclass(frozen=True)
class Settings:
    semitones: float = setting(
        0.0, "shift up or down; at most `most`", unit="semitones", minimum=-MOST, maximum=MOST, live=True
    )
    sound: str = setting(
        "band",
        "band keeps drums sharp; voice keeps the formants, so that a singer stays the same person",
        choices=("band", "voice"),
    )
    most: float = setting(6.0, "largest shift, which decides the latency", unit="semitones", minimum=1.0, maximum=MOST)


class Key(Node):
    """Shifts the pitch and keeps the tempo: sample p of `out` is sample p of `in`.

    At 0 semitones `out` is `in` to the bit; after a change back to 0 it is so again within a second. A change is
    audible after the node's latency. With `sound: band` a hit may come up to 60 ms early or late while the key is
    shifted. Method: a phase vocoder with phases locked to peaks (Laroche and Dolson 1999) and onsets kept in their own
    phases, then a windowed sinc.
    """

    Settings = Settings
    PORTS = Ports(bypass={"out": Bypass.INPUT})
    light = True

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        if abs(self.settings.semitones) > self.settings.most:
            most = self.settings.most
            raise ConfigError(
                f"semitones: expected at most `most` ({most:g}) up or down, got {self.settings.semitones:g}"
            )
        self._shift: KeyShift | None = None

    def open(self, ctx: Context) -> None:
        self._rate, self._base, self._sent = ctx.rate, 0, 0

    def latency(self) -> Latency:
        return self.estimate(self.settings, self._rate)

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        window = latency_samples(settings.most, onsets=settings.sound == "band")
        return Latency(window=window, compute=COMPUTE_MS * rate // 1000)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        x = frame.audio()
        if self._shift is None:
            self._base, self._sent = frame.position, 0
            self._shift = self._made(x.shape[1])
        self._send(self._shift.process(x), ctx)

    def _made(self, channels: int) -> KeyShift:
        voice = self.settings.sound == "voice"
        return KeyShift(channels, self._rate, self._semitones, formants=voice, onsets=not voice)

    @property
    def _semitones(self) -> float:
        most = float(self.settings.most)
        return min(max(float(self.settings.semitones), -most), most)

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if abs(float(value)) > self.settings.most:
            ctx.log(f"{value:g} semitones are more than `most` allows: {self._semitones:g} are used")
        if self._shift is not None:
            self._shift.set_semitones(self._semitones)

    def _send(self, y: Samples, ctx: Context) -> None:
        if len(y):
            ctx.emit("out", y, self._base + self._sent)
            self._sent += len(y)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason != "cancel":
            self.flush(ctx)
        self._shift = None

    def flush(self, ctx: Context) -> None:
        if self._shift is not None:
            self._send(self._shift.flush(), ctx)
            self._shift = None


NODE = Key
