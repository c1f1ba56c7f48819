"""A recording as a picture: envelope and mel spectrogram, in a fixed number of columns however long it is."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp import limits
from audio_pipeline.dsp.mel import hz_to_mel, triangles
from audio_pipeline.errors import MediaError

if TYPE_CHECKING:
    import soundfile

COLUMNS = 1000
BATCH = 20  # columns read at a time
SPECTRA = 4  # spectra averaged for one column, so that an hour costs little more than a minute
BANDS = 96
TOP_HZ = 20_000
RANGE_DB = 80.0
# matplotlib's magma at 33 places (CC0); importing it would cost half a second and want a folder to write to
MAGMA = (
    "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779"
    "c23b75cf4070db476ae55064ee5b5ef4695cf9785dfb8761fd9668fea571feb47bfec287fed194fde0a1fceeb0fcfdbf"
)
WINDOW_S = 2048 / 44_100

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """What a recording spectra like; arrays have a column for each stretch of equal length."""

    seconds: float
    rate: int
    channels: int
    low: Array  # (columns,) least sample over all channels
    high: Array  # (columns,) greatest
    rms: Array  # (columns,)
    bands_db: Array  # (BANDS, columns), dB re a full-scale sine, low frequencies first

    @property
    def peak_db(self) -> float:
        """Highest sample, dBFS."""
        return decibels(max(float(self.high.max()), -float(self.low.min())))

    @property
    def rms_db(self) -> float:
        """Root mean square over everything, dBFS."""
        return decibels(math.sqrt(float(np.mean(np.square(self.rms, dtype=np.float64)))))


def decibels(amplitude: float) -> float:
    """
    >>> decibels(0.5), decibels(0.0)
    (-6.020599913279624, -inf)
    """
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def picture(path: Path, columns: int = COLUMNS) -> Picture:
    """The picture of a sound file. Raises MediaError where it cannot be read or holds nothing."""
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            limits.check_format(path.name, file.samplerate, file.channels)
            if not len(file):
                raise MediaError(f"{path.name} holds no sound")
            parts = list(_batches(file, min(columns, len(file))))
            rate, channels, seconds = file.samplerate, file.channels, len(file) / file.samplerate
    except soundfile.SoundFileError as error:
        raise MediaError(f"{path.name} cannot be read: {error}") from error
    low, high, rms, bands = (np.concatenate([part[i] for part in parts], axis=-1) for i in range(4))
    return Picture(seconds, rate, channels, low, high, rms, bands)


def _batches(file: soundfile.SoundFile, columns: int) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Least, greatest, RMS and bands of BATCH columns after another."""
    window = 2 ** round(math.log2(file.samplerate * WINDOW_S))
    mel = triangles(file.samplerate, window, BANDS, top_hz(file.samplerate))
    batch = max(1, min(BATCH, limits.MOST_VALUES // 4 * columns // (len(file) * file.channels)))
    for first in range(0, columns, batch):
        edges = np.arange(first, min(first + batch, columns) + 1) * len(file) // columns
        sound = _read(file, int(edges[0]) - window, int(edges[-1]) + window)  # (ch, n)
        inner, starts = sound[:, window:-window], edges[:-1] - edges[0]
        power = np.add.reduceat(np.square(inner), starts, axis=1, dtype=np.float64).mean(axis=0) / np.diff(edges)
        yield (
            np.minimum.reduceat(inner, starts, axis=1).min(axis=0),
            np.maximum.reduceat(inner, starts, axis=1).max(axis=0),
            np.sqrt(power).astype(np.float32),
            _bands_db(sound, edges - edges[0] + window, window, mel),
        )


def _read(file: soundfile.SoundFile, start: int, stop: int) -> Array:
    """Samples start..stop, a row a channel, zeros where these lie outside the file."""
    inside = max(start, 0), min(stop, len(file))
    file.seek(inside[0])
    sound: Array = file.read(inside[1] - inside[0], dtype="float32", always_2d=True)
    rows = np.nan_to_num(np.ascontiguousarray(sound.T))
    return np.pad(rows, ((0, 0), (inside[0] - start, stop - inside[1])))


def _bands_db(sound: Array, edges: NDArray[np.int64], window: int, mel: Array) -> Array:
    """Mel bands (BANDS, columns) of `sound` (ch, n): up to SPECTRA spectra evenly spread over each column."""
    spectra = min(SPECTRA, math.ceil((edges[1] - edges[0]) / window))
    spread = (np.arange(spectra) + 0.5) / spectra
    centres = edges[:-1, None] + (np.diff(edges)[:, None] * spread).astype(np.int64)  # (columns, spectra)
    cut = sound[:, centres[:, :, None] + np.arange(window) - window // 2].mean(axis=0)
    shape = np.hanning(window).astype(np.float32)
    spectrum = np.fft.rfft(cut * (2 * shape / shape.sum()), axis=2)  # a full-scale sine reads 1
    power = np.mean(spectrum.real**2 + spectrum.imag**2, axis=1) @ mel.T
    bands_db: Array = (10 * np.log10(np.maximum(power.T, 1e-12))).astype(np.float32)
    return bands_db


def top_hz(rate: int) -> float:
    """Upper edge of the pictures, Hz."""
    return min(rate / 2, TOP_HZ)


def mel_share(frequency_hz: float, rate: int) -> float:
    """How far up in the picture a frequency lies, 0..1."""
    return float(hz_to_mel(frequency_hz)) / float(hz_to_mel(top_hz(rate)))


def png(bands_db: Array, top_db: float) -> str:
    """The bands as a PNG data URL: RANGE_DB below `top_db` in the colours of MAGMA, high frequencies at the top."""
    from PIL import Image

    share = np.clip((bands_db[::-1] - top_db) / RANGE_DB + 1, 0, 1)
    image = Image.fromarray((share * 255).astype(np.uint8), "L").convert("P")
    image.putpalette(colours(256).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def colour_stops(count: int = 9) -> str:
    """The colour map as stops of a CSS gradient, quiet to loud."""
    return ",".join(f"#{row.tobytes().hex()}" for row in colours(count))


def colours(count: int) -> NDArray[np.uint8]:
    """(count, 3): the colour map from quiet to loud, 8-bit RGB, within 2 of matplotlib's."""
    stops = np.frombuffer(bytes.fromhex(MAGMA), np.uint8).reshape(-1, 3)
    at = np.linspace(0, len(stops) - 1, count)
    parts = [np.interp(at, np.arange(len(stops)), stops[:, part]) for part in range(3)]
    found: NDArray[np.uint8] = np.stack(parts, axis=1).round().astype(np.uint8)
    return found


def outline(high: Array, low: Array) -> str:
    """An SVG path around an envelope: x 0..columns, y -1..1 upside down."""
    upper = " ".join(f"{x},{-y:.3f}" for x, y in enumerate(np.clip(high, -1, 1)))
    lower = " ".join(f"{x},{-y:.3f}" for x, y in reversed(list(enumerate(np.clip(low, -1, 1)))))
    return f"M{upper} L{lower}Z"


def time_ticks(seconds: float, most: int = 8) -> list[float]:
    """Round times from 0 within `seconds`, at most `most`.

    >>> time_ticks(11)
    [0, 2, 4, 6, 8, 10]
    """
    steps: list[Any] = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400]
    step = next((step for step in steps if seconds / step < most), seconds)
    return [i * step for i in range(int(seconds / step) + 1)]
