"""A whole short sound file at once, within a limit of seconds and of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp import limits
from audio_pipeline.errors import ConfigError, MediaError

LONGEST_S = 600
PIECE = 65536  # samples decoded at a time

Samples = NDArray[np.float32]


def read_clip(path: Path, longest_s: int = LONGEST_S) -> tuple[Samples, int]:
    """Sound (samples, channels) and its rate in Hz; ConfigError where it is longer, MediaError where it is no sound."""
    from audio_pipeline.io.media import open_media

    with open_media(path) as media:
        most = limits.most_samples(media.rate, media.channels, longest_s)
        x = _taken(media, most + 1)
        if len(x) > longest_s * media.rate:
            raise ConfigError(f"{str(path)!r} is longer than {longest_s} s; a minute of one voice is plenty")
        limits.check_length(path, len(x), media.rate, media.channels, longest_s)
        if not np.all(np.isfinite(x)):
            raise MediaError(f"{str(path)!r} holds numbers that are no sound (NaN or infinity)")
        return x, media.rate


def _taken(media: Any, most: int) -> Samples:
    """Up to `most` samples of an open file: twice in memory only while the last half of a short one is copied."""
    known = most if media.samples is None else min(most, media.samples)
    room = np.empty((known, media.channels), np.float32)  # pages that are not written to take no memory
    count = 0
    while count < known and len(part := media.read(min(PIECE, known - count))):
        room[count : count + len(part)] = part
        count += len(part)
    return room[:count] if 2 * count > known else room[:count].copy()
