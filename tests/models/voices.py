"""A reference voice made up for tests, and a search space whose best point is known."""

from __future__ import annotations

import numpy as np

from audio_pipeline.models.hearing.ge2e import RATE, unit
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.quick import trained
from audio_pipeline.models.voices.reference import Array, Reference


def reference(seed: int = 0, *, pitch_hz: float = 150.0, syllables: float = 4.5) -> Reference:
    """A voice like one of the stock voices, with a little of others."""
    rng = np.random.default_rng(seed)
    stock = np.stack(list(trained().stock.values()))
    style = unit((rng.dirichlet(np.ones(len(stock)) * 0.03) @ stock).astype(np.float32))
    return Reference(np.zeros(4 * RATE, np.float32), style, 0.9, pitch_hz, 3.0, syllables)


def start() -> Fit:
    """A voice to begin with."""
    pack = np.random.default_rng(1).standard_normal((1, 256)).astype(np.float32) * 0.2
    return Fit(pack, 1.0, False, "af_heart", "quick", 0.6, 0.55, 0.9)


class Hill:
    """Likeness falls with the distance to a known timbre; its gradient is as noisy as that of one excerpt."""

    def __init__(self, top: Array, noise: float = 0.3) -> None:
        self.top, self.noise = top, noise
        self.gradients = 0

    def gradient(self, point: Array, rng: np.random.Generator) -> Array:
        """Of the loss."""
        self.gradients += 1
        return (point - self.top + self.noise * rng.standard_normal(len(point))).astype(np.float32)

    def check(self, point: Array) -> float:
        """Likeness."""
        return float(1 / (1 + np.linalg.norm(point - self.top)))
