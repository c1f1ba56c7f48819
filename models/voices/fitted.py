"""What fitting a voice gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted voice; likenesses are GE2E cosines on held-out text, None where nobody measured them."""

    pack: Array  # (n, 256) float32, as kokoro.row takes it
    speed: float
    british: bool  # how text becomes phonemes
    nearest: str  # the stock voice most like the reference
    method: str  # "stock", "quick" or "refined"
    fitted_likeness: float | None = None
    nearest_likeness: float | None = None
    ceiling: float | None = None  # of two halves of the reference
