"""What a served model keeps of its users, and how many a device takes at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from audio_pipeline.gateway.budget import Budget
from audio_pipeline.models.separation.batching import Job
from audio_pipeline.models.separation.batching_places import Place
from audio_pipeline.models.separation.grid import ladder_rungs
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.tuning import Timing, measure
from audio_pipeline.models.separation.types import HOPS, LoadedModel, SeparatorSettings, choose_hop
from audio_pipeline.serving.capacity import Load
from audio_pipeline.serving.model_messages import Join
from audio_pipeline.serving.spectrum import FrameMemory, kept_frames

ROWS = (16, 8, 4, 2)
FASTER = 1.25  # windows a second beyond the rhythm of the hop
BURST = 64  # windows at once: a song begins with a burst, a restarted stream with the past


@dataclass(eq=False)
class Tenant:
    """A stream in its place."""

    token: str
    address: bytes
    join: Join
    place: Place
    load: Load
    shapes: frozenset[tuple[int, int]]  # (length, first wanted frame) of the windows that it may ask for
    wanted: int  # frames in an answer
    memory: FrameMemory
    budget: Budget
    used_ns: int
    job: Job | None = None
    sequence: int = 0


@dataclass
class Waiting:
    """A request for a place that waits for a measurement."""

    message: Join
    done: Future[None]


def names_of(tenants: Iterable[Tenant]) -> tuple[str, ...]:
    """Streams with their hops, for people."""
    return tuple(sorted(f"{tenant.join.stream!r} (hop {tenant.load.hop})" for tenant in tenants))


def shapes_of(spec: ModelSpec, settings: SeparatorSettings) -> tuple[frozenset[tuple[int, int]], int]:
    """Windows that a stream may ask for on its ladder, as (length, first wanted frame), and frames in an answer."""
    rungs = ladder_rungs(spec, settings)
    before = [(rung, rung.hop + rung.lookahead + spec.revised) for rung in rungs]
    wanted = rungs[0].hop + spec.revised + (0 if spec.stateful else rungs[0].lookahead)
    return frozenset((rung.window, rung.window - frames) for rung, frames in before), wanted


def budget_of(spec: ModelSpec, settings: SeparatorSettings) -> Budget:
    """Windows that a stream may ask for, at the rhythm of its smallest hop."""
    least = min(rung.hop for rung in ladder_rungs(spec, settings))
    return Budget(FASTER / (least * spec.frame_s), BURST + kept_frames(spec) // least)


def rows_of(model: LoadedModel) -> int:
    """Rows of a batch: as many as cost nobody a longer hop than one alone."""
    settings = SeparatorSettings(model.spec.default_mode, HOPS[0])
    alone = _hop(model, measure(model, settings, 1))
    fitting = (rows for rows in ROWS if _hop(model, measure(model, settings, rows)) == alone)
    return next(fitting, 1)


def _hop(model: LoadedModel, timing: Timing) -> int:
    return choose_hop(lambda hop: timing.usual_s + hop * timing.frame_s, model.spec.frame_s)
