"""Histograms of durations: the bins that all of them have, and quantiles."""

from __future__ import annotations

from math import ceil, inf, log

import numpy as np
from numpy.typing import NDArray

# log-spaced edges: 0.05 ms to 46 s in 192 steps (a factor of 1.075 each, so a quantile is right within 4 %)
STEP = 1.075
FIRST_MS = 0.05
AGE_EDGES_MS: NDArray[np.float64] = FIRST_MS * np.float64(STEP) ** np.arange(191, dtype=np.float64)
BINS = len(AGE_EDGES_MS) + 1
_LOG_STEP = log(STEP)
_ON_EDGE = 1e-9  # steps: what a logarithm is off by at most


def bin_of(value_ms: float) -> int:
    """The bin of a duration; one on an edge is in the bin below it.

    By a logarithm, not by a search: a table is out of the cache whenever a node looks at it.
    """
    if value_ms <= FIRST_MS:
        return 0
    return min(ceil(log(value_ms / FIRST_MS) / _LOG_STEP - _ON_EDGE), BINS - 1) if value_ms < inf else BINS - 1


def quantile_ms(counts: NDArray[np.int64], q: float) -> float:
    """The q-quantile (0..1) of a histogram in ms, interpolated inside its bin; 0 when empty."""
    total = int(counts.sum())
    if total == 0:
        return 0.0
    reached = np.cumsum(counts)
    bin_ = int(np.searchsorted(reached, q * total))
    low = AGE_EDGES_MS[bin_ - 1] if bin_ > 0 else 0.0
    high = AGE_EDGES_MS[min(bin_, len(AGE_EDGES_MS) - 1)]
    before = reached[bin_ - 1] if bin_ > 0 else 0
    inside = (q * total - before) / max(int(counts[bin_]), 1)
    return float(low + (high - low) * min(max(inside, 0.0), 1.0))
