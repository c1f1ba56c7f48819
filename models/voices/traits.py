"""How somebody speaks, as far as it is shown on a voice's card: pitch, its spread and distribution, and pace."""

from __future__ import annotations

from typing import Any

import numpy as np

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.dsp.syllables import rate_of
from audio_pipeline.dsp.yin import pitch, pitch_range
from audio_pipeline.models.hearing import speech
from audio_pipeline.models.voices.record import PITCH_BINS, Traits

Array = np.ndarray[Any, np.dtype[np.float32]]

LOWEST_HZ = 50.0  # and a bin a semitone, up to 800 Hz


def edges_hz() -> Array:
    """Edges of the pitch bins (49,)."""
    found: Array = (LOWEST_HZ * 2 ** (np.arange(PITCH_BINS + 1) / 12)).astype(np.float32)
    return found


def traits(x: Array, rate: int) -> Traits:
    """Of mono speech (samples,); zeros where nothing is voiced."""
    spoken = speech.without_silence(speech.raised(resampled(x[:, None], rate, speech.RATE)[:, 0]))
    hz = pitch(spoken, speech.RATE)
    found = pitch_range(hz)
    counts, _ = np.histogram(hz[hz > 0], edges_hz())
    return Traits(
        pitch_hz=round(found.median_hz, 1) if found else 0.0,
        pitch_spread_st=round(found.sd_semitones, 2) if found else 0.0,
        syllables_per_s=round(rate_of(spoken, speech.RATE), 2),
        pitch_counts=tuple(int(count) for count in counts),
    )
