"""The watermark on real speech: found after what speech goes through, and false alarms on clean clips.

Run: python benchmarks/watermark.py
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import av
import numpy as np
import soundfile
from separation_common import SHARED, Array, machine, table

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import Perth

RATE = 24_000
CLEAN_CLIPS, CLEAN_S = 200, 3


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


def noisy(x: Array) -> Array:
    """With white noise 20 dB below."""
    noise = np.random.default_rng(0).standard_normal(x.shape) * np.sqrt(np.mean(x**2)) / 10
    return (x + noise).astype(np.float32)


WAYS: dict[str, Callable[[Array], tuple[Array, int]]] = {
    "as it is": lambda x: (x, RATE),
    "MP3, 128 kbit/s": mp3,
    "16 kHz": lambda x: (resampled(x, RATE, 16_000), 16_000),
    "8 kHz": lambda x: (resampled(x, RATE, 8_000), 8_000),
    "one second of it": lambda x: (x[2 * RATE : 3 * RATE], RATE),
    "noise at 20 dB": lambda x: (noisy(x), RATE),
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
        found = [perth.confidence(networks, *way(x)) for x in marked]
        hits = sum(value >= perth.PRESENT for value in found)
        rows.append((name, f"{hits} of {len(found)}", f"{np.median(found):.2f}", f"{min(found):.2f}"))
    table(("after", "found", "median confidence", "lowest"), rows)
    levels = [10 * np.log10(np.mean(x**2) / np.mean((y - x) ** 2)) for x, y in zip(speech, marked, strict=True)]
    print(f"the mark lies {np.median(levels):.0f} dB below the speech; {took / seconds:.3f} of real time to mark")


def main() -> None:
    """Prints the tables."""
    networks = perth.load(threads=2)
    print(machine())
    speech = readers()
    marked_rows(networks, speech[::3])
    whole, step = np.concatenate(speech), RATE * CLEAN_S
    starts = np.linspace(0, len(whole) - step, CLEAN_CLIPS).astype(int)
    clean = [perth.confidence(networks, whole[at : at + step], RATE) for at in starts]
    alarms = sum(value >= perth.PRESENT for value in clean)
    print(f"clean clips of {CLEAN_S} s: {alarms} false alarms in {len(clean)}; highest {max(clean):.2f}, "
          f"99 of 100 below {np.percentile(clean, 99):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
