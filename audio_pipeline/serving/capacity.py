"""How many streams a served model takes, and with which hop. Pure: what an inference takes is measured elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.tuning import SHARE, Timing, needed_s
from audio_pipeline.models.separation.types import HOPS

ENOUGH = 16  # inferences, before they count for more than the warm-up
MOST_SHARE = 0.9  # of the time


@dataclass(frozen=True)
class Load:
    """What one place takes."""

    hop: int
    share: float  # of the time


def refined(timing: Timing, took: Sequence[float]) -> Timing:
    """What was measured at warm-up, or less where the inferences since then were quicker: a start is a busy time.

    >>> refined(Timing(0.2, 0.3, 0.1, 0.001), [0.05] * ENOUGH).usual_s
    0.05
    """
    if len(took) < ENOUGH:
        return timing
    return timing._replace(usual_s=min(timing.usual_s, sorted(took)[len(took) // 4]))


def load_of(spec: ModelSpec, timing: Timing, hop: int) -> Load:
    """Of a stream with this hop."""
    return Load(hop, needed_s(timing, hop) / (hop * spec.frame_s))


def grant(
    spec: ModelSpec,
    timing: Timing,
    others: Iterable[Load],
    hop: int = 0,
    prefer: int = 0,
    *,
    loaded: Iterable[int] = (),
    together: bool = False,
) -> Load | None:
    """What a new place may take beside the others; None where there is no capacity left.

    A `hop` above 0 is kept, up to `MOST_SHARE` in all; else it is `prefer` or the smallest one that leaves a reserve,
    or the longest one without that reserve. Beside others it is one of `loaded`, if one of these fits without the
    reserve: a longer hop makes each inference answer more frames.
    Where streams are inferred `together`, `timing` is that of the whole batch, which the others take no share of.
    """
    used = 0.0 if together else sum(load.share for load in others)
    if hop:
        load = load_of(spec, timing, hop)
        return load if used + load.share <= MOST_SHARE or not used else None
    hops = (1,) if spec.stateful else (*((prefer,) if prefer in HOPS else ()), *HOPS)
    loads = [load_of(spec, timing, each) for each in hops]
    fitting = next((load for load in loads if used + load.share <= SHARE), None)
    beside = [load_of(spec, timing, each) for each in sorted(loaded)] if used else []
    fitting = next((load for load in beside if used + load.share <= MOST_SHARE), fitting)
    longest = loads[-1]  # alone the ladder makes the best of it
    return fitting or (longest if not used or used + longest.share <= MOST_SHARE else None)
