"""The light voice: 8 MB, far faster than real time on one core (package hibari-tts, distilled from Kokoro-82M)."""

from __future__ import annotations

from typing import Any

import numpy as np

from audio_pipeline.models.phonemes import to_phonemes

Array = np.ndarray[Any, np.dtype[np.float32]]

SEED = 0  # of the breath in the voice: the same text is the same sound


class LightVoice:
    """American English, one female voice, 24 kHz."""

    rate = 24_000

    def __init__(self, speed: float = 1.0) -> None:
        from hibari import Hibari

        self._model, self._speed = Hibari(), speed

    def speak(self, text: str) -> Array:
        """Mono sound (samples,) at 24 kHz."""
        sound: Array = self._model.from_phonemes(to_phonemes(text), self._speed, SEED)
        return np.asarray(sound, np.float32)
