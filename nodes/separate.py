"""Splits music into voice and band, or into 4 or 5 stems, or speech from noise, live or offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from audio_pipeline.context import Context
from audio_pipeline.dsp.ramp import db_to_gain
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.node import Bypass, Latency, Node, Ports
from audio_pipeline.serving.separator_settings import Settings, stream_settings

if TYPE_CHECKING:
    from audio_pipeline.models.separation.live import Block
    from audio_pipeline.models.separation.spec import ModelSpec
    from audio_pipeline.serving.served_model import ServedModel

GUESSED_HOP, GUESSED_COMPUTE_S = 8, 0.3  # what `check` assumes of a machine before it was measured
GUESSED_STEP_S = 0.03  # the same of a model that computes each frame


class Separate(Node):
    """Runs a separation model on a stream: N samples in, N samples out at the same positions, on every output.

    Live it states its latency (window, lookahead, hop, compute) and keeps it. If an inference would be too late, the
    aligned dry sound goes out as the last stem of Spleeter or as the speech of DeepFilterNet (and in `mix`), the other
    stems are silent, the frames are marked CONCEALED and `missed_deadlines` counts one; then it tries the next
    inference and does not catch up. At warm-up it chooses a conservative hop that leaves time for the rest of the
    graph. When inferences begin to take too long, it steps down a ladder before one is missed: first to half the
    inferences with correspondingly less lookahead, so the latency stays; then to half the past; if misses continue, to
    the dry sound without inference. After `calm_s` it steps up again, at most to twice the inferences of its stated hop
    if these are measured to take less than half of the time. A hop that held for a minute is remembered for this
    machine, as are the slowest answers, and the next start states what they allow. Every step is a line in the log, an
    event `mode` on `notes`, and the gauge `mode` (steps down; -1 is the rung above the stated hop).

    DeepFilterNet has no rung between its own and the dry sound, and keeps a memory of the stream: after a restart, a
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

        opening = "audio_pipeline.serving.separators"
        if settings.worker == "served":
            return (opening,)
        precision, engine = settings.wanted_precision, settings.engine
        return (opening, *libraries(settings.model, threads=settings.threads, precision=precision, engine=engine))

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._tuned: dict[str, Any] = {}
        self._step = 0  # where on the ladder to begin

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
        from audio_pipeline.serving.separators import opened

        self._separator = separator = opened(self.settings, ctx, self._tuned, self._step)
        self._driver, self._tuned = separator.driver, dict(separator.tuned)
        spec = self._spec = self.settings.spec
        self._latency = Latency(*separator.latency, compute=round(self._tuned.get("compute_s", 0.0) * spec.rate))
        self._base = self._next = 0  # positions of the stream's first and next sample
        self._missed = self._steps = self._lost = 0
        self._show_mode(ctx)

    def latency(self) -> Latency:
        return self._latency

    @classmethod
    def estimate(cls, settings: Any, rate: int) -> Latency:
        from audio_pipeline.models.separation.grid import ladder_latency

        spec: ModelSpec = settings.spec
        hop, compute_s = (1, GUESSED_STEP_S) if spec.stateful else (GUESSED_HOP, GUESSED_COMPUTE_S)
        terms = ladder_latency(spec, stream_settings(settings, hop))
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
        if self._separator.served is not None:
            self._report_host(self._separator.served, ctx)
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
        if self._separator.known and driver.ladder:
            self._separator.known.note(ctx.now_ns(), driver.ladder.step, driver.missed)

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
        self._separator.close()


NODE = Separate
