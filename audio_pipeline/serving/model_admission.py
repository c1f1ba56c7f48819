"""Who gets a place at a served model, and with which hop: measured once a mode, warm once a hop, beside the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from audio_pipeline.errors import ConfigError, NodeError
from audio_pipeline.models.separation.tuning import Timing, Tuning, measure, stated, warm_up
from audio_pipeline.models.separation.types import HOPS, LoadedModel, SeparatorSettings
from audio_pipeline.serving.capacity import Load, grant, load_of, refined
from audio_pipeline.serving.model_messages import Join
from audio_pipeline.serving.model_tenant import Tenant, names_of, rows_of
from audio_pipeline.serving.spectrum import longest_window

PLACES = 16  # most streams; a GPU takes as many as cost nobody a longer hop
TOOK = 64  # inferences that say what this machine can do

Preparation = Callable[[], None]  # for the thread that infers


@dataclass(frozen=True)
class Grant:
    """What a stream gets, and what may be promised there."""

    load: Load
    settings: SeparatorSettings
    tuning: Tuning


class Admission:
    """Decides over the places of one model. `rows` streams fit in all."""

    def __init__(self, model: LoadedModel) -> None:
        self._model, self._spec = model, model.spec
        self.rows = rows_of(model) if model.padded else PLACES
        self._timings: dict[str, Timing] = {}
        self._warm: set[tuple[str, int]] = set()
        self._took: deque[float] = deque(maxlen=TOOK)  # of inferences of whole windows

    def decide(self, join: Join, tenants: Collection[Tenant]) -> Grant | Preparation:
        """What a stream gets beside the others, or what must be done before that is known.

        Raises ConfigError for a mode that is not served, NodeError where there is no capacity.
        """
        settings = SeparatorSettings(join.mode, join.hop or HOPS[0])
        if not self._spec.mode(join.mode).sliding:
            raise ConfigError(f"mode: {join.mode!r} has segments of its own, expected a sliding one for a served model")
        if join.mode not in self._timings:
            return lambda: self._measure(join.mode, settings)
        load = self._load(join, tenants)
        if load is None or len(tenants) >= self.rows:
            raise NodeError(f"the model has no capacity for {join.stream!r} beside {', '.join(names_of(tenants))}")
        settings = replace(settings, hop=load.hop)
        if (join.mode, load.hop) not in self._warm:
            return lambda: self._warm_up(join.mode, settings)
        return Grant(load, settings, stated(self._timings[join.mode], self._spec, settings))

    def _load(self, join: Join, tenants: Collection[Tenant]) -> Load | None:
        timing = refined(self._timings[join.mode], self._took)
        others = [load_of(self._spec, timing, tenant.load.hop) for tenant in tenants]
        loaded = [hop for mode, hop in self._warm if mode == join.mode]
        together = self._model.padded
        return grant(self._spec, timing, others, join.hop, join.prefer, loaded=loaded, together=together)

    def note(self, frames: int, took_s: float) -> None:
        """An inference of a window of so many frames took so long."""
        if frames >= longest_window(self._spec):
            self._took.append(took_s)

    def _measure(self, mode: str, settings: SeparatorSettings) -> None:
        if mode not in self._timings:
            self._timings[mode] = measure(self._model, settings, self.rows if self._model.padded else 1)

    def _warm_up(self, mode: str, settings: SeparatorSettings) -> None:
        warm_up(self._model, settings, self.rows if self._model.padded else 1)
        self._warm.add((mode, settings.hop))
