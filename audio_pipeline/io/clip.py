"""A whole short sound file at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.errors import ConfigError, MediaError

LONGEST_S = 600


def read_clip(path: Path, longest_s: int = LONGEST_S) -> tuple[NDArray[np.float32], int]:
    """Sound (samples, channels) and its rate in Hz; ConfigError where it is longer, MediaError where it is no sound."""
    from audio_pipeline.io.media import open_media

    with open_media(path) as media:
        x = media.read(longest_s * media.rate + 1)
        if len(x) > longest_s * media.rate:
            raise ConfigError(f"{str(path)!r} is longer than {longest_s} s; a minute of one voice is plenty")
        if not np.all(np.isfinite(x)):
            raise MediaError(f"{str(path)!r} holds numbers that are no sound (NaN or infinity)")
        return x, media.rate
