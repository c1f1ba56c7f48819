"""Converts a voice to another one while it speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_pipeline import threads
from audio_pipeline.context import Context
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Bypass, Latency, Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.convert.live import Made
    from audio_pipeline.models.voices.converter import Wish

NS = 1_000_000_000
MOST_RATE = 48_000  # asked before the rate is known
COMPUTE = 0.6  # of a block: what is stated, and from which on a block is late


@dataclass(frozen=True)
class Settings:
    voice: str = setting("", "name of an enrolled target voice")
    sample: str = setting(
        "", "or a sound file of the target's speech, 5 s or more; neither: only the settings below", file=True
    )
    engine: str = setting(
        "world",
        "world: light; openvoice, freevc: networks of coqui-tts, which need a fast machine",
        choices=("world", "openvoice", "freevc"),
    )
    pitch_semitones: float = setting(0.0, "pitch relative to the target's", minimum=-24, maximum=24, live=True)
    formant: float | None = setting(
        None,
        "factor of the formants, below 1 for a longer vocal tract; none: measured",
        minimum=0.6,
        maximum=1.7,
        live=True,
    )
    colour: float = setting(1.0, "share of the target's broad spectral colour", minimum=0, maximum=1)
    block_ms: int = setting(
        0,
        "length of a block, most of the latency; 0: 50, networks 250",
        unit="ms",
        minimum=0,
        maximum=1_000,
    )
    bypass: bool = setting(False, "the speaker's own voice instead, with the same latency", live=True)
    gain_db: float = setting(0.0, "level of the output", unit="dB", minimum=-120, maximum=24, live=True)
    gate_db: float = setting(
        -120.0, "quieter sound becomes silence; -120: off", unit="dB", minimum=-120, maximum=0, live=True
    )
    late: str = setting(
        "own",
        "replacement for a late block: the speaker's own sound, or silence to protect their identity",
        choices=("own", "silence"),
    )
    watermark: bool = setting(True, "mark the output as synthetic; off only if the host's policy agrees")
    threads: int = setting(0, "CPU threads of a network; 0: its own choice", minimum=0, maximum=64)


class Convert(Node):
    """Converts one voice to another: N samples in, N samples out, mono, at the same positions, with the stated latency.

    Live, a block that would be late is replaced (`late`, counted as `missed_deadlines`); nothing is caught up. Events
    on `notes`: `formant` {formant, how, likeness, likeness_before} when it has determined the formants from the first
    seconds of speech. It starts only if it detects its own watermark. Its bypass is silence, so a speaker who relies on
    another voice is never audible with their own.
    """

    Settings = Settings
    PORTS = Ports(events=("notes",), bypass={"out": Bypass.SILENCE})

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        mark = ("perth",) if settings.watermark else ()
        return (*mark, "ge2e") if settings.engine == "world" and (settings.voice or settings.sample) else mark

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.models.voices.converter",)

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._learnt: dict[str, Any] = {}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._learnt = dict(state)

    def snapshot(self) -> dict[str, Any]:
        return self._ready.state()

    def input_channels(self, port: str) -> int | None:
        return 1

    def open(self, ctx: Context) -> None:
        from audio_pipeline.models.convert.live import Deadline, Driver, at_leisure
        from audio_pipeline.models.convert.mix import Mix
        from audio_pipeline.models.voices.converter import open_converter

        s = self.settings
        self._pool, self._leisure = threads.pool("convert"), at_leisure()
        self._ready = open_converter(_wish(s), ctx.rate, self._leisure.submit if ctx.live else None)
        self._ready.warm_up()
        self._ready.restore(self._learnt)
        blocks = self._ready.blocks
        self._latency = _latency(blocks.block, blocks.lookahead_samples)
        allowed_ns = (self._latency.total + ctx.frame_samples) * NS // ctx.rate
        self._driver = Driver(blocks, Deadline(allowed_ns, self._pool, ctx.wake) if ctx.live else None)
        self._mix = Mix(ctx.rate, bypass=s.bypass, gain_db=s.gain_db, gate_db=s.gate_db, late=s.late)
        self._base = self._next = self._lead = self._missed = 0

    def latency(self) -> Latency:
        return self._latency

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        from audio_pipeline.models.convert.blocks import layout_of

        layout = layout_of(settings.engine, settings.block_ms)
        return _latency(round(layout.block_ms * rate / 1000), round(layout.lookahead_ms * rate / 1000))

    def context_samples(self) -> int:
        from audio_pipeline.models.convert.blocks import layout_of

        layout = layout_of(self.settings.engine, self.settings.block_ms)
        return round((layout.past_ms + layout.search_ms) * MOST_RATE / 1000)

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if frame.position != self._next:
            self.reset(frame.position, "discontinuity", ctx)
        self._next = frame.end
        self._driver.push(frame.audio()[:, 0], frame.captured_ns, replay=bool(frame.flags & Flag.REPLAY))
        self.poll(ctx)

    def poll(self, ctx: Context) -> None:
        self._send(self._driver.step(ctx.now_ns()), ctx)

    def deadline_ns(self) -> int | None:
        return self._driver.deadline_ns()

    def _send(self, made: Iterable[Made], ctx: Context) -> None:
        for one in made:
            first = max(self._lead - one.start, 0)
            flags = Flag.CONCEALED if one.missed else Flag.NONE
            ctx.emit("out", self._mix.process(one)[first:], self._base + one.start + first, flags=flags)
            self._report(self._base + one.start + first, ctx)

    def _report(self, position: int, ctx: Context) -> None:
        ctx.count("missed_deadlines", self._driver.missed - self._missed)
        self._missed = self._driver.missed
        ctx.gauge("block_ms", self._driver.last_s * 1000)
        for name, value in self._ready.gauges().items():
            ctx.gauge(name, value)
        for found in self._ready.findings():
            ctx.event("notes", "formant", position, **found)
            ctx.log("formants times {formant:.2f} ({how})".format(**found))

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        changes = {"bypass": self._mix.bypass, "gain_db": self._mix.gain, "gate_db": self._mix.gate}
        if name in changes:
            changes[name](value)
        else:
            self._ready.change(name, value)

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason != "cancel":
            self._send(self._driver.abandon() if ctx.live else self._driver.finish(ctx.now_ns), ctx)
        self._driver.reset()
        self._mix.reset()
        self._lead = position % self._driver.blocks.block  # blocks begin at multiples of their size
        self._base, self._next = position - self._lead, position
        self._driver.lead(self._lead)

    def flush(self, ctx: Context) -> None:
        self._send(self._driver.finish(ctx.now_ns), ctx)

    def close(self) -> None:
        self._ready.close()
        self._pool.shutdown()
        self._leisure.shutdown(cancel_futures=True)


def _latency(block: int, lookahead: int) -> Latency:
    return Latency(lookahead=lookahead, hop=block, compute=round(COMPUTE * block))


def _wish(s: Settings) -> Wish:
    from audio_pipeline.files.clip import read_clip
    from audio_pipeline.models.voices.converter import Wish

    sample = read_clip(Path(s.sample)) if s.sample else None
    return Wish(
        voice=s.voice,
        sample=sample,
        engine=s.engine,
        semitones=s.pitch_semitones,
        formant=s.formant,
        colour=s.colour,
        block_ms=s.block_ms,
        watermark=s.watermark,
        threads=s.threads,
    )


NODE = Convert
