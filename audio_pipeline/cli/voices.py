"""Commands about voices: which there are, the card of one, how alike two are."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_pipeline.cli.text import columns
from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.files.clip import read_clip
from audio_pipeline.models.voices import checked_json
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.record import Record
from audio_pipeline.private_file import write_whole
from audio_pipeline.report.voice_card import card, reading
from audio_pipeline.terminal import write

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.ge2e import SpeakerEncoder

LEAST_S = 1.6  # of speech: one window of the encoder
Array = np.ndarray[Any, np.dtype[np.float32]]


def score(args: argparse.Namespace) -> int:
    """Prints how alike two voices are: sound files, or enrolled voices by name."""
    from audio_pipeline.models.hearing import ge2e

    encoder = ge2e.load()
    a, b = (_embedding(encoder, str(name)) for name in args.files)
    value = ge2e.similarity(a, b)
    write(f"{value:.2f}  {reading(value)}")
    return 0


def _embedding(encoder: SpeakerEncoder, name: str) -> Array:
    from audio_pipeline.dsp.mono import mono
    from audio_pipeline.models.hearing import speech
    from audio_pipeline.models.voices.reference import embedding

    library = Library()
    if not os.path.exists(name):  # Path.exists raises where the name is too long for one
        if name not in library:
            raise ConfigError(f"{name!r} is neither an enrolled voice nor a file")
        return library.voice(name).embedding
    x, rate = read_clip(Path(name))
    found_s = len(speech.prepare(x, rate)) / speech.RATE
    if found_s < LEAST_S:
        raise ConfigError(f"{name!r} holds {found_s:.1f} s of speech, expected {LEAST_S:g} s or more")
    found: Array = embedding(encoder, mono(x, rate)[0][:, 0], rate)
    return found


def listing(args: argparse.Namespace) -> int:
    """Prints every voice that `--voice` takes, then what is damaged."""
    from audio_pipeline.models.speech import kokoro
    from audio_pipeline.models.voices.by_name import LIGHT

    library = Library()
    records, stock = library.records(), kokoro.voice_names()
    rows = [_row(record) for record in records]
    if rows:
        write(*columns([("enrolled", "likeness", "pitch", "speech", "consent", "made"), *rows], indent=""))
    else:
        write(f"none is enrolled in {library.folder}; audio-pipeline voices enrol FILE --name NAME")
    write(f"\nstock: {', '.join([LIGHT, *stock])}")
    for id_, reason in library.damaged().items():
        write(f"{reason}\n  to remove it: audio-pipeline voices delete {id_}")
    return 0


def _row(record: Record) -> tuple[str, ...]:
    consent = record.consent.kind if record.consent else "none"
    return (
        record.name,
        f"{record.likeness.voice:.2f}",
        f"{record.voice.pitch_hz:.0f} Hz",
        f"{record.sample.speech_s:.0f} s",
        consent,
        record.created[:10],
    )


def show(args: argparse.Namespace) -> int:
    """Prints the card of a voice, as text or JSON, or writes it as a page or a picture."""
    if args.png and args.png.suffix.lower() != ".png":
        raise ConfigError(f"--png {str(args.png)!r}: expected a name that ends in .png")
    library = Library()
    record = library.record(args.name)
    if args.json:
        write(checked_json.dump(record))
    elif args.html or args.png:
        _write_card(library, record, args)
    else:
        write(*card(record))
    return 0


def _write_card(library: Library, record: Record, args: argparse.Namespace) -> None:
    from audio_pipeline.models.voices.sample import read_sample
    from audio_pipeline.report.voice_card_page import card_page
    from audio_pipeline.report.voice_card_picture import card_picture

    packed = library.sample(record.name)
    png = card_picture(record, read_sample(packed) if packed else None)
    for path, data in ((args.png, png), (args.html, card_page(record, png).encode())):
        if path is not None:
            _write(path, data, args.force)


def _write(path: Path, data: bytes, force: bool) -> None:
    if path.exists() and not force:
        raise ConfigError(f"{str(path)!r} exists already; add --force to overwrite it")
    try:
        write_whole(path, data)
    except OSError as error:
        raise PipelineError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    write(f"written: {path}")
