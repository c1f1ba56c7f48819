"""What DeepFilterNet3 is shown of a spectrum, and how its gains cover one: 32 bands as wide as those of the ear.

After libDF/src/lib.rs of DeepFilterNet (d375b2d): `erb_fb`, `compute_band_corr`, `band_mean_norm_erb`,
`band_unit_norm` and `apply_interp_band_gain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.deepfilternet_graph import ERB_BANDS, FILTERED_BINS
from audio_pipeline.models.separation.types import Array

LEAST_BINS = 2  # of a band
DECAY = np.float32(0.99)  # a frame, of the running levels: exp(-10 ms / 1 s), rounded as in training
SCALE = np.float32(1 / DEEPFILTERNET.stft.frame)  # of spectra, as in training
FLOOR = np.float32(1e-10)
BAND_LEVELS_DB = (-60.0, -90.0)  # of the lowest and the highest band, at the start of a stream
BIN_LEVELS = (0.001, 0.0001)  # the same of magnitudes
SPREAD_DB = np.float32(40)  # a feature of 1


@dataclass(frozen=True, eq=False)
class Levels:
    """Running means: of the bands in dB (ERB_BANDS,), and of magnitudes (FILTERED_BINS,)."""

    bands_db: Array
    bins: Array


def first_levels() -> Levels:
    """Of a stream that begins."""
    bands_db = np.linspace(*BAND_LEVELS_DB, ERB_BANDS, dtype=np.float32)
    return Levels(bands_db, np.linspace(*BIN_LEVELS, FILTERED_BINS, dtype=np.float32))


@cache
def band_sizes() -> tuple[int, ...]:
    """Bins of each band: equal steps on the ERB scale (Glasberg and Moore 1990), but at least LEAST_BINS.

    >>> band_sizes()[:8], band_sizes()[-3:], sum(band_sizes())
    ((2, 2, 2, 2, 2, 2, 2, 2), (50, 56, 67), 481)
    """
    width = DEEPFILTERNET.rate / DEEPFILTERNET.stft.frame
    step = 9.265 * np.log1p(DEEPFILTERNET.rate / 2 / (24.7 * 9.265)) / ERB_BANDS
    edges = [round(24.7 * 9.265 * float(np.expm1(i * step / 9.265)) / width) for i in range(1, ERB_BANDS + 1)]
    sizes, before, borrowed = list[int](), 0, 0
    for edge in edges:
        wanted = edge - before - borrowed
        sizes.append(max(wanted, LEAST_BINS))
        borrowed, before = sizes[-1] - wanted, edge
    sizes[-1] += DEEPFILTERNET.bins - sum(sizes)
    return tuple(sizes)


def next_features(spectrum: Array, levels: Levels) -> tuple[Array, Array, Levels]:
    """The features of one frame's spectrum (bins,): of its bands (ERB_BANDS,), of its bins (2, FILTERED_BINS); and
    the levels after it."""
    scaled = spectrum * SCALE
    power = scaled.real**2 + scaled.imag**2
    starts = np.cumsum((0, *band_sizes()[:-1]))
    means = np.add.reduceat(power, starts) / np.array(band_sizes(), np.float32)
    bands_db = 10 * np.log10(means + FLOOR)
    low = scaled[:FILTERED_BINS]
    after = Levels(bands_db * (1 - DECAY) + levels.bands_db * DECAY, np.abs(low) * (1 - DECAY) + levels.bins * DECAY)
    normed = low / np.sqrt(after.bins)
    return (bands_db - after.bands_db) / SPREAD_DB, np.stack([normed.real, normed.imag]), after


def over_bins(gains: Array) -> Array:
    """Gains of bands (..., ERB_BANDS) as gains of bins (..., bins)."""
    return np.repeat(gains, band_sizes(), axis=-1)
