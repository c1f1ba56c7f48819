"""Speaks text that comes bit by bit, clause by clause, each marked as made by a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import Perth
from audio_pipeline.models.speech.blockwise import Blockwise, Excerpt
from audio_pipeline.models.speech.clauses import Clause, ClauseSplitter, Policy
from audio_pipeline.models.speech.engine import Engine
from audio_pipeline.models.speech.joins import Level, Piece, pieces_of
from audio_pipeline.models.speech.phonemes import in_dictionary
from audio_pipeline.models.speech.talker_pace import Pace
from audio_pipeline.models.speech.text.stream import SpokenText

Array = np.ndarray[Any, np.dtype[np.float32]]

PORTION = 2_000  # characters
BLOCK_S, CONTEXT_S, FADE_S = 0.4, 0.1, 0.02  # of what an engine streams, as the mark is put into it


class Talker:
    """An engine, where to cut the text (if not said, as its own `policy` says, if it has one), and the watermark (None
    only where the host's policy switched it off).

    With a `clock` (seconds) it cuts so that no piece comes late, which depends on the machine; without one, the text
    alone counts.
    """

    def __init__(
        self,
        engine: Engine,
        mark: Perth | None,
        policy: Policy | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.engine, self._mark = engine, mark
        self._pace = Pace(clock) if clock is not None else None
        self._splitter = ClauseSplitter(policy or getattr(engine, "policy", None))
        self._level = Level(engine.rate)
        self._text = SpokenText(in_dictionary, english=getattr(engine, "language", "en") == "en")

    @property
    def rate(self) -> int:
        """Of the sound, Hz."""
        return self.engine.rate

    def synthesise(self, portions: Iterable[str | None]) -> Iterator[Piece]:
        """Speaks the text while its portions come; each piece is spoken as soon as its end is certain.

        None is a portion that does not come: what there is, is spoken.
        """
        self.begin()
        for portion in portions:
            yield from self.settle() if portion is None else self.write(portion)
        yield from self.finish()

    def begin(self) -> None:
        """What comes next is another text."""
        self._splitter.reset()
        self._text.reset()
        self._level = Level(self.engine.rate)

    def write(self, portion: str) -> Iterator[Piece]:
        """More of the text: what is certain now."""
        return self._synthesise(self._clauses(portion))

    def hurry(self) -> Iterator[Piece]:
        """What is certain, however short."""
        return self._synthesise(self._splitter.hurry())

    def settle(self) -> Iterator[Piece]:
        """No more may come for long: what there is, as if a clause ended here."""
        return self._synthesise(self._ended(self._splitter.settle))

    def finish(self) -> Iterator[Piece]:
        """The text has ended: all that is left."""
        return self._synthesise(self._ended(self._splitter.flush))

    def left_out(self) -> str:
        """What of this text could not be said, in a few words; empty where all was, or it was asked for already."""
        return self._text.take_left_out()

    def _clauses(self, portion: str) -> Iterator[Clause]:
        for at in range(0, len(portion), PORTION):  # a long text is not read whole before its first word is spoken
            yield from self._splitter.push(self._text.push(portion[at : at + PORTION]))

    def _ended(self, rest: Callable[[], Iterator[Clause]]) -> Iterator[Clause]:
        yield from self._splitter.push(self._text.flush())
        yield from rest()

    def _synthesise(self, clauses: Iterable[Clause]) -> Iterator[Piece]:
        for clause in clauses:
            pieces = pieces_of(self.engine, clause, self._level)
            pieces = pieces if self._mark is None else self._marked(self._mark, pieces)
            yield from pieces if self._pace is None else self._paced(self._pace, clause, pieces)

    def _paced(self, pace: Pace, clause: Clause, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Times each piece, and tells the splitter how long the next clause may be."""
        began, took_s, sound_s = pace.clock(), 0.0, 0.0
        for piece in pieces:
            took_s, sound_s = took_s + pace.clock() - began, sound_s + len(piece.sound) / self.rate
            if piece.last:
                pace.made(len(clause.text), took_s, sound_s)
                self._splitter.most_now = pace.most
            yield piece
            began = pace.clock()

    def _marked(self, mark: Perth, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """A whole clause is marked at once; what streams, in blocks that overlap."""
        blocks: Blockwise | None = None
        for piece in pieces:
            if piece.last and blocks is None:
                yield replace(piece, sound=perth.marked(mark, piece.sound[:, None], self.rate)[:, 0])
                return
            blocks = blocks or Blockwise(*(round(s * self.rate) for s in (BLOCK_S, CONTEXT_S, FADE_S)))
            excerpts = blocks.push(piece.sound[:, None]) + (blocks.finish() if piece.last else [])
            sounds = [self._block(mark, blocks, excerpt) for excerpt in excerpts]
            yield replace(piece, sound=np.concatenate(sounds) if sounds else piece.sound[:0])

    def _block(self, mark: Perth, blocks: Blockwise, excerpt: Excerpt) -> Array:
        marked = perth.marked(mark, excerpt.sound, self.rate)
        sound: Array = blocks.join(excerpt, {"out": marked})[1]["out"][:, 0]
        return sound
