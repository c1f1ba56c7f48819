"""Adam (Kingma, Ba; ICLR 2015) on one vector, with a running average of where it was and the best of those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]

BETA1, BETA2, EPSILON = 0.9, 0.95, 1e-8
MEMORY = 10.0  # steps the average reaches back


@dataclass(eq=False)
class State:
    """All that a search needs to go on where it stopped."""

    point: Array
    first: Array  # moments of the gradient
    second: Array
    average: Array
    best: Array
    step: int = 0
    best_step: int = 0
    best_likeness: float = -1.0
    checks_since_best: int = 0

    @classmethod
    def at(cls, point: Array) -> State:
        """Before the first step."""
        return cls(point.copy(), np.zeros_like(point), np.zeros_like(point), point.copy(), point.copy())

    def descend(self, gradient: Array, rate: float) -> None:
        """One step of a size against a gradient; one that is not finite is left out."""
        self.step += 1
        if not np.all(np.isfinite(gradient)):
            return
        self.first = BETA1 * self.first + (1 - BETA1) * gradient
        self.second = BETA2 * self.second + (1 - BETA2) * gradient**2
        mean, square = self.first / (1 - BETA1**self.step), self.second / (1 - BETA2**self.step)
        self.point = self.point - rate * mean / (np.sqrt(square) + EPSILON)
        keep = min(1 - 1 / MEMORY, self.step / (self.step + MEMORY / 2))
        self.average = keep * self.average + (1 - keep) * self.point

    def judge(self, likeness: float) -> None:
        """Keeps the average if it is the best so far."""
        self.checks_since_best += 1
        if likeness > self.best_likeness:
            self.best, self.best_likeness, self.best_step = self.average.copy(), likeness, self.step
            self.checks_since_best = 0
