"""WORLD: speech as pitch, spectral envelope and aperiodicity, and back.

Morise, Yokomori, Ozawa; "WORLD: a vocoder-based high-quality speech synthesis system for real-time applications",
IEICE Trans. 2016: DIO (Morise et al. 2009) and StoneMask for F0, CheapTrick (2015) for the envelope, D4C (2016) for
the aperiodicity; Harvest (2017), slower and surer, offline. By the package `pyworld-prebuilt`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.pitch import neighbours, periodicity
from audio_pipeline.errors import NodeError

Floats = NDArray[np.float64]

RATE = 24_000
HOP = RATE // 200  # samples of a frame: 5 ms
FLOOR_HZ, CEIL_HZ = 71.0, 800.0  # WORLD's usual span
BINS = 513  # of the transform that CheapTrick takes for this floor at this rate
PAD = 8 * HOP  # DIO takes the first and last 33 ms of what it is given for unvoiced
RANGE = 0.15  # how far DIO's F0 may move within a frame, relative
REACH = 10  # frames that DIO cuts off at each end of a voiced stretch
SAME_F0 = 1e-3  # relative: 1.7 cents, a tenth of what DIO and StoneMask are off by
PERIODIC, HARDLY = 0.35, 0.3  # how much like its neighbour a period must be, where F0 was tried and where DIO saw it


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames every HOP samples, the first centred on sample 0; power envelope and aperiodicity (frames, bins)."""

    f0: Floats  # (frames,) Hz, 0 where unvoiced
    envelope: Floats
    aperiodicity: Floats


def load_package() -> Any:
    """pyworld. Raises NodeError where it is not installed."""
    try:
        import pyworld
    except ImportError as error:
        raise NodeError(f"the WORLD converter needs the package pyworld-prebuilt here: {error}") from error
    return pyworld


def pitch(x: Floats, *, careful: bool = False) -> Floats:
    """F0 (1 + samples // HOP,) of mono x (samples,) at RATE, by DIO and StoneMask, or `careful` by Harvest.

    DIO gives up at both ends of each voiced stretch; there the neighbours' F0 is tried, and kept where the sound
    repeats itself in that period. What DIO sees in noise does not repeat itself and goes.
    """
    world, span = load_package(), {"f0_floor": FLOOR_HZ, "f0_ceil": CEIL_HZ}
    frames = 1 + len(x) // HOP
    around = np.pad(x, PAD)
    if careful:
        f0, times = world.harvest(around, RATE, **span)
        return np.asarray(f0[PAD // HOP :][:frames])
    f0, times = world.dio(around, RATE, allowed_range=RANGE, **span)
    tried = neighbours(f0, REACH)
    f0 = world.stonemask(around, np.where(f0 > 0, f0, tried), times, RATE)
    voiced = np.flatnonzero(f0 > 0)
    periodic = periodicity(around, voiced * HOP, np.round(RATE / f0[voiced]).astype(np.int64))
    f0[voiced[periodic < np.where(tried[voiced] > 0, PERIODIC, HARDLY)]] = 0.0
    return np.asarray(f0[PAD // HOP :][:frames])


def analysed(x: Floats, f0: Floats, known: Frames | None = None) -> Frames:
    """The frames of mono x (samples,) at RATE with its F0.

    `known` are the first of these frames as another analysis of the same sound found them. One is taken over where its
    F0 is the same to SAME_F0: CheapTrick and D4C look at three periods around a frame, and at no other frame.
    """
    world = load_package()
    todo = np.arange(len(f0)) if known is None else np.flatnonzero(~_is_known(f0, known))
    times = todo * (HOP / RATE)
    wanted = np.ascontiguousarray(f0[todo])
    envelope, aperiodicity = np.empty((2, len(f0), BINS))
    if known is not None:
        taken = min(len(known.f0), len(f0))
        envelope[:taken], aperiodicity[:taken] = known.envelope[:taken], known.aperiodicity[:taken]
    if len(todo):
        envelope[todo] = world.cheaptrick(x, wanted, times, RATE, f0_floor=FLOOR_HZ)
        aperiodicity[todo] = world.d4c(x, wanted, times, RATE)
    return Frames(f0, envelope, aperiodicity)


def _is_known(f0: Floats, known: Frames) -> NDArray[np.bool_]:
    """For each frame (frames,) whether `known` has it, with the same F0."""
    before = np.full(len(f0), np.nan)
    taken = min(len(known.f0), len(f0))
    before[:taken] = known.f0[:taken]
    return np.asarray(np.abs(f0 - before) <= SAME_F0 * f0)


def synthesised(frames: Frames, samples: int) -> Floats:
    """Mono sound (samples,) at RATE."""
    world = load_package()
    contiguous = (np.ascontiguousarray(part, np.float64) for part in (frames.f0, frames.envelope, frames.aperiodicity))
    y: Floats = world.synthesize(*contiguous, RATE)
    return np.pad(y, (0, max(0, samples - len(y))))[:samples]
