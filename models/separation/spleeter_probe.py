"""Made music on which two ways to compute the networks are compared: drums, bass, chords and a voice, in three pieces.

How well half precision agrees depends on the excerpt (on real music from 43 to over 80 dB), so there are a dozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS as SPEC
from audio_pipeline.models.separation.spleeter_layout import Array

WINDOWS, FRAMES, APART = 4, 128, 32  # windows of a piece, frames in each, and frames from one to the next
WANTED = range(112, 128)
SECONDS = ((WINDOWS - 1) * APART + FRAMES) * SPEC.frame_s
FORMANTS = ((700, 250), (1200, 300), (2700, 500), (3500, 700))  # centre and width in Hz of an open vowel
MELODY = (330, 392, 440, 0, 349, 330, 294, 0)  # Hz, half a second each; 0 is a pause
ROOTS = (110.0, 110.0, 130.8, 98.0)  # Hz, a second each
Wave = np.ndarray[Any, np.dtype[np.float64]]


class Piece(NamedTuple):
    """How a piece differs: its pitch, and the levels of what is in it."""

    pitch: float
    drums: float
    chords: float
    voice: float


PIECES = (Piece(1.0, 1.0, 1.0, 1.0), Piece(1.26, 0.7, 1.5, 1.2), Piece(0.79, 1.2, 0.5, 0.8))
EXCERPTS = WINDOWS * len(PIECES)
LEVEL = 10 ** (-16 / 20)  # RMS, to which the live modes bring quiet music


def probe() -> Array:
    """Magnitudes (excerpts, frames, bins, channels) as a separator shows them to its networks."""
    found: Array = np.concatenate([_windows(song(piece)) for piece in PIECES])
    return found


def _windows(sound: Array) -> Array:
    """Magnitudes (windows, frames, bins, channels) of sound at the level of the live modes."""
    sound = sound * np.float32(LEVEL / np.sqrt(np.mean(sound**2)))
    padded = np.concatenate([np.zeros((SPEC.stft.frame - SPEC.stft.hop, SPEC.channels), np.float32), sound])
    spectra = np.abs(SPEC.stft.analyse(padded)[..., : SPEC.bins]).transpose(0, 2, 1)  # (frames, bins, channels)
    starts = range(0, WINDOWS * APART, APART)
    found: Array = np.stack([spectra[start : start + FRAMES] for start in starts]).astype(np.float32)
    return found


def song(piece: Piece = PIECES[0]) -> Array:
    """A few bars of sound (samples, 2), up to full scale."""
    t = np.arange(round(SECONDS * SPEC.rate)) / SPEC.rate
    drums, noise = (piece.drums * sound for sound in _drums(t))
    roots = piece.pitch * _held(ROOTS, 1.0, t)
    bass = _tone(roots / 2, 8, np.ones_like)
    chord = np.sum([_tone(roots * ratio, 10, lambda f: np.exp(-f / 3000)) for ratio in (2, 2.52, 3)], axis=0)
    melody = piece.pitch * _held(MELODY, 0.5, t)
    vibrato = 1 + 0.015 * np.sin(2 * np.pi * 5.5 * t)
    voice = (melody > 0) * _tone(np.maximum(melody, 1) * vibrato, 12, _vowel)
    middle = drums + 0.4 * bass + 0.9 * piece.voice * voice
    sides = [middle + 0.25 * piece.chords * chord + noise, middle + 0.3 * piece.chords * chord + 0.7 * noise]
    found = np.stack(sides, axis=1)
    whole: Array = (found / np.abs(found).max()).astype(np.float32)
    return whole


def _drums(t: Wave) -> tuple[Wave, Wave]:
    """A kick on every beat, and the noise of hats and snare."""
    noise = np.random.default_rng(0).standard_normal(len(t))
    kick = np.exp(-18 * (t % 0.5)) * np.sin(2 * np.pi * 55 * (t % 0.5))
    return kick, noise * (0.2 * np.exp(-40 * (t % 0.25)) + 0.5 * np.exp(-14 * ((t + 0.5) % 1.0)))


def _held(notes: Sequence[float], each_s: float, t: Wave) -> Wave:
    """Hz at each time: the notes over and over, `each_s` long."""
    found: Wave = np.array(notes, np.float64)[(t / each_s).astype(int) % len(notes)]
    return found


def _tone(hz: Wave, partials: int, gain: Callable[[Wave], Wave]) -> Wave:
    """A saw of so many partials, each with a gain that depends on its frequency."""
    phase = 2 * np.pi * np.cumsum(hz) / SPEC.rate
    found: Wave = np.sum([gain(k * hz) * np.sin(k * phase) / k for k in range(1, partials + 1)], axis=0)
    return found


def _vowel(hz: Wave) -> Wave:
    found: Wave = np.sum([np.exp(-(((hz - centre) / width) ** 2)) for centre, width in FORMANTS], axis=0) + 0.02
    return found
