"""Spoils bytes: bits, numbers, pieces lost, doubled and swapped."""

from __future__ import annotations

import random
from collections.abc import Sequence

MOST_BYTES = 4096
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


class Mutator:
    """The same seed gives the same inputs."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._seeds, self._random = list(seeds), random.Random(seed)

    def next(self) -> bytes:
        """Another input: random bytes, or one that was right and is not quite any more."""
        draw = self._random
        if draw.random() < 0.1:
            return draw.randbytes(draw.randrange(200))
        data = bytearray(draw.choice(self._seeds))
        for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
            self._spoil(data)
        return bytes(data[:MOST_BYTES])

    def _spoil(self, data: bytearray) -> None:
        draw = self._random
        at = draw.randrange(len(data) + 1)
        how = draw.randrange(6)
        if how == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif how == 1 and at < len(data):
            data[at] = draw.choice(EDGES)
        elif how == 2:
            del data[at : at + draw.randrange(1, 9)]
        elif how == 3:
            data[at:at] = draw.randbytes(draw.randrange(1, 9))
        elif how == 4:
            data[at:at] = data[at : at + draw.randrange(1, 40)]
        else:
            other = draw.choice(self._seeds)
            start = draw.randrange(len(other) + 1)
            data[at:] = other[start:]
