"""`voices enrol`: a recording of somebody becomes a voice that speaks."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audio_pipeline.cli import voices_consent
from audio_pipeline.cli.voices_keep import now
from audio_pipeline.cli.voices_sound import Sound, from_files, from_microphone
from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.models.voices.advice import REFUSED, findings
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.names import key
from audio_pipeline.models.voices.record import Sample
from audio_pipeline.report.voice_card import card, finding_lines
from audio_pipeline.terminal import warn, write

if TYPE_CHECKING:
    from audio_pipeline.models.voices.enrol import Tools
    from audio_pipeline.models.voices.inspection import Inspected

Stage = Callable[[str], None]


def enrol(args: argparse.Namespace) -> int:
    """Measures the sample, asks for the consent, fits the voice, keeps it and prints its card."""
    library = Library()
    args.name = _checked(args, library)
    library.check_writable()
    voices_consent.check_way(args, library)
    sound = from_microphone(args.device, args.record, "your voice") if args.record else from_files(args.files)
    with stages() as stage:
        tools, inspected = _inspected(sound, stage)
    _check_sample(inspected.sample, args.force)
    consent = voices_consent.consent(args, library, _embedding(inspected, tools), sound, tools.encoder)
    with stages() as stage:
        from audio_pipeline.models.voices import enrol as voice_enrol

        draft = voice_enrol.enrol(
            inspected,
            args.name,
            consent,
            now(),
            tools,
            british=args.british,
            keep_sample=not args.forget_sample,
            stage=stage,
        )
    record = library.add(draft)
    write(*card(record))
    name = shlex.quote(record.name)
    write(f'\nHear it:     audio-pipeline say "It is a fine day." --voice {name}')
    if draft.sample_flac is not None:
        write(f"Come nearer: audio-pipeline voices refine {name}")
    return 0


def load_tools() -> Tools:
    """The networks, fetched where they are missing."""
    from audio_pipeline.models.hearing import ge2e
    from audio_pipeline.models.speech import kokoro
    from audio_pipeline.models.voices.enrol import Tools

    return Tools(ge2e.load(), kokoro.load())


@contextmanager
def stages() -> Iterator[Stage]:
    """Shows what is being done, and for how long, where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def stage(text: str) -> None:
            for task in bar.tasks:
                if not task.finished:
                    bar.update(task.id, total=1, completed=1)
            bar.add_task(text, total=None)

        yield stage
        for task in bar.tasks:
            bar.update(task.id, total=1, completed=1)


def _checked(args: argparse.Namespace, library: Library) -> str:
    from audio_pipeline.models.speech import kokoro

    if args.files and args.record is not None:
        raise ConfigError("voices enrol: got sound files and --record, expected one of both")
    if not args.files and not args.record:
        raise ConfigError("voices enrol: expected sound files, or --record SECONDS for the microphone")
    name = library.check_free(args.name)
    if key(name) in {key(stock) for stock in kokoro.voice_names()}:
        raise ConfigError(f"{name!r} is a stock voice; choose another name")
    return name


def _inspected(sound: Sound, stage: Stage) -> tuple[Tools, Inspected]:
    from audio_pipeline.models.voices.inspection import inspect

    stage("loading the networks")
    tools = load_tools()
    stage("measuring the sample")
    return tools, inspect(sound.x, sound.rate, sound.sha256, encoder=tools.encoder)


def _embedding(inspected: Inspected, tools: Tools) -> voices_consent.Array:
    from audio_pipeline.models.voices.reference import embedding

    found: voices_consent.Array = embedding(tools.encoder, inspected.x, inspected.rate)
    return found


def _check_sample(sample: Sample, force: bool) -> None:
    """Warns of what the sample lacks; raises MediaError where no voice can be made from it."""
    found = findings(sample)
    refused = [finding for finding in found if finding.level == REFUSED and not (force and finding.forcible)]
    for line in finding_lines([finding for finding in found if finding.advice and finding not in refused]):
        warn(line)
    if refused:
        worst = refused[0]
        raise MediaError(f"the sample cannot be used ({worst.what}: {worst.measured}). {worst.advice}")
