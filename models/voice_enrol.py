"""From a looked-at sample to a voice that can be kept, and from a kept one to a better one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from audio_pipeline.errors import MediaError
from audio_pipeline.models import kokoro, voice_fit
from audio_pipeline.models.ge2e import SpeakerEncoder
from audio_pipeline.models.kokoro import Kokoro
from audio_pipeline.models.phonemes import to_phonemes
from audio_pipeline.models.voice_fit import Fit
from audio_pipeline.models.voice_inspect import Inspected
from audio_pipeline.models.voice_library import Library
from audio_pipeline.models.voice_record import Consent, Draft, Likeness, Provenance, Record
from audio_pipeline.models.voice_sample import pack_sample, read_sample
from audio_pipeline.models.voice_texts import REPORT
from audio_pipeline.models.voice_traits import traits
from audio_pipeline.models.weights_registry import REGISTRY

Array = np.ndarray[Any, np.dtype[np.float32]]
Stage = Callable[[str], None]

MODELS = ("kokoro", "ge2e")


@dataclass(frozen=True, eq=False)
class Tools:
    """The networks of an enrolment."""

    encoder: SpeakerEncoder
    speaker: Kokoro


def enrol(
    inspected: Inspected,
    name: str,
    consent: Consent | None,
    now: str,
    tools: Tools,
    *,
    british: bool = False,
    keep_sample: bool = True,
    stage: Stage = lambda said: None,
) -> Draft:
    """The voice of a sample, by a quick fit; `stage` is told what is being done. Raises ConfigError."""
    began = time.perf_counter()
    stage("measuring the voice")
    reference = voice_fit.analyse(inspected.x[:, None], inspected.rate, tools.encoder)
    stage("finding the style nearest to it, and listening to it")
    fit = voice_fit.quick(reference, tools.speaker, encoder=tools.encoder, british=british)
    stage("measuring what it sounds like")
    provenance = Provenance("kokoro", fit.method, 0, 0.0, _software(), _models(), "")
    record = Record(
        name=name,
        created=now,
        british=fit.british,
        speed=fit.speed,
        sample=inspected.sample,
        speaker=traits(inspected.x, inspected.rate),
        voice=traits(*say(fit, REPORT[0], tools.speaker)),
        likeness=likeness(fit),
        provenance=replace(provenance, seconds=round(time.perf_counter() - began, 1)),
        consent=consent,
        target=None,
    )
    sample = pack_sample(inspected.x, inspected.rate) if keep_sample else None
    return Draft(record, fit.pack, reference.embedding, sample)


def refine(
    library: Library,
    name: str,
    tools: Tools,
    *,
    seconds: float,
    progress: voice_fit.Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Record, Record]:
    """Searches for a better style and puts it in the voice's place; the records before and after.

    Cancelled it keeps the best so far, and the next call goes on from there. Raises MediaError where the sample was
    not kept, ConfigError where torch is missing.
    """
    voice, packed = library.voice(name), library.sample(name)
    if packed is None:
        raise MediaError(f"voice {name!r}: its sample was not kept, so it cannot be refined; enrol it again")
    x, rate = read_sample(packed)
    reference = voice_fit.analyse(x[:, None], rate, tools.encoder)
    folder = library.work_folder(name)
    folder.mkdir(mode=0o700, exist_ok=True)
    began = time.perf_counter()
    fit = voice_fit.refine(
        reference, start_of(voice.record, voice.pack), seconds=seconds, progress=progress, cancelled=cancelled,
        checkpoint_folder=folder,
    )  # fmt: skip
    took = round(voice.record.provenance.seconds + time.perf_counter() - began, 1)
    provenance = replace(voice.record.provenance, method=fit.method, seconds=took, software=_software(),
                         models=_models())  # fmt: skip
    record = replace(voice.record, british=fit.british, speed=fit.speed, likeness=likeness(fit),
                     voice=traits(*say(fit, REPORT[0], tools.speaker)), provenance=provenance)  # fmt: skip
    kept = library.replace(voice.record, Draft(record, fit.pack, voice.embedding, packed))
    if not cancelled():
        shutil.rmtree(folder, ignore_errors=True)
    return voice.record, kept


def start_of(record: Record, pack: Array) -> Fit:
    """The fit that a kept voice is."""
    known = record.likeness
    return Fit(
        pack, record.speed, record.british, known.nearest_voice, record.provenance.method, known.voice, known.nearest,
        known.ceiling,
    )  # fmt: skip


def likeness(fit: Fit) -> Likeness:
    """Of a fit that was measured."""
    assert fit.fitted_likeness is not None and fit.nearest_likeness is not None, "measured on text held out"
    ceiling = None if fit.ceiling is None else round(fit.ceiling, 4)
    return Likeness(round(fit.fitted_likeness, 4), ceiling, round(fit.nearest_likeness, 4), fit.nearest)


def say(fit: Fit, text: str, speaker: voice_fit.Speaker) -> tuple[Array, int]:
    """A text in the fitted voice: mono sound (samples,) and its rate."""
    phonemes = to_phonemes(text, british=fit.british)
    return speaker.synthesise(phonemes, kokoro.row(fit.pack, len(phonemes)), fit.speed), kokoro.RATE


def _software() -> str:
    try:
        return f"audio-pipeline {version('audio-pipeline')}"
    except PackageNotFoundError:
        return "audio-pipeline"


def _models() -> dict[str, str]:
    return {name: str(REGISTRY[name].sources[0])[:200] for name in MODELS}
