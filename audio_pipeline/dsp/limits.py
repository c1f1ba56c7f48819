"""How much of a sound file a reader takes: limits in samples x channels, which no file decides for us.

A limit in seconds alone is none: a FLAC of 343 kB may declare 655,350 Hz and 8 channels, a WAV of 1 Hz has few
samples for its length but millions once it is converted to another rate.
"""

from __future__ import annotations

from audio_pipeline.errors import MediaError

LEAST_RATE, MOST_RATE = 4_000, 384_000  # Hz: below the telephone's 8,000; eight times 48,000
MOST_CHANNELS = 32
MOST_VALUES = 60_000_000  # samples x channels in memory at once: 240 MB, ten minutes of stereo at 48 kHz


def check_format(name: object, rate: int, channels: int) -> None:
    """Raises MediaError, naming `name`, where no reader takes such sound."""
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise MediaError(f"{name}: has a rate of {rate} Hz, expected {LEAST_RATE} to {MOST_RATE} Hz")
    if not 1 <= channels <= MOST_CHANNELS:
        raise MediaError(f"{name}: has {channels} channels, expected 1 to {MOST_CHANNELS}")


def most_samples(rate: int, channels: int, longest_s: float) -> int:
    """Samples per channel of the longest sound that is taken as a whole: `longest_s`, less where memory ends first.

    >>> most_samples(48_000, 2, 600), most_samples(384_000, 8, 600)
    (28800000, 7500000)
    """
    return min(round(longest_s * rate), MOST_VALUES // channels)


def check_length(name: object, samples: int, rate: int, channels: int, longest_s: float) -> None:
    """Raises MediaError where sound of `samples` per channel is longer than a reader takes as a whole."""
    most = most_samples(rate, channels, longest_s)
    if samples > most:
        raise MediaError(
            f"{name}: is longer than {most / rate:.4g} s, the most that is read at once "
            f"of {channels} channels at {rate} Hz"
        )
