"""A mask model without weights: quick, deterministic, and sensitive to everything it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
from audio_pipeline.models.separation.types import Array, State, Window


class FakeModel:
    """The voice is what is loud: its mask is m / (m + 1), the rest goes to the last stem."""

    engine, padded = "a fake computes", True

    def __init__(self, stems: tuple[str, ...] = SPLEETER_2STEMS.stems) -> None:
        self.spec = replace(SPLEETER_2STEMS, stems=stems, fallback=stems[-1])
        self.steps = 0

    def initial_state(self) -> State:
        return None

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        self.steps += 1
        masks = []
        for window in windows:
            voice = window.frames / (window.frames + 1)
            around = voice[np.clip(np.array(window.wanted) - 1, 0, None)]  # a frame of context matters
            voice = (voice[window.wanted.start : window.wanted.stop] + around) / 2
            rest = [(1 - voice) / (len(self.spec.stems) - 1)] * (len(self.spec.stems) - 1)
            masks.append(np.stack([voice, *rest]))
        return np.stack(masks).astype(np.float32), list(states)
