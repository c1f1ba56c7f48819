"""The microphone for the commands about voices: a countdown, a level meter, and the recording."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.devices.sample_recorder import Progress, record
from audio_pipeline.errors import ConfigError
from audio_pipeline.terminal import warn

Samples = NDArray[np.float32]

COUNT_FROM = 3
LONGEST_S = 120.0
LOWEST_DB, CELLS = -60.0, 24
TOO_LOUD_DB, TOO_SOFT_DB = -1.0, -40.0


def recorded(device: str, seconds: float, title: str) -> tuple[Samples, int]:
    """Counts down and records; a meter shows the level where standard error is a terminal."""
    if not 1 <= seconds <= LONGEST_S:
        raise ConfigError(f"--record: expected 1 to {LONGEST_S:g} s, got {seconds:g}")
    check_microphone(device)
    with _meter(title, seconds) as (count, show):
        for left in range(COUNT_FROM, 0, -1):
            count(left)
            time.sleep(1)
        return record(device, seconds, show)


def check_microphone(device: str) -> None:
    """Raises DeviceError where there is none: before anybody has counted to three."""
    from audio_pipeline.devices.sound import find

    find(device, "input")


@contextmanager
def _meter(title: str, seconds: float) -> Iterator[tuple[Callable[[int], None], Progress]]:
    """What shows the countdown, and what shows how far and how loud a recording is."""
    if not sys.stderr.isatty():
        warn(f"{title}: {seconds:g} s, beginning in {COUNT_FROM} s")
        yield (lambda left: None), (lambda so_far, db: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[level]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=seconds, level="")
        yield (
            lambda left: bar.update(task, description=f"{title}: in {left}"),
            lambda so_far, db: bar.update(
                task, completed=so_far, description=f"{title}: {max(seconds - so_far, 0):4.1f} s", level=meter(db)
            ),
        )


def meter(db: float) -> str:
    """A bar of the level in dBFS, with a remark where it is too high or too low.

    >>> meter(-30.0)
    '████████████░░░░░░░░░░░░ -30 dB'
    """
    full = round(min(max(1 - db / LOWEST_DB, 0), 1) * CELLS)
    remark = ", too loud" if db > TOO_LOUD_DB else ", very soft" if db < TOO_SOFT_DB else ""
    return f"{'█' * full}{'░' * (CELLS - full)} {db:.0f} dB{remark}"
