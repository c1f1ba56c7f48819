"""A whole file through the one reader."""

from __future__ import annotations

from itertools import count, takewhile

import numpy as np

from audio_pipeline.files.media_reader import MediaReader


def read_all(reader: MediaReader, block: int = 4410) -> np.ndarray:
    return np.concatenate(list(takewhile(len, (reader.read(block) for _ in count()))))
