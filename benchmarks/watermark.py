"""The watermark on real speech, by the rule of `audio-pipeline detect`: found after what speech goes through.

False alarms are counted by benchmarks/watermark_alarms.py. Run: python benchmarks/watermark.py [READINGS]
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from functools import cache

import av
import numpy as np
import soundfile
from separation_common import SHARED, Array, machine, table

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.hearing import mark, perth
from audio_pipeline.models.hearing.perth import Perth

RATE = 24_000
LONG_S, MARKED_S = 600, 3


def mp3(x: Array) -> tuple[Array, int]:
    """Through MP3 at 128 kbit/s and back."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as out:
        stream = out.add_stream("mp3", rate=RATE, layout="mono", bit_rate=128_000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x.T), "fltp", "mono")
        frame.rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    found: tuple[Array, int] = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32", always_2d=True)
    return found


def noisy(x: Array, snr_db: float) -> Array:
    """With white noise so far below."""
    noise = np.random.default_rng(0).standard_normal(x.shape) * np.std(x) * 10 ** (-snr_db / 20)
    return (x + noise).astype(np.float32)


@cache
def song() -> Array:
    """A band (samples, 1)."""
    x, rate = soundfile.read(SHARED / "song_cc0" / "accompaniment.flac", dtype="float32", always_2d=True)
    return resampled(x.mean(axis=1, keepdims=True), rate, RATE)[5 * RATE :]


def with_music(x: Array, music_db: float) -> Array:
    """With a band so far over the voice."""
    band = np.resize(song(), x.shape)
    return (x + band * np.std(x) / np.std(band) * 10 ** (music_db / 20)).astype(np.float32)


WAYS: dict[str, Callable[[Array], tuple[Array, int]]] = {
    "as it is": lambda x: (x, RATE),
    "MP3, 128 kbit/s": mp3,
    "16 kHz": lambda x: (resampled(x, RATE, 16_000), 16_000),
    "8 kHz": lambda x: (resampled(x, RATE, 8_000), 8_000),
    "one second of it": lambda x: (x[2 * RATE : 3 * RATE], RATE),
    "two seconds of it": lambda x: (x[2 * RATE : 4 * RATE], RATE),
    "noise at 20 dB": lambda x: (noisy(x, 20), RATE),
    "noise at 10 dB": lambda x: (noisy(x, 10), RATE),
    "a band at -12 dB": lambda x: (with_music(x, -12), RATE),
    "a band at -6 dB": lambda x: (with_music(x, -6), RATE),
    "opposite phase on two sides": lambda x: (x * np.float32([1, -1]), RATE),
    "50 dB softer": lambda x: (x * np.float32(10**-2.5), RATE),
    "1 % faster": lambda x: (resampled(x, RATE, RATE * 100 // 101), RATE),
    "6 % faster": lambda x: (resampled(x, RATE, RATE * 100 // 106), RATE),
}


def readers() -> list[Array]:
    """All reference speech (samples, 1) at 24 kHz, one array a file."""
    files = sorted(SHARED.glob("speech/*/*.flac"))
    found = [soundfile.read(path, dtype="float32", always_2d=True) for path in files]
    return [resampled(x, rate, RATE) for x, rate in found if len(x) > 3.5 * rate]


def marked_rows(networks: Perth, speech: list[Array]) -> None:
    began, seconds = time.perf_counter(), sum(len(x) for x in speech) / RATE
    marked = [perth.marked(networks, x, RATE) for x in speech]
    took = time.perf_counter() - began
    rows = []
    for name, way in WAYS.items():
        hits = sum(mark.sought(networks, *way(x)).marked for x in marked)
        alone = sum(perth.confidence(networks, *way(x)) >= perth.PRESENT for x in marked)
        rows.append((name, f"{hits} of {len(marked)}", f"{alone} of {len(marked)}"))
    table(("after", "found", "Perth's own decoder at 0.5"), rows)
    levels = [10 * np.log10(np.mean(x**2) / np.mean((y - x) ** 2)) for x, y in zip(speech, marked, strict=True)]
    print(f"the mark lies {np.median(levels):.0f} dB below the speech; {took / seconds:.3f} of real time to mark")


def main() -> None:
    """Prints the tables."""
    networks = perth.load(threads=2)
    print(machine())
    speech = readers()
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    marked_rows(networks, speech[:: max(len(speech) // wanted, 1)][:wanted])
    localised(networks, np.concatenate(speech * 2)[: LONG_S * RATE])


def localised(networks: Perth, x: Array) -> None:
    """Three marked seconds of ten minutes, at ten places."""
    hits = shown = 0
    for at in np.linspace(10, LONG_S - 10, 10).astype(int) * RATE:
        y, span = x.copy(), slice(at, at + MARKED_S * RATE)
        y[span] = perth.marked(networks, x[span], RATE)
        verdict = mark.sought(networks, y, RATE)
        hits += verdict.marked
        shown += any(start < at / RATE + MARKED_S and end > at / RATE for start, end in verdict.parts)
    print(f"{MARKED_S} marked seconds of {LONG_S} s: found {hits} of 10 times, shown where they are {shown} times")


if __name__ == "__main__":
    main()
