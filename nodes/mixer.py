"""Adds its inputs, each with a fader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.dsp.duck import Ducker
from audio_pipeline.dsp.level import overs
from audio_pipeline.dsp.ramp import Ramp, db_to_gain
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.frame import Flag, Frame, Samples
from audio_pipeline.node import Aligned, Ports
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
class Duck:
    by: str = setting("", "the input that lowers this one")
    db: float = setting(-12.0, "change of level", unit="dB", minimum=-60.0, maximum=0.0)
    attack_ms: float = setting(60.0, "time to fade down", unit="ms", minimum=5, maximum=2_000)
    release_ms: float = setting(
        500.0, "time to fade up, from 0.3 s after the other's last sound", unit="ms", minimum=5, maximum=10_000
    )
    threshold_db: float = setting(
        -45.0, "level of the other from which on this one is lowered", unit="dB", minimum=-90, maximum=0
    )


@dataclass(frozen=True)
class InputSettings:
    gain_db: float = setting(
        0.0, "level of this input; -120 is off", unit="dB", minimum=-120.0, maximum=24.0, live=True
    )
    mute: bool = setting(False, "silence this input", live=True)
    solo: bool = setting(False, "silence every input without solo", live=True)
    duck: Duck | None = setting(None, "lower this input while another one sounds: {by: voice, db: -12}")


class Mixer(Aligned):
    """Sums any number of named inputs, aligned by position; faders, mute and solo move within 20 ms.

    `out` is the mix, live at the pace of the clock: a late or missing input is replaced as its `on_loss` says, and the
    mix continues, marked CONCEALED. `direct_<input>` is each input before its fader, aligned with the mix; recordings
    of these line up. The sum may exceed full scale; the output clips and counts it.

    `duck: {by: voice, db: -12, attack_ms: 60, release_ms: 500, threshold_db: -45}` (all numbers optional) lowers an
    input, in the mix alone, while another one is above its threshold after its fader.
    """

    Settings = Settings
    InputSettings = InputSettings
    light = True

    @classmethod
    def ports(cls, settings: Any, inputs: tuple[str, ...] = ()) -> Ports:
        return Ports(inputs=inputs, outputs=("out", *(f"direct_{name}" for name in inputs)))

    def input_channels(self, port: str) -> int | None:
        return int(self.settings.channels)

    def open(self, ctx: Context) -> None:
        length = ctx.rate * RAMP_MS // 1000
        self._faders = {name: Ramp(self._gain(name), length) for name in self.input_settings}
        self._master = Ramp(self._master_gain(), length)
        self._rate = ctx.rate
        self._duckers: dict[str, Ducker] = {}
        self._renew_duckers()

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        first = next(iter(inputs.values()))
        mix = np.zeros((first.samples, self.settings.channels), np.float32)
        flags, captured_ns, faded = Flag.NONE, [], dict[str, Samples]()
        for name, frame in inputs.items():
            x = frame.audio()
            concealed = frame.flags & Flag.CONCEALED
            ctx.emit(f"direct_{name}", x, frame.position, flags=concealed, captured_ns=frame.captured_ns)
            faded[name] = self._faders[name].process(x)
            flags |= concealed
            captured_ns += [frame.captured_ns] if frame.captured_ns and not concealed else []
        for name, x in faded.items():
            mix = mix + self._ducked(name, x, faded)
        mix = self._master.process(mix)
        ctx.count("overs", overs(mix))
        ctx.emit("out", mix, first.position, flags=flags, captured_ns=min(captured_ns, default=None))

    def _ducked(self, name: str, x: Samples, faded: Mapping[str, Samples]) -> Samples:
        ducker = self._duckers.get(name)
        if ducker is None:
            return x
        key = faded.get(self.input_settings[name].duck.by)
        gains = ducker.gains(np.zeros((len(x), 1), np.float32) if key is None else key)
        y: Samples = x * gains[:, None]
        return y

    def _renew_duckers(self) -> None:
        wanted = {name: mine.duck for name, mine in self.input_settings.items() if mine.duck is not None}
        for name, duck in wanted.items():
            others = [other for other in self.input_settings if other != name]
            if duck.by not in others:
                known = ", ".join(others) or "none"
                raise ConfigError(
                    f"inputs.{name}.duck.by: no input {duck.by!r}{nearest(duck.by, others)}; others are {known}"
                )
        self._duckers = {name: self._duckers.get(name) or _ducker(duck, self._rate) for name, duck in wanted.items()}

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
        self._renew_duckers()

    def _gain(self, name: str) -> float:
        mine: InputSettings = self.input_settings[name]
        soloed = any(other.solo for other in self.input_settings.values())
        return 0.0 if mine.mute or (soloed and not mine.solo) else db_to_gain(mine.gain_db)

    def _master_gain(self) -> float:
        return 0.0 if self.settings.mute else db_to_gain(self.settings.gain_db)


def _ducker(duck: Duck, rate: int) -> Ducker:
    times = {"attack_ms": duck.attack_ms, "release_ms": duck.release_ms}
    return Ducker(rate, db=duck.db, threshold_db=duck.threshold_db, **times)


def _head_for(fader: Ramp, gain: float) -> None:
    if fader.target != gain:
        fader.set(gain)


NODE = Mixer
