"""Splits music into voice and band, or into 4 or 5 stems, or speech from noise, live or as fast as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from audio_pipeline.dsp.ramp import db_to_gain
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.models.separation.catalogue import SPECS, spec_of
from audio_pipeline.node import Bypass, Context, Latency, Node, Ports
from audio_pipeline.settings import setting

if TYPE_CHECKING:
    from audio_pipeline.models.separation.live import Block, Driver
    from audio_pipeline.models.separation.remembered import Remembered
    from audio_pipeline.models.separation.spec import ModelSpec
    from audio_pipeline.models.separation.types import LoadedModel, SeparatorSettings
    from audio_pipeline.serving.served_model import ServedModel

OFFLINE_HOP = 4
GUESSED_HOP, GUESSED_COMPUTE_S = 8, 0.3  # what `check` assumes of a machine before it was measured
GUESSED_STEP_S = 0.03  # the same of a model that computes each frame
NS = 1_000_000_000
FADERS = ("vocals", "accompaniment", "piano", "drums", "bass", "other")  # each was a setting of its own once


@dataclass(frozen=True)
class Settings:
    RENAMED: ClassVar = {
        "stems": "model: spleeter-2stems, spleeter-4stems or spleeter-5stems",
        **{f"{stem}_db": f"faders: {{{stem}: dB}}" for stem in FADERS},
    }
    model: str = setting(
        "spleeter-2stems",
        "spleeter-2stems: vocals, accompaniment; spleeter-4stems: vocals, drums, bass, other; spleeter-5stems: piano "
        "as well; deepfilternet: speech, noise, in 40 ms",
        choices=tuple(SPECS),
    )
    mode: str | None = setting(
        None,
        "of Spleeter, offline: its own segments of 12 s; low, balanced (by default), quality: a sliding window with "
        "0, 4, 16 frames (of 23 ms) of future; of DeepFilterNet: low",
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
        None,
        "bring quiet music to the level the model was trained at, and back; by default with Spleeter, but not in "
        "mode offline",
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
        "auto: in mode offline fp32; else the quickest here that agrees with fp32 to 50 dB, which is measured once",
        choices=("auto", "fp32", "fp16", "bf16"),
    )
    engine: str = setting(
        "auto", "of Spleeter on a CPU; auto: the quicker one here", choices=("auto", "onnxruntime", "openvino")
    )
    worker: str = setting(
        "own",
        "live: own computes in this node's process; served in one of the host, for the streams of all its pipelines, "
        "which takes no memory for weights here",
        choices=("own", "served"),
    )
    batch: int = setting(
        1,
        "separators of one process (`process:`) that share the model: inferred together, each unmoved by the others",
        minimum=1,
        maximum=32,
    )
    threads: int = setting(
        0, "CPU threads of an inference; 0: one for each core, DeepFilterNet one", minimum=0, maximum=64
    )
    faders: dict[str, float] = setting(
        dict,
        "levels of stems in the output mix, such as {vocals: -20}; the others at 0, -120 is off",
        unit="dB",
        minimum=-120.0,
        maximum=24.0,
        live=True,
    )

    def __post_init__(self) -> None:
        if not self.spec.mode(self.separation_mode).sliding and self.worker == "served":
            raise ConfigError(f"worker: expected own with mode {self.separation_mode!r}, got 'served'")
        for stem in self.faders:
            if stem not in self.spec.stems:
                close, known = nearest(stem, self.spec.stems), ", ".join(self.spec.stems)
                raise ConfigError(f"faders: expected stems of {self.model} ({known}), got {stem!r}{close}")
        object.__setattr__(self, "faders", {stem: self.faders.get(stem, 0.0) for stem in self.spec.stems})

    @property
    def spec(self) -> ModelSpec:
        """Of the model that was chosen."""
        return spec_of(self.model)

    @property
    def separation_mode(self) -> str:
        """The mode that was chosen, or the model's own."""
        return self.mode or self.spec.default_mode

    @property
    def wanted_precision(self) -> str:
        """The precision that was chosen; offline, where nothing waits for it, the sound is exact."""
        exact = self.precision == "auto" and not self.spec.mode(self.separation_mode).sliding
        return "fp32" if exact else self.precision


class Separate(Node):
    """A separation model as a stream: N samples in, N samples out at the same positions, on every output.

    Live it states its latency (window, lookahead, hop, compute) and keeps it: where an inference would come too late
    the aligned dry sound goes out as the last stem of Spleeter or as the speech of DeepFilterNet (and in `mix`), the
    other stems are silent, the frames are marked CONCEALED and `missed_deadlines` counts one; then the next inference
    is tried, nothing is caught up. The hop is chosen at warm-up, on the safe side: it counts what the rest of the
    graph needs. Where inferences begin to take too long, before one is missed, it steps down a ladder: half the
    inferences, with as much less of the future, so that the latency stays; then half the past; then, where misses go
    on, the dry sound without inference. After `calm_s` it steps up again, and at most to twice the inferences of the
    hop it stated, where that is measured to take less than half of the time. What held for a minute is remembered for
    this machine, and the next start states that. Every step is a line in the log, an event `mode` on `notes`, and the
    gauge `mode` (steps down; -1 is the one above).

    DeepFilterNet has no rung between its own and the dry sound, and carries a memory of the stream: after a restart, a
    break or the dry sound it begins without one, behind a fade of 10 ms.
    """

    Settings = Settings

    @classmethod
    def ports(cls, settings: Any, inputs: tuple[str, ...] = ()) -> Ports:
        spec, stems = settings.spec, settings.spec.stems
        outputs = {"stems": stems, "mix": ("mix",), "both": (*stems, "mix")}[settings.outputs]
        bypass = {name: Bypass.INPUT if name in (spec.fallback, "mix") else Bypass.SILENCE for name in outputs}
        return Ports(outputs=outputs, events=("notes",), bypass=bypass)

    @classmethod
    def assets(cls, settings: Any) -> tuple[str, ...]:
        return (str(settings.model),)

    @classmethod
    def when_shared(cls, settings: Any) -> Mapping[str, Any] | None:
        sliding = settings.spec.mode(settings.separation_mode).sliding
        return {"worker": "served"} if sliding else None

    @classmethod
    def preload(cls, settings: Any) -> tuple[str, ...]:
        from audio_pipeline.models.separation.loading import libraries

        live = "audio_pipeline.models.separation.live"
        if settings.worker == "served":
            return (live, "audio_pipeline.serving.served_model")
        precision, engine = settings.wanted_precision, settings.engine
        return (live, *libraries(settings.model, threads=settings.threads, precision=precision, engine=engine))

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._tuned: dict[str, Any] = {}
        self._step = 0  # where on the ladder to begin
        self._known: Remembered | None = None
        self._served: ServedModel | None = None

    def input_rate(self, port: str, graph_rate: int) -> int:
        return int(self.settings.spec.rate)

    def input_channels(self, port: str) -> int | None:
        return int(self.settings.spec.channels)

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

        own, self._spec = self.settings, self.settings.spec
        self._lost = 0
        if ctx.live and own.worker == "served":
            self._open_served(ctx)
            return
        self._key = (own.model, own.device, own.threads, own.wanted_precision, own.engine)
        model, settings = SHARED.hold(self._key, lambda: _load(own)), _stream_settings(own, OFFLINE_HOP)
        ctx.log(model.engine)
        self._driver: Driver
        if ctx.live:
            self._known = remembered(model.engine, (own.model, own.separation_mode, own.threads, own.batch))
            if not self._tuned:
                self._tuned = tune(model, settings, own.hop, own.batch, settle=self._known.settle)._asdict()
            spare_ns, tuning = ctx.frame_samples * NS // ctx.rate, Tuning(**self._tuned)
            settings, steps = replace(settings, hop=tuning.hop), LadderSettings(calm_s=own.calm_s)
            warm_up(model, settings, own.batch)
            seat = SHARED.seat(self._key, ctx.name, ctx.wake, own.batch, fixed=model.padded)
            free = not (own.hop or self._spec.stateful)
            self._driver = live.live_driver(model, settings, tuning, spare_ns, seat, steps, self._step, trial=free)
            self._known = self._known.begin(tuning.hop) if free else None
        else:
            self._driver = live.offline_driver(model, settings)
        terms = ladder_latency(self._spec, settings) if ctx.live else stated_latency(self._spec, settings)
        self._begin(terms, ctx)

    def _open_served(self, ctx: Context) -> None:
        """A place at the host's model, whose owner decides the hop where the file does not."""
        from audio_pipeline.models.separation import live
        from audio_pipeline.models.separation.grid import ladder_latency
        from audio_pipeline.models.separation.ladder import LadderSettings
        from audio_pipeline.models.separation.tuning import Tuning
        from audio_pipeline.serving.model_session import Wish
        from audio_pipeline.serving.served_model import HostModel, ServedModel

        own, spec = self.settings, self._spec
        task = {"model": own.model, "device": own.device, "threads": own.threads, "precision": own.precision}
        task["engine"] = own.engine
        stream = f"{ctx.run_folder.rpartition('/')[2]}/{ctx.name}"
        wish = Wish(stream, own.separation_mode, own.hop, int(self._tuned.get("hop", 0)))
        self._served = worker = ServedModel(spec, task, wish, ctx.wake)
        tuning = Tuning(worker.place.hop, worker.place.compute_s, worker.place.fastest_s)
        ctx.log(f"{worker.place.engine}, in a process of the host")
        self._tuned, settings = tuning._asdict(), _stream_settings(own, tuning.hop)
        spare_ns, steps = ctx.frame_samples * NS // ctx.rate, LadderSettings(calm_s=own.calm_s)
        self._driver = live.live_driver(HostModel(spec), settings, tuning, spare_ns, worker, steps, self._step)
        self._begin(ladder_latency(spec, replace(settings, hop=tuning.hop)), ctx)

    def _begin(self, terms: tuple[int, int, int], ctx: Context) -> None:
        self._latency = Latency(*terms, compute=round(self._tuned.get("compute_s", 0.0) * self._spec.rate))
        self._base = self._next = 0  # positions of the stream's first and next sample
        self._missed = self._steps = 0
        self._show_mode(ctx)

    def latency(self) -> Latency:
        return self._latency

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        from audio_pipeline.models.separation.grid import ladder_latency

        spec: ModelSpec = settings.spec
        hop, compute_s = (1, GUESSED_STEP_S) if spec.stateful else (GUESSED_HOP, GUESSED_COMPUTE_S)
        terms = ladder_latency(spec, _stream_settings(settings, hop))
        return Latency(*terms, compute=round(compute_s * spec.rate))

    def context_samples(self) -> int:
        spec: ModelSpec = self.settings.spec
        return spec.mode(self.settings.separation_mode).window * spec.stft.hop

    def process(self, inputs: Mapping[str, Frame], ctx: Context) -> None:
        frame = inputs["in"]
        if frame.position != self._next:
            self.reset(frame.position, "discontinuity", ctx)
        self._next = frame.end
        self._driver.push(frame.audio(), frame.captured_ns, replay=bool(frame.flags & Flag.REPLAY))
        self.poll(ctx)

    def poll(self, ctx: Context) -> None:
        if self._served is not None:
            self._report_host(self._served, ctx)
        self._send(self._driver.step(ctx.now_ns()), ctx)

    def _report_host(self, served: ServedModel, ctx: Context) -> None:
        while served.notes:
            ctx.log(served.notes.popleft())
        ctx.count("hosts_lost", served.lost - self._lost)
        self._lost = served.lost

    def deadline_ns(self) -> int | None:
        return self._driver.deadline_ns()

    def _send(self, blocks: Iterable[Block], ctx: Context) -> None:
        for start, sound, dry in blocks:
            for name, samples in sound.items():
                flags = Flag.CONCEALED if dry else Flag.NONE
                ctx.emit(name, samples, self._base + start, flags=flags, rate=self._spec.rate)
            self._report(self._base + start, ctx)

    def _report(self, position: int, ctx: Context) -> None:
        driver = self._driver
        ctx.count("missed_deadlines", driver.missed - self._missed)
        self._missed = driver.missed
        ctx.gauge("inference_ms", driver.worker.last_s * 1000)
        if driver.steps != self._steps and driver.ladder:
            self._steps, ladder = driver.steps, driver.ladder
            self._show_mode(ctx)
            ctx.event("notes", "mode", position, step=ladder.step, dry=ladder.dry, **ladder.rung._asdict())
            ctx.log(f"mode {self.settings.separation_mode}, step {ladder.step}: {ladder.described}")
        if self._known and driver.ladder:
            self._known.note(ctx.now_ns(), driver.ladder.step, driver.missed)

    def _show_mode(self, ctx: Context) -> None:
        ladder = self._driver.ladder
        ctx.gauge("hop", self._driver.stream.rung.hop)
        ctx.gauge("mode", ladder.step if ladder else 0)

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if "mix" in self._driver.stream.outputs:
            gains = {stem: db_to_gain(level_db) for stem, level_db in self.settings.faders.items()}
            self._driver.stream.set_gains("mix", gains, max(position - self._base, 0))

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
        if self._served is None:
            SHARED.drop(self._key)


def _stream_settings(settings: Settings, hop: int) -> SeparatorSettings:
    from audio_pipeline.dsp.normalise import NormaliserSettings
    from audio_pipeline.models.separation.types import SeparatorSettings

    mode, spec = settings.separation_mode, settings.spec
    outputs = {} if settings.outputs == "mix" else {stem: {stem: 1.0} for stem in spec.stems}
    if settings.outputs != "stems":
        outputs["mix"] = {stem: db_to_gain(level_db) for stem, level_db in settings.faders.items()}
    normalised = spec.representation == "magnitude" and mode != "offline"
    normalise = NormaliserSettings() if (normalised if settings.normalise is None else settings.normalise) else None
    return SeparatorSettings(mode, settings.hop or hop, outputs, settings.residual, normalise)


def _load(settings: Settings) -> LoadedModel:
    from audio_pipeline.models.separation.loading import load

    return load(
        settings.model,
        device=settings.device,
        threads=settings.threads,
        precision=settings.wanted_precision,
        engine=settings.engine,
    )


NODE = Separate
