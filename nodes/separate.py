"""Splits music into voice and band, or into 4 or 5 stems, live or as fast as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from audio_pipeline.dsp.ramp import db_to_gain
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.models.separation.catalogue import spec_of
from audio_pipeline.node import Bypass, Context, Latency, Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.separation.live import Block, Driver
    from audio_pipeline.models.separation.remembered import Remembered
    from audio_pipeline.models.separation.spec import ModelSpec
    from audio_pipeline.models.separation.spleeter import Spleeter
    from audio_pipeline.models.separation.types import SeparatorSettings

STEMS = (2, 4, 5)
OFFLINE_HOP = 4
GUESSED_HOP, GUESSED_COMPUTE_S = 8, 0.3  # what `check` assumes of a machine before it was measured
NS = 1_000_000_000


def _fader(stem: str) -> Any:
    doc = f"level of {stem} in the output mix; -120 is off"
    return setting(0.0, doc, unit="dB", minimum=-120.0, maximum=24.0, live=True)


@dataclass(frozen=True)
class Settings:
    stems: int = setting(2, "2: vocals, accompaniment; 4: vocals, drums, bass, other; 5: piano as well", choices=STEMS)
    mode: str = setting(
        "balanced",
        "offline: Spleeter's own segments of 12 s; low, balanced, quality: a sliding window with "
        "0, 4, 16 frames (of 23 ms) of future",
        choices=("offline", "low", "balanced", "quality"),
    )
    hop: int = setting(
        0,
        f"frames between inferences; 0: live the fewest this machine keeps up with, offline {OFFLINE_HOP}",
        choices=(0, 1, 2, 4, 8, 16, 32),
    )
    outputs: str = setting(
        "stems",
        "stems: an output each; mix: one output with faders, which costs less; or both",
        choices=("stems", "mix", "both"),
    )
    residual: bool = setting(False, "the last stem is the mixture minus the others: full bandwidth, adds up")
    normalise: bool | None = setting(
        None, "bring quiet music to the level the model was trained at, and back; if not said: not in mode offline"
    )
    device: str = setting("auto", "auto takes a GPU where there is one", choices=("auto", "cpu", "cuda"))
    calm_s: float = setting(
        10.0,
        "live: after so long without a missed deadline a step up the ladder is tried",
        unit="s",
        minimum=1.0,
        maximum=3600.0,
    )
    precision: str = setting(
        "auto",
        "of a GPU; auto: fp16 where it agrees with fp32 to 50 dB there",
        choices=("auto", "fp32", "fp16", "bf16"),
    )
    batch: int = setting(
        1,
        "separators of one process (`process:`) that share the model: inferred together, each unmoved by the others",
        minimum=1,
        maximum=32,
    )
    threads: int = setting(0, "CPU threads of an inference; 0: one for each core", minimum=0, maximum=64)
    vocals_db: float = _fader("vocals")
    accompaniment_db: float = _fader("accompaniment")
    piano_db: float = _fader("piano")
    drums_db: float = _fader("drums")
    bass_db: float = _fader("bass")
    other_db: float = _fader("other")


class Separate(Node):
    """Spleeter as a stream: N samples in, N samples out at the same positions, on every output.

    Live it states its latency (window, lookahead, hop, compute) and keeps it: where an inference would come
    too late the aligned dry sound goes out as the last stem (and in `mix`), the other stems are silent, the
    frames are marked CONCEALED and `missed_deadlines` counts one; then the next inference is tried, nothing is
    caught up. The hop is chosen at warm-up, on the safe side: it counts what the rest of the graph needs. Where
    inferences begin to take too long, before one is missed, it steps down a ladder: half the inferences, with as
    much less of the future, so that the latency stays; then half the past; then, where misses go on, the dry sound
    without inference. After `calm_s` it steps up again, and at most to twice the inferences of the hop it stated,
    where that is measured to take less than half of the time. What held for a minute is remembered for this machine,
    and the next start states that. Every step is a line in the log, an event `mode` on `notes`, and the gauge `mode`
    (steps down; -1 is the one above).
    """

    Settings = Settings

    @classmethod
    def ports(cls, settings: Any, inputs: tuple[str, ...] = ()) -> Ports:
        spec = _spec(settings)
        stems = spec.stems
        outputs = {"stems": stems, "mix": ("mix",), "both": (*stems, "mix")}[settings.outputs]
        bypass = {name: Bypass.INPUT if name in (spec.fallback, "mix") else Bypass.SILENCE for name in outputs}
        return Ports(outputs=outputs, events=("notes",), bypass=bypass)

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return (_spec(settings).name,)

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        return ("audio_pipeline.models.separation.spleeter", "audio_pipeline.models.separation.live", "onnxruntime")

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._tuned: dict[str, Any] = {}
        self._step = 0  # where on the ladder to begin
        self._known: Remembered | None = None

    def input_rate(self, port: str, graph_rate: int) -> int:
        return _spec(self.settings).rate

    def input_channels(self, port: str) -> int | None:
        return _spec(self.settings).channels

    def restore(self, state: Mapping[str, Any]) -> None:
        self._tuned = dict(state)
        self._step = int(self._tuned.pop("step", 0))

    def snapshot(self) -> dict[str, Any]:
        ladder = self._driver.ladder
        return {**self._tuned, "step": ladder.step} if ladder else {}

    def open(self, ctx: Context) -> None:
        from audio_pipeline.models.separation import live
        from audio_pipeline.models.separation.grid import ladder_latency
        from audio_pipeline.models.separation.ladder import LadderSettings
        from audio_pipeline.models.separation.pool import SHARED
        from audio_pipeline.models.separation.remembered import remembered
        from audio_pipeline.models.separation.tuning import Tuning, tune, warm_up
        from audio_pipeline.models.separation.types import stated_latency

        own, self._spec = self.settings, _spec(self.settings)
        self._key = (own.stems, own.device, own.threads, own.precision)
        model, settings = SHARED.hold(self._key, lambda: _load(own)), _stream_settings(own, OFFLINE_HOP)
        ctx.log(model.engine)
        self._driver: Driver
        if ctx.live:
            self._known = remembered(model.engine, (own.stems, own.mode, own.threads, own.batch))
            if not self._tuned:
                self._tuned = tune(model, settings, own.hop, own.batch, settle=self._known.settle)._asdict()
            spare_ns, tuning = ctx.frame_samples * NS // ctx.rate, Tuning(**self._tuned)
            settings, steps = replace(settings, hop=tuning.hop), LadderSettings(calm_s=own.calm_s)
            warm_up(model, settings, own.batch)
            seat = SHARED.seat(self._key, ctx.name, ctx.wake, own.batch, fixed=model.padded)
            free = not own.hop
            self._driver = live.live_driver(model, settings, tuning, spare_ns, seat, steps, self._step, trial=free)
            self._known = self._known.begin(tuning.hop) if free else None
        else:
            self._driver = live.offline_driver(model, settings)
        stated = ladder_latency(self._spec, settings) if ctx.live else stated_latency(self._spec, settings)
        self._latency = Latency(*stated, compute=round(self._tuned.get("compute_s", 0.0) * self._spec.rate))
        self._base = self._next = 0  # positions of the stream's first and next sample
        self._missed = self._steps = 0
        self._show_mode(ctx)

    def latency(self) -> Latency:
        return self._latency

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        from audio_pipeline.models.separation.grid import ladder_latency

        spec = _spec(settings)
        terms = ladder_latency(spec, _stream_settings(settings, GUESSED_HOP))
        return Latency(*terms, compute=round(GUESSED_COMPUTE_S * spec.rate))

    def context_samples(self) -> int:
        spec = _spec(self.settings)
        return spec.mode(self.settings.mode).window * spec.stft.hop

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if frame.position != self._next:
            self.reset(frame.position, "discontinuity", ctx)
        self._next = frame.end
        self._driver.push(frame.audio(), frame.captured_ns, replay=bool(frame.flags & Flag.REPLAY))
        self.poll(ctx)

    def poll(self, ctx: Context) -> None:
        self._send(self._driver.step(ctx.now_ns()), ctx)

    def deadline_ns(self) -> int | None:
        return self._driver.deadline_ns()

    def _send(self, blocks: Iterable[Block], ctx: Context) -> None:
        for start, sound, dry in blocks:
            for name, samples in sound.items():
                flags = Flag.CONCEALED if dry else Flag.NONE
                ctx.emit(name, samples, self._base + start, flags=flags, rate=self._spec.rate)
            self._tell(self._base + start, ctx)

    def _tell(self, position: int, ctx: Context) -> None:
        driver = self._driver
        ctx.count("missed_deadlines", driver.missed - self._missed)
        self._missed = driver.missed
        ctx.gauge("inference_ms", driver.worker.last_s * 1000)
        if driver.steps != self._steps and driver.ladder:
            self._steps, ladder = driver.steps, driver.ladder
            self._show_mode(ctx)
            ctx.event("notes", "mode", position, step=ladder.step, dry=ladder.dry, **ladder.rung._asdict())
            ctx.log(f"mode {self.settings.mode}, step {ladder.step}: {ladder.described}")
        if self._known and driver.ladder:
            self._known.note(ctx.now_ns(), driver.ladder.step, driver.missed)

    def _show_mode(self, ctx: Context) -> None:
        ladder = self._driver.ladder
        ctx.gauge("hop", self._driver.stream.rung.hop)
        ctx.gauge("mode", ladder.step if ladder else 0)

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        stem = name.removesuffix("_db")
        if "mix" in self._driver.stream.outputs and stem in self._spec.stems:
            self._driver.stream.set_gains("mix", {stem: db_to_gain(value)}, max(position - self._base, 0))

    def reset(self, position: int, reason: str, ctx: Context) -> None:
        if reason != "cancel":
            self._send(self._driver.abandon() if ctx.live else self._driver.finish(ctx.now_ns), ctx)
        self._driver.reset()
        self._base = self._next = position

    def flush(self, ctx: Context) -> None:
        self._send(self._driver.finish(ctx.now_ns), ctx)

    def close(self) -> None:
        from audio_pipeline.models.separation.pool import SHARED

        self._driver.worker.close()
        SHARED.drop(self._key)


def _spec(settings: Settings) -> ModelSpec:
    return spec_of(f"spleeter-{settings.stems}stems")


def _stream_settings(settings: Settings, hop: int) -> SeparatorSettings:
    from audio_pipeline.dsp.normalise import NormaliserSettings
    from audio_pipeline.models.separation.types import SeparatorSettings

    stems = _spec(settings).stems
    outputs = {} if settings.outputs == "mix" else {stem: {stem: 1.0} for stem in stems}
    if settings.outputs != "stems":
        outputs["mix"] = {stem: db_to_gain(getattr(settings, f"{stem}_db")) for stem in stems}
    wanted = settings.mode != "offline" if settings.normalise is None else settings.normalise
    normalise = NormaliserSettings() if wanted else None
    return SeparatorSettings(settings.mode, settings.hop or hop, outputs, settings.residual, normalise)


def _load(settings: Settings) -> Spleeter:
    from audio_pipeline.models.separation import spleeter

    name = _spec(settings).name
    return spleeter.load(name, device=settings.device, threads=settings.threads, precision=settings.precision)


NODE = Separate
