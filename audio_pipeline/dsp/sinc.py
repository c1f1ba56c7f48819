"""Samples between samples: a windowed sinc at any place, for rates that change while they are used."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError

Samples = NDArray[np.float32]

HALF = 32  # samples that are needed on either side of a place
PHASES = 1024  # of the table; between two of them the filter is interpolated linearly
SHORT_RUN = 32  # samples: shorter runs are copied all at once
BETA = 10.0  # Kaiser window: stop band below -100 dB
CUTOFF = 0.95  # middle of the transition, of half the rate: flat to 0.85, images gone from 1.05 on


@lru_cache(maxsize=1)
def _table() -> tuple[Samples, Samples]:
    """Filters by phase (PHASES, 2 HALF), and what is added on the way to the next phase."""
    phase = np.arange(PHASES + 1)[:, None] / PHASES
    t = np.arange(-HALF + 1, HALF + 1)[None, :] - phase
    window = np.i0(BETA * np.sqrt(np.clip(1 - (t / HALF) ** 2, 0, 1))) / np.i0(BETA)
    taps = CUTOFF * np.sinc(CUTOFF * t) * window
    taps /= taps.sum(axis=1, keepdims=True)  # a constant stays what it is at any phase
    return taps[:-1].astype(np.float32), np.diff(taps, axis=0).astype(np.float32)


def interpolate(x: Samples, places: NDArray[np.float64]) -> Samples:
    """The signal `x` (n, channels) at fractional indices `places` (m,), ascending: (m, channels).

    Each needs `HALF - 1` samples before and `HALF` after the whole index below it; ConfigError where they are
    not in `x`. J. O. Smith, "Digital Audio Resampling" (CCRMA), with a Kaiser window. A tone comes out with noise
    and images below -105 dB up to 0.8 of half the rate, provided neighbouring places are about 1 apart.
    """
    if not len(places):
        return np.zeros((0, x.shape[1]), np.float32)
    whole = np.floor(places).astype(np.int64)
    if whole[0] < HALF - 1 or whole[-1] + HALF >= len(x):
        raise ConfigError(f"{len(x)} samples cannot be read at {places[0]:.1f} to {places[-1]:.1f}")
    phase = (places - whole) * PHASES
    at = np.minimum(phase.astype(np.int64), PHASES - 1)
    taps, step = _table()
    filters = step[at] * (phase - at).astype(np.float32)[:, None] + taps[at]
    first = whole - HALF + 1
    return np.stack([_filtered(np.ascontiguousarray(x[:, c]), first, filters) for c in range(x.shape[1])], axis=1)


def _filtered(x: Samples, first: NDArray[np.int64], filters: Samples) -> Samples:
    """Runs of neighbours are read in place, without copies: at a ratio near 1 there are only a few."""
    windows = np.lib.stride_tricks.sliding_window_view(x, 2 * HALF)
    cuts = [0, *(np.flatnonzero(np.diff(first) != 1) + 1), len(first)]
    if len(cuts) > len(first) / SHORT_RUN:
        return np.asarray(np.einsum("nt,nt->n", windows[first], filters))
    out = np.empty(len(first), np.float32)
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
        np.einsum("nt,nt->n", windows[first[a] : first[a] + b - a], filters[a:b], out=out[a:b])
    return out
