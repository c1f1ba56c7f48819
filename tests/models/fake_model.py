"""A mask model without weights: quick, deterministic, and sensitive to everything it is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio_pipeline.models.separation.separation import Array, State, Window


class FakeModel:
    """The voice is what is loud: its mask is m / (m + 1), the rest goes to the last stem."""

    rate, bins, engine, padded = 44_100, 1_024, "a fake computes", True

    def __init__(self, stems: tuple[str, ...] = ("vocals", "accompaniment")) -> None:
        self.stems = stems
        self.steps = 0

    def initial_state(self) -> State:
        return None

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        self.steps += 1
        masks = []
        for window in windows:
            voice = window.magnitudes / (window.magnitudes + 1)
            around = voice[np.clip(np.array(window.wanted) - 1, 0, None)]  # a frame of context matters
            voice = (voice[window.wanted.start : window.wanted.stop] + around) / 2
            rest = [(1 - voice) / (len(self.stems) - 1)] * (len(self.stems) - 1)
            masks.append(np.stack([voice, *rest]))
        return np.stack(masks).astype(np.float32), list(states)
