"""The space of Kokoro's styles: what the stock voices have in common and the directions in which they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.models.speech.kokoro import STEADY_ROW, STYLE

Array = np.ndarray[Any, np.dtype[np.float32]]

HALF = STYLE // 2


def steady(pack: Array) -> Array:
    """The style (256,) that a pack (n, 256) has for all but the shortest texts."""
    found: Array = pack[STEADY_ROW:].mean(axis=0) if len(pack) > STEADY_ROW else pack.mean(axis=0)
    return found


@dataclass(frozen=True, eq=False)
class Axes:
    """Principal axes of one half of the styles; a coordinate of 1 is one standard deviation of the stock voices."""

    mean: Array  # (128,)
    axes: Array  # (axes, 128)

    def style(self, coordinates: Array) -> Array:
        """The half (..., 128) at coordinates (..., axes)."""
        found: Array = (self.mean + coordinates @ self.axes).astype(np.float32)
        return found

    def coordinates(self, half: Array) -> Array:
        """The nearest point (..., axes) to a half (..., 128)."""
        norms = np.square(self.axes).sum(axis=1)
        found: Array = ((half - self.mean) @ self.axes.T / norms).astype(np.float32)
        return found


def principal(halves: Array, count: int) -> Axes:
    """The first axes of halves (voices, 128)."""
    mean = halves.mean(axis=0)
    _, sizes, rows = np.linalg.svd(halves - mean, full_matrices=False)
    scaled = rows[:count] * sizes[:count, None] / np.sqrt(max(1, len(halves) - 1))
    return Axes(mean.astype(np.float32), scaled.astype(np.float32))
