"""The sample that a voice was fitted on, as it is kept: a FLAC of the voice alone."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from audio_pipeline.dsp import limits
from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import MediaError

Array = np.ndarray[Any, np.dtype[np.float32]]

MOST_RATE = 48_000
MOST_S = 120
LONGEST_S = 600


def pack_sample(x: Array, rate: int) -> bytes:
    """FLAC, 16 bit, of mono sound (samples,); as much softer as it takes to fit."""
    import soundfile

    if rate > MOST_RATE:
        x, rate = resampled(x[:, None], rate, MOST_RATE)[:, 0], MOST_RATE
    buffer = io.BytesIO()
    soundfile.write(buffer, x / max(float(np.max(np.abs(x), initial=0.0)), 1.0), rate, "PCM_16", format="FLAC")
    return buffer.getvalue()


def read_sample(data: bytes) -> tuple[Array, int]:
    """Mono sound (samples,) and its rate; of what unpacks to hours the first two minutes. Raises MediaError."""
    x, rate = unpacked(data, "the voice's sample", MOST_S)
    return x[:, 0], rate


def unpacked(data: bytes, name: str, longest_s: float = LONGEST_S) -> tuple[Array, int]:
    """Sound (samples, channels) in the bytes of a file and its rate, the beginning of longer sound. MediaError."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            limits.check_format(name, file.samplerate, file.channels)
            most = limits.most_samples(file.samplerate, file.channels, longest_s)
            return np.asarray(file.read(min(most, file.frames), dtype="float32", always_2d=True)), int(file.samplerate)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        raise MediaError(f"{name}: cannot be read ({error})") from error
