"""A separator as it is opened: with a model of this process, live or offline, or at one of the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from audio_pipeline.context import Context
from audio_pipeline.models.separation.grid import ladder_latency
from audio_pipeline.models.separation.ladder import LadderSettings
from audio_pipeline.models.separation.live import Driver, live_driver, offline_driver
from audio_pipeline.models.separation.loading import load
from audio_pipeline.models.separation.pool import SHARED
from audio_pipeline.models.separation.remembered import Remembered, remembered
from audio_pipeline.models.separation.responses import compute_s
from audio_pipeline.models.separation.tuning import Tuning, tune, warm_up
from audio_pipeline.models.separation.types import Latency, LoadedModel, SeparatorSettings, stated_latency
from audio_pipeline.serving.model_session import Wish
from audio_pipeline.serving.separator_settings import Settings, stream_settings
from audio_pipeline.serving.served_model import HostModel, ServedModel

NS = 1_000_000_000


@dataclass
class Separator:
    """A stream, who computes it, and what may be promised. `close` lets go of both."""

    driver: Driver
    latency: Latency  # without the time to compute
    tuned: Mapping[str, Any]  # of a live one: what a successor need not measure
    close: Callable[[], None]
    known: Remembered | None = None
    served: ServedModel | None = None


def opened(settings: Settings, ctx: Context, tuned: Mapping[str, Any], step: int) -> Separator:
    """A separator that begins `step` rungs down its ladder, by what a predecessor measured. Raises PipelineError."""
    if not ctx.live:
        return _offline(settings, ctx)
    return (_served if settings.worker == "served" else _live)(settings, ctx, tuned, step)


def _offline(settings: Settings, ctx: Context) -> Separator:
    key, model, cut = _key(settings), _held(settings, ctx), stream_settings(settings)
    return Separator(offline_driver(model, cut), stated_latency(settings.spec, cut), {}, lambda: SHARED.drop(key))


def _live(settings: Settings, ctx: Context, tuned: Mapping[str, Any], step: int) -> Separator:
    """With a model of this process, at a hop that this machine was seen to keep up with."""
    key, model, cut = _key(settings), _held(settings, ctx), stream_settings(settings)
    frame_ns = _frame_ns(ctx)
    known = remembered(model.engine, (settings.model, settings.separation_mode, settings.threads, settings.batch))
    tuning = Tuning(**tuned) if tuned else _measured(model, settings, cut, known, frame_ns)
    cut = replace(cut, hop=tuning.hop)
    warm_up(model, cut, settings.batch)
    seat = SHARED.seat(key, ctx.name, ctx.wake, settings.batch, fixed=model.padded)
    free = not (settings.hop or settings.spec.stateful)
    driver = live_driver(model, cut, tuning, frame_ns, seat, _steps(settings), step, trial=free)
    driver.responses = known.responses(tuning.hop)

    def close() -> None:
        seat.close()
        SHARED.drop(key)

    terms = ladder_latency(settings.spec, cut)
    return Separator(driver, terms, tuning._asdict(), close, known.begin(tuning.hop) if free else None)


def _measured(
    model: LoadedModel, settings: Settings, cut: SeparatorSettings, known: Remembered, frame_ns: int
) -> Tuning:
    """What the warm-up finds, with the time to compute that earlier runs have shown to be enough."""
    found = tune(model, cut, settings.hop, settings.batch, settle=known.settle)
    enough_s = compute_s(known.slowest(found.hop), frame_ns / NS, found.slow_s, found.compute_s)
    return found._replace(compute_s=enough_s)


def _served(settings: Settings, ctx: Context, tuned: Mapping[str, Any], step: int) -> Separator:
    """With a place at the host's model, whose owner decides the hop where the file does not."""
    spec = settings.spec
    task = {name: getattr(settings, name) for name in ("model", "device", "threads", "precision", "engine")}
    stream = f"{ctx.run_folder.rpartition('/')[2]}/{ctx.name}"
    wish = Wish(stream, settings.separation_mode, settings.hop, int(tuned.get("hop", 0)))
    worker = ServedModel(spec, task, wish, ctx.wake)
    tuning = Tuning(worker.place.hop, worker.place.compute_s, worker.place.fastest_s)
    ctx.log(f"{worker.place.engine}, in a process of the host")
    cut = stream_settings(settings, tuning.hop)
    driver = live_driver(HostModel(spec), cut, tuning, _frame_ns(ctx), worker, _steps(settings), step)
    terms = ladder_latency(spec, replace(cut, hop=tuning.hop))
    return Separator(driver, terms, tuning._asdict(), worker.close, served=worker)


def _held(settings: Settings, ctx: Context) -> LoadedModel:
    model: LoadedModel = SHARED.hold(_key(settings), lambda: _load(settings))
    ctx.log(model.engine)
    return model


def _key(settings: Settings) -> tuple[object, ...]:
    """What separators of one process have in common that share a model."""
    return (settings.model, settings.device, settings.threads, settings.wanted_precision, settings.engine)


def _frame_ns(ctx: Context) -> int:
    return ctx.frame_samples * NS // ctx.rate


def _steps(settings: Settings) -> LadderSettings:
    return LadderSettings(calm_s=settings.calm_s)


def _load(settings: Settings) -> LoadedModel:

    return load(
        settings.model,
        device=settings.device,
        threads=settings.threads,
        precision=settings.wanted_precision,
        engine=settings.engine,
    )
