"""Command `detect`: whether sound carries our watermark, and where."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_pipeline.errors import PipelineError
from audio_pipeline.io.clip import read_clip
from audio_pipeline.terminal import warn, write

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.perth import Perth

NOT_MARKED = 1  # exit code, as of grep
LONGEST_S = 3_600
SPAN_S = 2
BARS = " ▁▂▃▄▅▆▇█"
Array = np.ndarray[Any, np.dtype[np.float32]]


def detect(args: argparse.Namespace) -> int:
    """Prints a line a file; exit code 0: all carry the mark, 1: one does not, else the worst error's."""
    from audio_pipeline.models.hearing import perth

    networks = perth.load()
    return max(_told(networks, path) for path in args.files)


def _told(networks: Perth, path: Path) -> int:
    """One that cannot be looked at is named; the others are looked at all the same."""
    try:
        return _report(networks, path)
    except PipelineError as error:
        warn(f"audio-pipeline: {error}")
        return error.exit_code


def _report(networks: Perth, path: Path) -> int:
    from audio_pipeline.models.hearing import perth

    x, rate = read_clip(path, LONGEST_S)
    spans = [perth.confidence(networks, x[at : at + SPAN_S * rate], rate) for at in range(0, len(x), SPAN_S * rate)]
    whole = perth.confidence(networks, x[: 60 * rate], rate) if len(x) <= 60 * rate else float(np.median(spans))
    marked = max([whole, *spans], default=0.0) >= perth.PRESENT
    row = "".join(BARS[round(value * (len(BARS) - 1))] for value in spans[:60])
    said = "made by a machine: it carries the mark" if marked else "no mark found"
    write(f"{path}: {said} (confidence {whole:.2f}; |{row}| every {SPAN_S} s)")
    return 0 if marked else NOT_MARKED
