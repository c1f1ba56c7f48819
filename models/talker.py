"""Speaks text that comes bit by bit, clause by clause, each marked as made by a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from audio_pipeline.models import perth
from audio_pipeline.models.clauses import Clause, ClauseSplitter, Policy
from audio_pipeline.models.perth import Perth
from audio_pipeline.models.speech_engine import Engine, Piece, spoken

Array = np.ndarray[Any, np.dtype[np.float32]]


class Talker:
    """An engine, where to cut the text, and the watermark (None only where the host's policy switched it off)."""

    def __init__(self, engine: Engine, mark: Perth | None, policy: Policy | None = None) -> None:
        self.engine, self._mark = engine, mark
        self._splitter = ClauseSplitter(policy)

    @property
    def rate(self) -> int:
        """Of the sound, Hz."""
        return self.engine.rate

    def say(self, portions: Iterable[str]) -> Iterator[Piece]:
        """Speaks the text while its portions come; each piece is spoken as soon as its end is certain."""
        self._splitter.reset()
        for portion in portions:
            yield from self._speak(self._splitter.push(portion))
        yield from self._speak(self._splitter.flush())

    def _speak(self, clauses: Iterable[Clause]) -> Iterator[Piece]:
        for piece in spoken(self.engine, clauses):
            yield Piece(piece.text, self._marked(piece.sound))

    def _marked(self, sound: Array) -> Array:
        if self._mark is None:
            return sound
        y: Array = perth.marked(self._mark, sound[:, None], self.rate)[:, 0]
        return y
