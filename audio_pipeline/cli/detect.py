"""Command `detect`: whether sound carries our watermark, and where."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.clip import pieces
from audio_pipeline.files.media import open_media
from audio_pipeline.terminal import warn, write

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.mark import Verdict
    from audio_pipeline.models.hearing.perth import Perth

NOT_MARKED = 1  # exit code, as of grep
LONGEST_H = 12
PIECE = 1 << 16
CELLS, MARKED, CLEAN = 60, "█", "·"
NAMED = 4  # parts in the sentence; the strip shows all


def detect(args: argparse.Namespace) -> int:
    """Prints what is found in each file; exit code 0: all carry the mark, 1: one does not, else the worst error's."""
    from audio_pipeline.models.hearing import perth

    networks = perth.load()
    return max(_report(networks, path) for path in args.files)


def _report(networks: Perth, path: Path) -> int:
    """A file that cannot be read is named, and the others are examined all the same."""
    try:
        verdict = _verdict(networks, path)
    except PipelineError as error:
        warn(f"audio-pipeline: {error}")
        return error.exit_code
    write(*sentences(path, verdict))
    return 0 if verdict.marked else NOT_MARKED


def _verdict(networks: Perth, path: Path) -> Verdict:
    from audio_pipeline.models.hearing.mark import MarkSeeker

    with open_media(path) as media:
        seeker, taken = MarkSeeker(networks, media.rate, min(media.channels, 2)), 0
        for x in pieces(media, PIECE):
            if not np.all(np.isfinite(x)):
                raise MediaError(f"{path}: holds numbers that are no sound (NaN or infinity)")
            taken += len(x)
            if taken > LONGEST_H * 3_600 * media.rate:
                raise MediaError(f"{path}: is longer than {LONGEST_H} hours; cut it into parts")
            seeker.push(x)
        return seeker.finish()


def sentences(path: Path, verdict: Verdict) -> list[str]:
    """The lines for a file: the verdict with the marked parts, and a strip that shows them."""
    if not verdict.marked:
        return [f"{path}: no mark found in {_time(verdict.seconds)}"]
    parts = [f"{_time(start)} to {_time(end)}" for start, end in verdict.parts]
    more = f" and {len(parts) - NAMED} more parts" if len(parts) > NAMED else ""
    where = f"{', '.join(parts[:NAMED])}{more} of {_time(verdict.seconds)}"
    return [f"{path}: made by a machine: it carries the mark, {where}", f"  |{_strip(verdict)}|"]


def _strip(verdict: Verdict) -> str:
    """One sign for each part of the file of the same length: whether the mark is anywhere in it."""
    cells = np.array_split(verdict.rows, min(CELLS, len(verdict.rows)))
    return "".join(MARKED if cell.any() else CLEAN for cell in cells)


def _time(seconds: float) -> str:
    """
    >>> _time(3.25), _time(754.0), _time(3_661.5)
    ('0:03.2', '12:34.0', '1:01:01.5')
    """
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
