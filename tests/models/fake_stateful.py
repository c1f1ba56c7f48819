"""A stateful model without weights: it answers with spectra, 2 frames late, and remembers all that it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.types import Array, State, Window


class Memory(NamedTuple):
    """The next frame, a running level, and the gains of the latest frames by number."""

    seen: int = 1
    level: float = 0.0
    gains: Mapping[int, float] = {}


class FakeStateful:
    """Speech is the mixture at a gain that depends on every frame so far, up to 2 after the one it is for."""

    spec = DEEPFILTERNET
    engine, padded = "a fake computes", False

    def __init__(self) -> None:
        self.steps = 0
        self.shown: list[int] = []  # frames, in the order in which they came

    def initial_state(self) -> State:
        return Memory()

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        self.steps += 1
        memories = [self._after(*pair) for pair in zip(windows, states, strict=True)]
        answers = [self._answer(*pair) for pair in zip(windows, memories, strict=True)]
        return np.stack(answers), list(memories)

    def _after(self, window: Window, memory: Memory) -> Memory:
        gains = dict(memory.gains)
        level, end = memory.level, window.first_frame + len(window.frames)
        for frame in range(max(memory.seen, window.first_frame), end):
            self.shown.append(frame)
            level = 0.75 * level + float(np.abs(window.frames[frame - window.first_frame]).mean())
            gains[frame - 2] = level / (1 + level)
        return Memory(max(memory.seen, end), level, gains)

    def _answer(self, window: Window, memory: Memory) -> Array:
        mixture = window.frames[window.wanted.start : window.wanted.stop]
        gains = [memory.gains.get(window.first_frame + place, 0.0) for place in window.wanted]
        speech = mixture * np.array(gains, np.float32)[:, None, None]
        return np.stack([speech, mixture - speech])
