"""How many streams a served model takes, and with which hop. Pure: what an inference takes is measured elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.tuning import SHARE, Timing, needed_s
from audio_pipeline.models.separation.types import HOPS

MOST_SHARE = 0.9  # of the time, for a hop that the pipeline file asks for


@dataclass(frozen=True)
class Load:
    """What one place takes."""

    hop: int
    share: float  # of the time


def load_of(spec: ModelSpec, timing: Timing, hop: int) -> Load:
    """Of a stream with this hop."""
    return Load(hop, needed_s(timing, hop) / (hop * spec.frame_s))


def grant(
    spec: ModelSpec, timing: Timing, others: Iterable[Load], hop: int = 0, prefer: int = 0, *, together: bool = False
) -> Load | None:
    """What a new place may take beside the others; None where there is no capacity left.

    A `hop` above 0 is kept, up to `MOST_SHARE` in all; else it is `prefer` or the smallest one that leaves a reserve.
    Where streams are inferred `together`, `timing` is that of the whole batch, which the others take no share of.
    """
    used = 0.0 if together else sum(load.share for load in others)
    if hop:
        load = load_of(spec, timing, hop)
        return load if used + load.share <= MOST_SHARE or not used else None
    hops = (1,) if spec.stateful else (*((prefer,) if prefer in HOPS else ()), *HOPS)
    loads = [load_of(spec, timing, each) for each in hops]
    fitting = next((load for load in loads if used + load.share <= SHARE), None)
    return fitting or (None if used else loads[-1])  # alone the ladder makes the best of it
