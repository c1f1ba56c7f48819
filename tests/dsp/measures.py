"""How alike two signals are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def snr_db(reference: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Power of the reference over that of the difference."""
    signal = reference.astype(np.float64)
    return float(10 * np.log10(np.sum(signal**2) / max(np.sum((signal - estimate) ** 2), 1e-30)))
