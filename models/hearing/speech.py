"""Makes a clip of speech ready for a speaker encoder: rate, level, and the long silences taken out.

The steps and numbers are those the GE2E encoder was trained behind (Real-Time-Voice-Cloning, `encoder/audio.py`):
at least -30 dBFS, WebRTC's detector at its strictest in windows of 30 ms, smoothed over 8, widened by 3 on each side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from audio_pipeline.dsp.leveller import levelled
from audio_pipeline.dsp.mono import mono
from audio_pipeline.dsp.resample import resampled

Array = np.ndarray[Any, np.dtype[np.float32]]

RATE = 16_000
LEVEL_DB = -30.0
COMPARED_DB = -26.0  # RMS at which speech is told from pauses and voices are compared: no verdict follows the level
WINDOW = RATE * 30 // 1000
STRICTEST = 3
SMOOTH = 8  # windows
WIDEN = 7
FULL_SCALE = 32_767


def prepare(x: Array, rate: int) -> Array:
    """Mono speech (samples,) at 16 kHz from a clip (samples, channels) at `rate`; empty where nothing is speech."""
    return without_silence(raised(resampled(mono(x, rate)[0], rate, RATE)[:, 0]))


def raised(x: Array) -> Array:
    """Quiet clips brought up to -30 dBFS RMS; loud ones and silence stay."""
    rms = float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if len(x) else 0.0
    gain = 10 ** (LEVEL_DB / 20) / rms if rms else 1.0
    return x if gain <= 1 else (x * gain).astype(np.float32)


def without_silence(x: Array) -> Array:
    """What is left of (samples,) at 16 kHz when pauses are cut to a fifth of a second."""
    spoken = speech_windows(levelled(x, COMPARED_DB))
    return x[: len(spoken) * WINDOW][np.repeat(spoken, WINDOW)]


def speech_windows(x: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each whole window of 30 ms whether it counts as speech."""
    import webrtcvad

    detector = webrtcvad.Vad(STRICTEST)
    pcm = np.round(np.clip(x, -1, 1) * FULL_SCALE).astype("<i2")
    count = len(pcm) // WINDOW
    flags = [detector.is_speech(pcm[i * WINDOW : (i + 1) * WINDOW].tobytes(), RATE) for i in range(count)]
    around = np.pad(np.asarray(flags, np.float64), ((SMOOTH - 1) // 2, SMOOTH // 2))
    smooth = np.convolve(around, np.ones(SMOOTH) / SMOOTH, "valid") if count else around[:0]
    wide = np.convolve(np.round(smooth), np.ones(WIDEN))[WIDEN // 2 :][:count] if count else smooth
    return wide > 0.5
