"""`voices refine`: searches for a style that is nearer to the speaker, for as long as one likes."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from audio_pipeline import threads
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.record import Record
from audio_pipeline.terminal import warn, write

Progress = Callable[[int, float, float], None]
LONGEST_MIN = 24 * 60
LINE_S = 10.0  # between two lines where there is no terminal


def refine(args: argparse.Namespace) -> int:
    """Refines a voice; Ctrl-C keeps the best so far, and the same command goes on from there."""
    if not 0 < args.minutes <= LONGEST_MIN:
        raise ConfigError(f"--minutes: expected more than 0 and up to {LONGEST_MIN}, got {args.minutes:g}")
    library = Library()
    record = library.record(args.name)

    seconds, began = args.minutes * 60, time.monotonic()
    steps = 0

    def counted(step: int, likeness: float, left_s: float) -> None:
        nonlocal steps
        steps = step
        progress(step, likeness, left_s)

    with _stopping() as stopped, _shown(record.name, seconds) as progress:
        from audio_pipeline.cli.voices_enrol import load_tools
        from audio_pipeline.models.voices import better as voice_better

        tools = load_tools()
        left_s = max(0.0, began + seconds - time.monotonic())
        before, after = voice_better.refine(
            library, record.name, tools, seconds=left_s, progress=counted, cancelled=stopped.is_set
        )
    write(_outcome(before, after))
    if after == before and not steps and not stopped.is_set():
        warn(f"{args.minutes:g} minutes were over before the first step; give it more with --minutes")
    if stopped.is_set():
        name = shlex.quote(after.name)
        write(f"stopped early; the same command continues from here: audio-pipeline voices refine {name}")
    return 0


def _outcome(before: Record, after: Record) -> str:
    old, new = before.likeness.voice, after.likeness.voice
    if after == before:
        return f"{after.name}: nothing better than likeness {old:.2f} was found; the voice is as it was"
    ceiling = "" if after.likeness.ceiling is None else f"; ceiling {after.likeness.ceiling:.2f}"
    gained = f"{old:.2f} -> {new:.2f} ({new - old:+.2f})"
    return f"{after.name}: likeness {gained} on sentences it was not fitted on{ceiling}"


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set by Ctrl-C or SIGTERM: the search ends with the best it has. A second Ctrl-C ends at once."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(name: str, seconds: float) -> Iterator[Progress]:
    """How far and how alike, as a bar; without a terminal a line every ten seconds."""
    if not sys.stderr.isatty():
        with _lines(seconds) as progress:
            yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"refining {name}", total=seconds, status="loading")
        yield lambda step, likeness, left_s: bar.update(
            task, completed=seconds - left_s, status=f"step {step}, likeness {likeness:.3f}; Ctrl-C keeps the best"
        )


@contextmanager
def _lines(seconds: float) -> Iterator[Progress]:
    """Reports by the clock where the search is: it may load, take a step or score the result for longer than that."""
    began, over, status = time.monotonic(), threading.Event(), "loading"

    def progress(step: int, likeness: float, left_s: float) -> None:
        nonlocal status
        status = f"step {step}, likeness {likeness:.3f}"

    def write_lines() -> None:
        while not over.wait(LINE_S):
            left_s = max(0.0, began + seconds - time.monotonic())
            warn(f"{left_s:5.0f} s left, {status}")

    writer = threads.start(write_lines, "progress", on_error=lambda error: None)  # nobody reads it: the search goes on
    try:
        yield progress
    finally:
        over.set()
        writer.join()
