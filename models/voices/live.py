"""A voice made of somebody who is speaking right now: fitted when enough was heard, again when twice as much was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError

Array = np.ndarray[Any, np.dtype[np.float32]]
Style = dict[str, Any]  # `style` (256 numbers), `speed`, `british`, `nearest`: as an event carries it

RATE = 16_000
KEPT_S = 60  # of sound, pauses included: the fit itself takes 30 s of speech at most
MOST_S = 30.0  # of speech; more makes it no better


class Enroller:
    """Keeps what one voice said, mono at 16 kHz, and fits a Kokoro style to it. Nothing is written anywhere."""

    def __init__(self, after_s: float, fit: Callable[[Array], Style] | None = None) -> None:
        self._after_s, self._fit = after_s, fit or _quick
        self.reset()

    def reset(self) -> None:
        """Another voice, or another stream."""
        self._sound = np.zeros(0, np.float32)
        self._next_s = self._after_s

    def push(self, x: Array) -> None:
        """More sound (samples,)."""
        self._sound = np.concatenate([self._sound, x])[-KEPT_S * RATE :]

    def update(self, speech_s: float, *, changed: bool) -> Style | None:
        """The style, when it is time for one: `speech_s` of this voice so far. Raises ConfigError: nothing to fit."""
        if changed:
            self._sound, self._next_s = self._sound[-round(speech_s * RATE) :], self._after_s
        if speech_s < self._next_s or self._next_s > MOST_S:
            return None
        self._next_s = 2 * max(self._next_s, speech_s)
        return {**self._fit(self._sound), "speech_s": round(speech_s, 1)}


def _quick(x: Array) -> Style:
    from audio_pipeline.models.voices import fit as voice_fit

    try:
        fit = voice_fit.quick(voice_fit.analyse(x[:, None], RATE), texts=())
    except ConfigError as error:
        raise ConfigError(f"no voice was made of this sound: {error}") from error
    style = [round(float(value), 5) for value in fit.pack[0]]
    return {"style": style, "speed": round(float(fit.speed), 4), "british": bool(fit.british), "nearest": fit.nearest}
