"""A value that moves to each new target in a straight line, asked for by position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Glide:
    """Known at any position from the newest `set` on, so that blocks that overlap see the same; before it holds still.

    >>> glide = Glide(1.0, 100)
    >>> glide.set(2.0, 1000)
    >>> glide.at(np.array([0, 1000, 1050, 5000])).tolist()
    [1.0, 1.0, 1.5, 2.0]
    """

    def __init__(self, value: float, samples: int) -> None:
        self._samples = samples
        self._line = (0, float(value), float(value))  # from where, from what, to what

    @property
    def target(self) -> float:
        """Where it is heading or has arrived."""
        return self._line[2]

    def set(self, value: float, position: int) -> None:
        """Head for `value` from `position` on."""
        self._line = (position, float(self.at(np.asarray(position))), float(value))

    def at(self, positions: NDArray[Any]) -> NDArray[np.float64]:
        """The values there, of the positions' shape."""
        since, old, new = self._line
        part = np.clip((positions - since) / self._samples, 0.0, 1.0)
        return np.asarray(old + (new - old) * part, np.float64)
