"""Splits stereo into what both channels share and what they do not, bin by bin; no weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio_pipeline.models.separation.catalogue import CENTRE
from audio_pipeline.models.separation.types import Array, State, Window


class Centre:
    """The share of the centre is the smaller of both magnitudes over the larger."""

    spec, engine, padded = CENTRE, "CPU: numpy", False

    def initial_state(self) -> State:
        """None: a window holds all that the model sees."""
        return None

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Masks (windows, stems, wanted, bins, channels)."""
        return np.stack([_masks(window) for window in windows]), list(states)


def _masks(window: Window) -> Array:
    x = window.frames[window.wanted.start : window.wanted.stop]  # (wanted, bins, channels)
    share = x.min(axis=2, keepdims=True) / np.maximum(x.max(axis=2, keepdims=True), 1e-9)
    centre = np.repeat(share, 2, axis=2)
    return np.stack([centre, 1 - centre]).astype(np.float32)
