"""Clauses made one by one, joined to speech: ends trimmed, pauses put back, levels brought near, no step anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.models.speech.clauses import Clause
from audio_pipeline.models.speech.engine import Array, Engine, Speech, Streaming, Timed, Word
from audio_pipeline.models.speech.trim import StreamTrim

QUIET = 10 ** (-40 / 20)  # of the piece's peak: what lies below at its ends is no speech
LEAD_S, TAIL_S = 0.015, 0.04  # of it that stay
FADE_S = 0.005
PAUSE_S = {True: 0.25, False: 0.10}  # after a sentence, after a clause
NEAR_DB = 0.9  # a clause may be so much louder or softer than those before it; with that, two differ by < 2 dB
GATE_DB = -25.0  # under the loudest 20 ms: what lies below does not count towards the level


@dataclass(frozen=True, eq=False)
class Piece:
    """Sound (samples,) of a clause or, from an engine that streams, of a part of one; the pause belongs to the last.

    `text` is that of the whole clause, empty in its later parts; `last` tells that the clause ends with this piece.
    """

    text: str
    sound: Array
    words: tuple[Word, ...] = ()
    last: bool = True


def spoken(engine: Engine, clauses: Iterable[Clause]) -> Iterator[Piece]:
    """Speaks clause by clause: lead and tail trimmed, pauses put back by punctuation, no step at either end."""
    level = Level(engine.rate)
    for clause in clauses:
        yield from pieces_of(engine, clause, level)


def pieces_of(engine: Engine, clause: Clause, level: Level) -> Iterator[Piece]:
    """The pieces of one clause; none where the engine finds nothing to say in it."""
    pause = np.zeros(round(PAUSE_S[clause.ends_sentence] * engine.rate), np.float32)
    if isinstance(engine, Streaming):
        yield from _streamed(engine.stream(clause.text), clause.text, engine.rate, pause)
        return
    speech = engine.timed(clause.text) if isinstance(engine, Timed) else Speech(engine.synthesise(clause.text))
    start, end = ends(speech.sound, engine.rate)
    if end > start:
        sound = level.near(faded(speech.sound[start:end], engine.rate))
        words = tuple(_within(word, start, end) for word in speech.words) or by_length(clause.text, len(sound))
        yield Piece(clause.text, np.concatenate([sound, pause]), words)


def _streamed(parts: Iterable[Array], text: str, rate: int, pause: Array) -> Iterator[Piece]:
    """Where its words are is not known before the end of a stream; so nothing is said of them."""
    trim = StreamTrim(rate, round(LEAD_S * rate), round(TAIL_S * rate), round(FADE_S * rate))
    first = True
    for part in parts:
        sound = trim.push(part)
        if len(sound):
            yield Piece(text if first else "", sound, last=False)
            first = False
    rest = trim.finish()
    if len(rest) or not first:
        yield Piece(text if first else "", np.concatenate([rest, pause]))


def ends(x: Array, rate: int) -> tuple[int, int]:
    """From which sample to which speech (samples,) lasts, with a little of the silence around it; (0, 0) for none."""
    loud = np.flatnonzero(np.abs(x) > QUIET * np.max(np.abs(x), initial=0.0))
    if not len(loud):
        return 0, 0
    return max(int(loud[0]) - round(LEAD_S * rate), 0), min(int(loud[-1]) + 1 + round(TAIL_S * rate), len(x))


def faded(x: Array, rate: int) -> Array:
    """x (samples,) with 5 ms of fade at both ends."""
    y: Array = x.copy()
    n = min(round(FADE_S * rate), len(y) // 2)
    y[:n] *= fade_in(n)
    y[len(y) - n :] *= fade_out(n)
    return y


def trimmed(x: Array, rate: int) -> Array:
    """Speech (samples,) without the silence that synthesisers put before and after it, faded in and out."""
    start, end = ends(x, rate)
    return faded(x[start:end], rate)


def by_length(text: str, samples: int) -> tuple[Word, ...]:
    """Words in proportion to their letters: a guess, for engines that do not tell."""
    words = text.split()
    edges = np.cumsum([0, *(len(word) + 1 for word in words)])
    at = np.round(edges * (samples / max(int(edges[-1]), 1))).astype(int)
    return tuple(Word(word, int(at[i]), int(at[i + 1])) for i, word in enumerate(words))


def _within(word: Word, start: int, end: int) -> Word:
    low, high = (min(max(at - start, 0), end - start) for at in (word.start, word.end))
    return Word(word.text, low, high)


class Level:
    """Keeps each clause within `NEAR_DB` of the mean of those before it."""

    def __init__(self, rate: int) -> None:
        self._window = rate // 50
        self._sum_db, self._count = 0.0, 0

    def near(self, x: Array) -> Array:
        """x (samples,), louder or softer by what it is too far off."""
        level_db = speech_db(x, self._window)
        if level_db is None:
            return x
        mean_db = self._sum_db / self._count if self._count else level_db
        gain_db = float(np.clip(level_db, mean_db - NEAR_DB, mean_db + NEAR_DB)) - level_db
        headroom = 1.0 / max(float(np.max(np.abs(x))), 1e-6)  # to full scale
        gain = min(10 ** (gain_db / 20), max(headroom, 1.0))
        self._sum_db, self._count = self._sum_db + level_db + 20 * float(np.log10(gain)), self._count + 1
        y: Array = x * np.float32(gain)
        return y


def speech_db(x: Array, window: int) -> float | None:
    """Mean power (dBFS) of the windows of x (samples,) that are speech; None where all is silent."""
    power = np.square(x[: len(x) // window * window].reshape(-1, window), dtype=np.float64).mean(axis=1)
    loudest = float(power.max(initial=0.0))
    if loudest <= 1e-10:
        return None
    return 10 * float(np.log10(power[power > loudest * 10 ** (GATE_DB / 10)].mean()))
