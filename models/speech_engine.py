"""What speaks: engines that turn a piece of text into sound, and how their pieces are joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from audio_pipeline.dsp.fade import fade_in, fade_out
from audio_pipeline.models.clauses import Clause

Array = np.ndarray[Any, np.dtype[np.float32]]

QUIET = 10 ** (-40 / 20)  # of the piece's peak: what lies below at its ends is no speech
LEAD_S, TAIL_S = 0.015, 0.04  # of it that stay
FADE_S = 0.005
PAUSE_S = {True: 0.25, False: 0.10}  # after a sentence, after a clause


class Engine(Protocol):
    """A voice that can speak."""

    rate: int

    def speak(self, text: str) -> Array:
        """Mono sound (samples,); empty where there is nothing to say."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Sound (samples,) of one clause, the pause behind it included."""

    text: str
    sound: Array


def spoken(engine: Engine, clauses: Iterable[Clause]) -> Iterator[Piece]:
    """Speaks clause by clause: lead and tail trimmed, pauses put back by punctuation, no step at either end."""
    for clause in clauses:
        sound = trimmed(engine.speak(clause.text), engine.rate)
        if len(sound):
            pause = np.zeros(round(PAUSE_S[clause.ends_sentence] * engine.rate), np.float32)
            yield Piece(clause.text, np.concatenate([sound, pause]))


def trimmed(x: Array, rate: int) -> Array:
    """Speech (samples,) without the silence that synthesisers put before and after it, faded in and out."""
    loud = np.flatnonzero(np.abs(x) > QUIET * np.max(np.abs(x), initial=0.0))
    if not len(loud):
        return x[:0]
    start = max(int(loud[0]) - round(LEAD_S * rate), 0)
    end = min(int(loud[-1]) + 1 + round(TAIL_S * rate), len(x))
    y: Array = x[start:end].copy()
    n = min(round(FADE_S * rate), len(y) // 2)
    y[:n] *= fade_in(n)
    y[len(y) - n :] *= fade_out(n)
    return y
