"""From a looked-at sample to a voice that can be kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.hearing.ge2e import SpeakerEncoder
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.kokoro import Kokoro
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.voices import fit as voice_fit
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.inspection import Inspected
from audio_pipeline.models.voices.record import Consent, Draft, Likeness, Provenance, Record
from audio_pipeline.models.voices.sample import pack_sample
from audio_pipeline.models.voices.texts import REPORT
from audio_pipeline.models.voices.traits import traits
from audio_pipeline.models.weights.registry import REGISTRY

Array = np.ndarray[Any, np.dtype[np.float32]]
Stage = Callable[[str], None]

MODELS = ("kokoro", "ge2e")
TEXTS = REPORT[:3]  # that likeness is measured on


@dataclass(frozen=True, eq=False)
class Tools:
    """The networks of an enrolment."""

    encoder: SpeakerEncoder
    speaker: Kokoro


class Remembering:
    """A speaker that says a sentence in a style once: what was listened to is measured without saying it again."""

    def __init__(self, speaker: voice_fit.Speaker) -> None:
        self._speaker = speaker
        self._synthesised: dict[tuple[str, bytes, float], Array] = {}

    def synthesise(self, phonemes: str, style: Array, speed: float = 1.0) -> Array:
        """Mono speech (samples,) at 24 kHz."""
        wanted = phonemes, style.tobytes(), speed
        if wanted not in self._synthesised:
            self._synthesised[wanted] = self._speaker.synthesise(phonemes, style, speed)
        return self._synthesised[wanted]


def enrol(
    inspected: Inspected,
    name: str,
    consent: Consent | None,
    now: str,
    tools: Tools,
    *,
    british: bool = False,
    keep_sample: bool = True,
    stage: Stage = lambda stage_name: None,
) -> Draft:
    """The voice of a sample, by a quick fit; `stage` is told what is being done. Raises ConfigError."""
    began = time.perf_counter()
    stage("measuring the voice")
    reference = voice_fit.analyse(inspected.x[:, None], inspected.rate, tools.encoder)
    stage("finding the style nearest to it, and listening to it")
    speaker = Remembering(tools.speaker)
    fit = voice_fit.quick(reference, speaker, encoder=tools.encoder, british=british, texts=TEXTS)
    stage("measuring what it sounds like")
    provenance = Provenance("kokoro", fit.method, 0, 0.0, software(), weights_used(), "")
    record = Record(
        name=name,
        created=now,
        british=fit.british,
        speed=fit.speed,
        sample=inspected.sample,
        speaker=traits(inspected.x, inspected.rate),
        voice=traits(*synthesise(fit, TEXTS[0], speaker)),
        likeness=likeness(fit),
        provenance=replace(provenance, seconds=round(time.perf_counter() - began, 1)),
        consent=consent,
        target=converter_target(inspected.x, inspected.rate, tools.encoder),
    )
    sample = pack_sample(inspected.x, inspected.rate) if keep_sample else None
    return Draft(record, fit.pack, reference.embedding, sample)


def converter_target(x: Array, rate: int, encoder: SpeakerEncoder) -> dict[str, float] | None:
    """What the voice converter has to know of mono sound (samples,); None where it is not installed, or the sample
    says too little."""
    try:
        from audio_pipeline.models.convert.target import target_of

        return target_of(x[:, None], rate, encoder).numbers()
    except (ImportError, ConfigError):
        return None


def likeness(fit: Fit) -> Likeness:
    """Of a fit that was measured."""
    assert fit.fitted_likeness is not None and fit.nearest_likeness is not None, "measured on text held out"
    ceiling = None if fit.ceiling is None else round(fit.ceiling, 4)
    return Likeness(round(fit.fitted_likeness, 4), ceiling, round(fit.nearest_likeness, 4), fit.nearest)


def synthesise(fit: Fit, text: str, speaker: voice_fit.Speaker) -> tuple[Array, int]:
    """A text in the fitted voice: mono sound (samples,) and its rate."""
    phonemes = to_phonemes(text, british=fit.british)
    return speaker.synthesise(phonemes, kokoro.row(fit.pack, len(phonemes)), fit.speed), kokoro.RATE


def software() -> str:
    """Name and version of what made a voice."""
    try:
        return f"audio-pipeline {version('audio-pipeline')}"
    except PackageNotFoundError:
        return "audio-pipeline"


def weights_used() -> dict[str, str]:
    """Where the networks come from, by name."""
    return {name: str(REGISTRY[name].sources[0])[:200] for name in MODELS}
