"""From ten seconds of speech to a Kokoro voice like it: at once (`quick`), or closer by a search (`refine`).

Kokoro speaks in whatever style it is given, 256 numbers; fitting finds the numbers. How alike two voices are is the
cosine of their GE2E embeddings, at equal level, always on sentences that played no part in the fit.

    reference = analyse(x, rate)                      # (samples, channels) float32
    fit = quick(reference)                            # instant but for the likeness, which is measured by speaking
    fit = refine(reference, fit, seconds=300)         # needs torch
    KokoroVoice(kokoro.load(), fit.pack, speed=fit.speed, british=fit.british)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.hearing.ge2e import SpeakerEncoder, similarity
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.voices import quick as voice_quick
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.reference import Reference, analyse, embedding
from audio_pipeline.models.voices.texts import REPORT

__all__ = ["Reference", "analyse", "likeness", "quick", "refine"]

Array = np.ndarray[Any, np.dtype[np.float32]]
Progress = Callable[[int, float, float], None]  # step, likeness so far, seconds left
NEED_TORCH = "voice refine: needs PyTorch, install it with: pip install 'audio-pipeline[torch]'"


class Speaker(Protocol):
    """Whatever speaks phonemes in a style: `Kokoro` or `KokoroTorch`."""

    def synthesise(self, phonemes: str, style: Array, speed: float = 1.0) -> Array:
        """Mono speech (samples,) at 24 kHz."""


def quick(
    reference: Reference,
    speaker: Speaker | None = None,
    *,
    encoder: SpeakerEncoder | None = None,
    british: bool = False,
    texts: Sequence[str] = REPORT[:2],
) -> Fit:
    """A voice by regression from what was measured; with no `texts` it is instant and says no likeness."""
    found = voice_quick.predict(reference)
    fit = Fit(found.style[None], found.speed, british, found.nearest, "quick", ceiling=reference.ceiling)
    if not texts:
        return fit
    speaker, encoder = speaker or kokoro.load(), encoder or ge2e.load()
    return measured(fit, reference, speaker, encoder, texts)


def measured(
    fit: Fit, reference: Reference, speaker: Speaker, encoder: SpeakerEncoder, texts: Sequence[str] = REPORT
) -> Fit:
    """The fit with both likenesses, by saying the texts in its voice, and in the nearest stock voice where that one's
    is not known."""
    nearest = fit.nearest_likeness
    if nearest is None:
        stock = replace(fit, pack=kokoro.load_pack(fit.nearest), speed=1.0, method="stock")
        nearest = float(np.mean(likeness(stock, reference, speaker, encoder, texts)))
    fitted = float(np.mean(likeness(fit, reference, speaker, encoder, texts)))
    return replace(fit, fitted_likeness=fitted, nearest_likeness=nearest)


def likeness(
    fit: Fit, reference: Reference, speaker: Speaker, encoder: SpeakerEncoder, texts: Sequence[str] = REPORT
) -> list[float]:
    """GE2E cosine to the reference of each text said in the fitted voice."""
    found = []
    for text in texts:
        phonemes = to_phonemes(text, british=fit.british)
        sound = speaker.synthesise(phonemes, kokoro.row(fit.pack, len(phonemes)), fit.speed)
        found.append(similarity(embedding(encoder, sound, kokoro.RATE), reference.embedding))
    return found


def refine(
    reference: Reference,
    start: Fit,
    *,
    seconds: float = 300.0,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    checkpoint_folder: Path | None = None,
    device: str | None = None,
    seed: int = 0,
) -> Fit:
    """The best voice found within `seconds` by following GE2E's gradient through Kokoro, never worse than `start`.

    Cancelled, it returns what it has; with a checkpoint folder the same call goes on from there. Raises ConfigError
    where torch or the device is missing.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(NEED_TORCH) from error
    from audio_pipeline.models.voices import refine as voice_refine

    plan = voice_refine.Plan(seconds=seconds, device=device, seed=seed, checkpoint_folder=checkpoint_folder)
    return voice_refine.refine(reference, start, plan, progress, cancelled)
