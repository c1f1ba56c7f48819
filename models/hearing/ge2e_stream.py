"""Who speaks, as a stream: a look every second of speech, their running mean, and when the voice changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.dsp.leveller import Leveller
from audio_pipeline.models.hearing.ge2e import (
    MEL,
    PARTIAL,
    PARTIAL_SAMPLES,
    RATE,
    Array,
    SpeakerEncoder,
    similarity,
    unit,
)
from audio_pipeline.models.hearing.speech import FULL_SCALE, STRICTEST, WINDOW

HANGOVER = 7  # windows of 30 ms after speech that still count
LEVEL_S = 10.0  # of speech, whose mean power is the level of the voice
LEVEL_DB = -22.0  # RMS of the speech that is looked at; quieter, two voices are more alike (0.71 at -26, 0.66 at -20)
CERTAIN = 2  # looks in a row that must differ before it is another voice


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was heard up to `end` (samples of the stream at 16 kHz)."""

    end: int
    newest: Array  # (256,), the last 1.6 s of speech
    mean: Array  # (256,), all looks at this voice
    speech_s: float  # of this voice so far
    likeness: float  # of `newest` to the mean before it
    changed: bool  # another voice than before: the mean begins anew


class VoiceTracker:
    """Takes mono sound at 16 kHz in any pieces; only speech counts, by WebRTC's detector with a short hangover.

    The level of the sound changes nothing: the detector and the encoder get it at one level.
    """

    def __init__(self, encoder: SpeakerEncoder, *, every_s: float = 1.0, other_below: float = 0.7) -> None:
        self._encoder = encoder
        self._level = Leveller(WINDOW / RATE)
        self._every, self._other_below = round(every_s * RATE), other_below
        self.reset()

    def reset(self) -> None:
        """The next sample is the first of a stream and of a voice."""
        import webrtcvad

        self._detector = webrtcvad.Vad(STRICTEST)
        self._level.reset()
        self._rest = np.zeros(0, np.float32)
        self._speech = np.zeros(0, np.float32)
        self._at = self._quiet = self._fresh = 0  # position, windows since speech, speech since the last look
        self._quiet = HANGOVER
        self._embeddings: list[Array] = []
        self._odd: list[Array] = []  # looks in a row that are unlike the voice
        self._spoken = 0
        self._power, self._powers = 0.0, 0  # mean of the speech, and of how many windows

    def push(self, x: Array) -> list[Comparison]:
        """The looks that became due with x (samples,)."""
        x = np.concatenate([self._rest, x])
        found: list[Comparison] = []
        whole = len(x) - len(x) % WINDOW
        for start in range(0, whole, WINDOW):
            self._at += WINDOW
            comparison = self._window(x[start : start + WINDOW])
            found += [comparison] if comparison else []
        self._rest = x[whole:]
        return found

    def _window(self, x: Array) -> Comparison | None:
        pcm = np.round(np.clip(self._level(x), -1, 1) * FULL_SCALE).astype("<i2").tobytes()
        self._quiet = 0 if self._detector.is_speech(pcm, RATE) else self._quiet + 1
        if self._quiet > HANGOVER:
            return None
        self._speech = np.concatenate([self._speech, x])[-PARTIAL_SAMPLES:]
        self._powers = min(self._powers + 1, round(LEVEL_S * RATE / WINDOW))
        self._power += (float(np.mean(np.square(x, dtype=np.float64))) - self._power) / self._powers
        self._fresh += WINDOW
        self._spoken += WINDOW
        if len(self._speech) < PARTIAL_SAMPLES or self._fresh < self._every:
            return None
        self._fresh = 0
        gain = np.float32(10 ** (LEVEL_DB / 20) / np.sqrt(max(self._power, 1e-30)))
        return self._compare(self._encoder.partials(MEL.centred(self._speech * gain)[None, :PARTIAL])[0])

    def _compare(self, newest: Array) -> Comparison:
        likeness = similarity(newest, _mean(self._embeddings)) if self._embeddings else 1.0
        self._odd = [*self._odd, newest] if likeness < self._other_below else []
        changed = len(self._odd) >= CERTAIN
        if changed:
            self._embeddings, self._spoken = list(self._odd), CERTAIN * self._every
            self._odd = []
        elif not self._odd:
            self._embeddings.append(newest)
        return Comparison(self._at, newest, _mean(self._embeddings), self._spoken / RATE, likeness, changed)


def _mean(embeddings: list[Array]) -> Array:
    total: Any = np.mean(embeddings, axis=0)
    return unit(total)
