"""Whether two recordings hold one and the same take: by correlation, so that another codec, level or cut hides nothing.

A piece of one is looked for at every place of the other, as waveform and as course of loudness. What somebody says
again is another take, however alike the voice. The bounds are measured (benchmarks/voice_takes.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.resample import resampled

Samples = NDArray[np.float32]
Numbers = NDArray[np.float64]

RATE = 4_000  # Hz: what is left of speech when a codec, a telephone or a filter had it
PIECE_S, HOP_S = 2.0, 1.0
SAME_WAVE = 0.6  # other takes of one reader reach 0.48, the same one cut, with noise or by a codec keeps 0.94
BLOCK = 40  # samples: 10 ms
LOUDNESS_BLOCKS, LOUDNESS_HOP = 300, 100
SAME_LOUDNESS = 0.85  # others reach 0.74; the same one played 2 % faster, which no waveform shows, keeps 0.90
QUIET = 0.1  # of the mean power: pieces that are mostly pause say nothing


def same_take(a: Samples, a_rate: int, b: Samples, b_rate: int) -> bool:
    """Whether some 2 s of mono sound `a` (samples,) are in `b` too, or 3 s by their course of loudness."""
    x, y = (resampled(one[:, None], rate, RATE)[:, 0].astype(np.float64) for one, rate in ((a, a_rate), (b, b_rate)))
    if likest(x, y, round(PIECE_S * RATE), round(HOP_S * RATE)) >= SAME_WAVE:
        return True
    x, y = loudness(x), loudness(y)
    long_enough = min(len(x), len(y)) >= LOUDNESS_BLOCKS
    return long_enough and likest(x, y, LOUDNESS_BLOCKS, LOUDNESS_HOP) >= SAME_LOUDNESS


def likest(x: Numbers, y: Numbers, piece: int, hop: int) -> float:
    """The largest correlation, 0 to 1, of a piece of x (n,) with any place of y (m,); shorter where one is shorter."""
    piece = min(piece, len(x), len(y))
    if not piece:
        return 0.0
    pieces = (x[at : at + piece] for at in range(0, len(x) - piece + 1, hop))
    least = QUIET * float(np.mean(np.square(x)))
    audible = (part for part in pieces if float(np.mean(np.square(part))) > least)
    return max((correlation(part, y) for part in audible), default=0.0)


def correlation(piece: Numbers, y: Numbers) -> float:
    """The largest absolute normalised (Pearson) correlation of a piece (n,) with the n samples from any place of y."""
    n = len(piece)
    piece = piece - piece.mean()
    size = 1 << (len(y) - 1).bit_length()  # what wraps round falls on places that are not whole
    spectrum = np.fft.rfft(y, size) * np.conj(np.fft.rfft(piece, size))
    found = np.abs(np.fft.irfft(spectrum, size)[: len(y) - n + 1])
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (y, np.square(y)))
    power = squares[n:] - squares[:-n] - np.square(sums[n:] - sums[:-n]) / n
    floor = 1e-4 * float(np.max(power, initial=0.0))  # rounding is all there is in what is quieter
    scale = np.sqrt(np.maximum(power, floor) * float(np.sum(np.square(piece))))
    return float(np.max(found / np.maximum(scale, 1e-12), initial=0.0))


def loudness(x: Numbers) -> Numbers:
    """Root mean square (n,) of blocks of 10 ms."""
    whole = len(x) // BLOCK
    course: Numbers = np.sqrt(np.mean(np.square(x[: whole * BLOCK].reshape(whole, BLOCK)), axis=1))
    return course
