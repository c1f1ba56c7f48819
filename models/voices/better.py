"""Refines a kept voice: a search that may be stopped, which keeps its best and goes on from there another time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.models.voices import files as voice_files
from audio_pipeline.models.voices import fit as voice_fit
from audio_pipeline.models.voices.enrol import TEXTS, Tools, likeness, software, synthesise, weights_used
from audio_pipeline.models.voices.enrolled import STYLE_BYTES, Library
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.record import (
    RECORD,
    RECORD_BYTES,
    STYLE,
    Array,
    Draft,
    Record,
    Voice,
    read_record,
    read_style,
)
from audio_pipeline.models.voices.sample import read_sample
from audio_pipeline.models.voices.traits import traits

LEAST_GAIN = 0.005  # of likeness; what is less does not show in its two digits


def refine(
    library: Library,
    name: str,
    tools: Tools,
    *,
    seconds: float,
    progress: voice_fit.Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Record, Record]:
    """Searches for a better style and puts it in the voice's place; the records before and after, equal where
    nothing better was found.

    `seconds` is for all of it, the score of the result included. Cancelled it keeps the best so far, and the next call
    goes on from there. Raises MediaError where the sample was not kept, ConfigError where torch is missing.
    """
    began = time.perf_counter()
    voice, packed = library.voice(name), library.sample(name)
    if packed is None:
        raise MediaError(f"voice {name!r}: its sample was not kept, so it cannot be refined; enrol it again")
    x, rate = read_sample(packed)
    reference = voice_fit.analyse(x[:, None], rate, tools.encoder)
    folder = library.work_folder(name)
    start = _start(library, voice, folder)
    try:
        fit = voice_fit.refine(
            reference,
            start,
            seconds=max(0.0, seconds - (time.perf_counter() - began)),
            progress=progress,
            cancelled=cancelled,
            checkpoint_folder=folder,
        )
    except ConfigError:  # no torch, or a checkpoint that is damaged: the next call begins anew
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if fit is not start and fit.fitted_likeness is None:
        fit = voice_fit.measured(fit, reference, tools.speaker, tools.encoder, TEXTS)
    after = voice.record
    if fit is not start and (fit.fitted_likeness or 0.0) >= voice.record.likeness.voice + LEAST_GAIN:
        after = library.replace(voice.record, _better(voice, fit, packed, time.perf_counter() - began, tools))
    if not cancelled():
        shutil.rmtree(folder, ignore_errors=True)
    return voice.record, after


def _better(voice: Voice, fit: Fit, packed: bytes, seconds: float, tools: Tools) -> Draft:
    made = replace(
        voice.record.provenance,
        method=fit.method,
        software=software(),
        models=weights_used(),
        seconds=round(voice.record.provenance.seconds + seconds, 1),
    )
    record = replace(
        voice.record,
        british=fit.british,
        speed=fit.speed,
        likeness=likeness(fit),
        provenance=made,
        voice=traits(*synthesise(fit, TEXTS[0], tools.speaker)),
    )
    return Draft(record, fit.pack, voice.embedding, packed)


def _start(library: Library, voice: Voice, folder: Path) -> Fit:
    """What the search begins at: what the stopped one began at, where there was one, so that it goes on."""
    kept = _kept_start(folder, voice.record.id)
    if kept is not None:
        return kept
    shutil.rmtree(folder, ignore_errors=True)
    files = library.files(voice.name)
    with voice_files.writing(library.folder):
        voice_files.put(library.folder, folder.name, {name: files[name] for name in (RECORD, STYLE)})
    return start_of(voice.record, voice.pack)


def _kept_start(folder: Path, id_: str) -> Fit | None:
    try:
        record = read_record(voice_files.read(folder / RECORD, RECORD_BYTES))
        pack, _ = read_style(voice_files.read(folder / STYLE, STYLE_BYTES))
    except (OSError, ValueError):
        return None
    return start_of(record, pack) if record.id == id_ else None


def start_of(record: Record, pack: Array) -> Fit:
    """The fit that a kept voice is."""
    known = record.likeness
    return Fit(
        pack,
        record.speed,
        record.british,
        known.nearest_voice,
        record.provenance.method,
        known.voice,
        known.nearest,
        known.ceiling,
    )
