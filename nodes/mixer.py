"""Adds its inputs up, each with a fader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.dsp.level import overs
from audio_pipeline.dsp.ramp import Ramp, db_to_gain
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Aligned, Context, Ports, silence
from audio_pipeline.settings import setting

RAMP_MS = 20


@dataclass(frozen=True)
class Settings:
    gain_db: float = setting(
        0.0, "level of the whole mix; -120 is off", unit="dB", minimum=-120.0, maximum=24.0, live=True
    )
    mute: bool = setting(False, "silence the whole mix", live=True)
    channels: int = setting(2, "channels of the mix and of every input", minimum=1, maximum=32)


@dataclass(frozen=True)
class InputSettings:
    gain_db: float = setting(
        0.0, "level of this input; -120 is off", unit="dB", minimum=-120.0, maximum=24.0, live=True
    )
    mute: bool = setting(False, "silence this input", live=True)
    solo: bool = setting(False, "silence every input that is not solo", live=True)


class Mixer(Aligned):
    """Sums any number of named inputs, aligned by position; faders, mute and solo move in 20 ms.

    `out` is the mix, at the clock's pace when live: an input that is late or gone is replaced as its
    `on_loss` says and the mix goes on, marked CONCEALED. `direct_<input>` is each input before its fader,
    aligned with the mix: record these and the tracks line up. The sum may go over full scale; the output
    clips and counts it.
    """

    Settings = Settings
    InputSettings = InputSettings

    @classmethod
    def ports(cls, settings: Any, inputs: tuple[str, ...] = ()) -> Ports:
        return Ports(inputs=inputs, outputs=("out", *(f"direct_{name}" for name in inputs)))

    def input_channels(self, port: str) -> int | None:
        return int(self.settings.channels)

    def open(self, ctx: Context) -> None:
        length = ctx.rate * RAMP_MS // 1000
        self._faders = {name: Ramp(self._gain(name), length) for name in self.input_settings}
        self._master = Ramp(self._master_gain(), length)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        first = next(iter(inputs.values()))
        mix = silence(first.samples, self.settings.channels)
        flags, captured_ns = Flag.NONE, []
        for name, frame in inputs.items():
            x = frame.audio()
            concealed = frame.flags & Flag.CONCEALED
            ctx.emit(f"direct_{name}", x, frame.position, flags=concealed, captured_ns=frame.captured_ns)
            mix = mix + self._faders[name].process(x)
            flags |= concealed
            captured_ns += [frame.captured_ns] if frame.captured_ns and not concealed else []
        mix = self._master.process(mix)
        ctx.count("overs", overs(mix))
        ctx.emit("out", mix, first.position, flags=flags, captured_ns=min(captured_ns, default=None))

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        for input_name, fader in self._faders.items():
            _head_for(fader, self._gain(input_name))
        _head_for(self._master, self._master_gain())

    def on_inputs(self, ctx: Context) -> None:
        length = ctx.rate * RAMP_MS // 1000
        new = {name: Ramp(self._gain(name), length) for name in self.input_settings if name not in self._faders}
        self._faders = {name: fader for name, fader in self._faders.items() if name in self.input_settings} | new
        for name, fader in self._faders.items():
            _head_for(fader, self._gain(name))

    def _gain(self, name: str) -> float:
        mine: InputSettings = self.input_settings[name]
        soloed = any(other.solo for other in self.input_settings.values())
        return 0.0 if mine.mute or (soloed and not mine.solo) else db_to_gain(mine.gain_db)

    def _master_gain(self) -> float:
        return 0.0 if self.settings.mute else db_to_gain(self.settings.gain_db)


def _head_for(fader: Ramp, gain: float) -> None:
    if fader.target != gain:
        fader.set(gain)


NODE = Mixer
