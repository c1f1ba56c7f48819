"""A whole short sound file at once, within a limit of seconds and of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp import limits
from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.terminal import warn

if TYPE_CHECKING:
    from audio_pipeline.files.media_reader import MediaReader

LONGEST_S = 600
PIECE = 65536  # samples decoded at a time

Samples = NDArray[np.float32]


def read_clip(path: Path, longest_s: float = LONGEST_S) -> tuple[Samples, int]:
    """Sound (samples, 1 or 2) and its rate in Hz; ConfigError where it is longer, MediaError where it is no sound.

    More channels are mixed to stereo by their layout. What is damaged in the file goes to standard error.
    """
    from audio_pipeline.files.media import open_media

    with open_media(path) as media:
        most = limits.most_samples(media.rate, media.channels, longest_s)
        x = _taken(media, most + 1)
        warn_of_faults(media)
        if len(x) > longest_s * media.rate:
            raise ConfigError(f"{str(path)!r} is longer than {longest_s:g} s; a minute of one voice is plenty")
        limits.check_length(path, len(x), media.rate, media.channels, longest_s)
        if not np.all(np.isfinite(x)):
            raise MediaError(f"{str(path)!r} holds numbers that are no sound (NaN or infinity)")
        return x, media.rate


def pieces(media: MediaReader, samples: int) -> Iterator[Samples]:
    """The rest of an open file as mono or stereo, `samples` at a time, fewer at the end: for files of any length."""
    channels = min(media.channels, 2)
    while len(x := media.read(samples)):
        yield to_channels(x, channels, media.layout)
    warn_of_faults(media)


def warn_of_faults(media: MediaReader) -> None:
    """Tells on standard error what was found wrong with a file so far."""
    for sentence in media.faults.sentences(media.path):
        warn(f"audio-pipeline: {sentence}")


def _taken(media: MediaReader, most: int) -> Samples:
    """Up to `most` samples of an open file, twice in memory only where they are few."""
    channels = min(media.channels, 2)
    buffer = np.empty((most, channels), np.float32)  # pages that are not written to take no memory
    count = 0
    while count < most and len(part := media.read(min(PIECE, most - count))):
        buffer[count : count + len(part)] = to_channels(part, channels, media.layout)
        count += len(part)
    return buffer[:count] if 2 * count > most else buffer[:count].copy()
