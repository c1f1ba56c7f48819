"""What ten seconds of somebody's speech say about their voice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.dsp.leveller import levelled as at_level
from audio_pipeline.dsp.syllables import rate_of
from audio_pipeline.dsp.yin import pitch, pitch_range
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.hearing import ge2e, speech
from audio_pipeline.models.hearing.ge2e import RATE, SpeakerEncoder, similarity

Array = np.ndarray[Any, np.dtype[np.float32]]

LEAST_S, MOST_S = 1.6, 30.0  # one look of the encoder; more than this adds nothing that is measured here
HALVES_S = 2 * LEAST_S
LEVEL_DB = speech.COMPARED_DB  # GE2E follows the level: a factor of 2 costs 0.07


@dataclass(frozen=True, eq=False)
class Reference:
    """A voice to be fitted."""

    speech: Array  # (samples,) at 16 kHz, pauses cut, at -26 dBFS RMS
    embedding: Array  # (256,), GE2E
    ceiling: float | None  # likeness of its two halves; None below 3.2 s
    pitch_hz: float  # median
    pitch_sd: float  # semitones
    syllables_a_second: float

    @property
    def seconds(self) -> float:
        """Of speech."""
        return len(self.speech) / RATE


def analyse(x: Array, rate: int, encoder: SpeakerEncoder | None = None) -> Reference:
    """Measures a clip (samples, channels) at `rate` Hz; of a long one the first 30 s of speech.

    Raises ConfigError where it holds less than 1.6 s of speech, nothing voiced, or numbers that are no sound.
    """
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise ConfigError(f"reference: got an array of shape {x.shape}, expected finite sound (samples, channels)")
    spoken = levelled(speech.prepare(x, rate)[: round(MOST_S * RATE)])
    if len(spoken) < LEAST_S * RATE:
        raise ConfigError(f"reference: {len(spoken) / RATE:.1f} s of speech, expected {LEAST_S:g} s or more")
    found = pitch_range(pitch(spoken, RATE))
    if found is None:
        raise ConfigError("reference: no pitch was found in it, expected a clear voice")
    encoder = encoder or ge2e.load()
    return Reference(
        speech=spoken,
        embedding=encoder.utterance(spoken),
        ceiling=_ceiling(spoken, encoder),
        pitch_hz=found.median_hz,
        pitch_sd=found.sd_semitones,
        syllables_a_second=rate_of(spoken, RATE),
    )


def levelled(x: Array) -> Array:
    """Speech (samples,) at -26 dBFS RMS; silence stays."""
    return at_level(x, LEVEL_DB)


def embedding(encoder: SpeakerEncoder, x: Array, rate: int) -> Array:
    """GE2E (256,) of mono speech (samples,), compared as a reference is: pauses cut, at -26 dBFS."""
    return encoder.utterance(levelled(speech.prepare(x[:, None], rate)))


def _ceiling(spoken: Array, encoder: SpeakerEncoder) -> float | None:
    if len(spoken) < HALVES_S * RATE:
        return None
    half = len(spoken) // 2
    return similarity(encoder.utterance(levelled(spoken[:half])), encoder.utterance(levelled(spoken[half:])))
