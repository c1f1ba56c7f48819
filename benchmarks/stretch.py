"""Tempo without pitch: ours beside librosa, Signalsmith and Rubber Band, by the distance to an ideal rendering.

    python benchmarks/stretch.py            ours and librosa
    python benchmarks/stretch.py --peers    also Signalsmith (one shot) and Rubber Band R3 (real time)

Drums, a chord and both together are made at the tempo asked for: a hit keeps its length and only its place moves, a
chord lasts longer. The distance is that of log spectra (RMS over the bins, mean over frames of 1,024 samples, of 4,096
for the chord), at the best lag of up to 30 ms. CPU is for a second of stereo, on one core.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.stretch import Stretch

RATE, SECONDS, BLOCK = 44_100, 8.0, 441
SPEEDS = (0.8, 1.25)
FLOOR_DB, SPAN, STEP = -60.0, 1_400, 100
PEERS = ("python-stretch==0.3.1", "pylibrb==0.1.2", "numpy>=2")
HERE = Path(__file__).resolve().parent

Signal = NDArray[np.float64]
Way = Callable[[Signal, float], tuple[Signal, float]]  # the sound at a speed, and CPU seconds


def drums(speed: float) -> Signal:
    """Bass drum, hat, snare, hat, every 0.14 to 0.17 s; always the same ones."""
    kinds = [_hit(kind, np.random.default_rng(kind)) for kind in range(3)]
    rng, out, at = np.random.default_rng(5), np.zeros(round(SECONDS * RATE / speed) + RATE), 0.1
    for number in range(10_000):
        if at >= SECONDS - 0.3:
            break
        hit, first = kinds[(0, 2, 1, 2)[number % 4]], round(at / speed * RATE)
        out[first : first + len(hit)] += (0.25 + 0.25 * rng.random()) * hit
        at += 0.14 + 0.03 * rng.random()
    return out[: round(SECONDS * RATE / speed)]


def _hit(kind: int, rng: np.random.Generator) -> Signal:
    t = np.arange(RATE // 4) / RATE
    if kind == 0:
        return np.asarray(np.sin(2 * np.pi * (50 * t + 2 * (1 - np.exp(-30 * t)))) * np.exp(-18 * t))
    noise = rng.standard_normal(len(t))
    if kind == 1:
        return np.asarray(0.6 * noise * np.exp(-28 * t) + 0.4 * np.sin(2 * np.pi * 190 * t) * np.exp(-25 * t))
    return np.asarray(0.2 * np.diff(noise, 2, prepend=[0, 0]) * np.exp(-60 * t))


def chord(speed: float) -> Signal:
    """Four tones with eight partials each, that swell and fade every two seconds."""
    t = np.arange(round(SECONDS * RATE / speed)) / RATE
    tones = sum(np.sin(2 * np.pi * f * h * t + f * h) / h for f in (220.0, 277.2, 329.6, 440.3) for h in range(1, 9))
    return np.asarray(0.08 * tones * (0.6 + 0.4 * np.cos(np.pi * t * speed)))


def distance(x: Signal, ideal: Signal, frame: int) -> float:
    """Of log spectra, in dB, at the best lag."""
    span = SPAN if frame == 1024 else 0
    lags = range(-span, span + 1, STEP)
    return min(_distance(x[span + lag : len(x) - span + lag], ideal[span : len(ideal) - span], frame) for lag in lags)


def _distance(x: Signal, ideal: Signal, frame: int) -> float:
    n = min(len(x), len(ideal))
    one, two = _magnitudes(x[:n], frame), _magnitudes(ideal[:n], frame)
    floor = one.max() * 10 ** (FLOOR_DB / 20)
    off = 20 * np.log10(np.maximum(one, floor) / np.maximum(two, floor))
    return float(np.sqrt((off**2).mean(axis=1)).mean())


def _magnitudes(x: Signal, frame: int) -> Signal:
    pieces = np.lib.stride_tricks.sliding_window_view(x, frame)[::256] * np.hanning(frame)
    return np.asarray(np.abs(np.fft.rfft(pieces, axis=1)))


def ours(onsets_at: int | None) -> Way:
    """In blocks of 10 ms."""

    def way(x: Signal, speed: float) -> tuple[Signal, float]:
        made, stereo, began = Stretch(2, speed, onsets_at=onsets_at), _stereo(x), time.process_time()
        parts = [made.process(stereo[at : at + BLOCK]) for at in range(0, len(stereo), BLOCK)]
        y = np.concatenate([*parts, made.flush()])
        return y[:, 0].astype(np.float64), time.process_time() - began

    return way


def librosa_way(x: Signal, speed: float) -> tuple[Signal, float]:
    """The whole sound at once."""
    import librosa

    librosa.effects.time_stretch(_stereo(x[:RATE]).T, rate=speed, n_fft=4096)
    began = time.process_time()
    y = librosa.effects.time_stretch(_stereo(x).T, rate=speed, n_fft=4096)
    return y[0].astype(np.float64), time.process_time() - began


def peer(python: Path, name: str) -> Way:
    """A stretcher that lives in another environment."""

    def way(x: Signal, speed: float) -> tuple[Signal, float]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.npy", Path(folder) / "out.npy"
            np.save(source, _stereo(x))
            command = [python, HERE / "stretch_peers" / "peers.py", name, str(speed), source, target]
            cpu_s = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
            return np.load(target)[:, 0].astype(np.float64), cpu_s

    return way


def peers_python(folder: Path) -> Path:
    """The interpreter that has the peers, in an environment that is made once."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        print(f"fetching {', '.join(PEERS[:2])} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS], check=True)
    return python


def _stereo(x: Signal) -> NDArray[np.float32]:
    return np.repeat(x[:, None], 2, axis=1).astype(np.float32)


def _row(name: str, way: Way) -> str:
    signals = ((drums, 1024), (lambda speed: drums(speed) + chord(speed), 1024), (chord, 4096))
    cells, cpu = [], 0.0
    for make, frame in signals:
        found = []
        for speed in SPEEDS:
            y, cpu_s = way(make(1.0), speed)
            found.append(distance(y, make(speed), frame))
            cpu = max(cpu, cpu_s)
        cells.append(" / ".join(f"{db:.2f}" for db in found))
    return f"| {name} | {' | '.join(cells)} | {1000 * cpu / SECONDS:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="beside Signalsmith and Rubber Band as well")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "audio-pipeline" / "envs" / "stretch")
    wanted = parser.parse_args()
    ways = {"ours, plain": ours(None), "ours, onsets kept": ours(RATE), "librosa": librosa_way}
    if wanted.peers:
        python = peers_python(wanted.folder)
        ways |= {"Signalsmith, one shot": peer(python, "signalsmith"), "Rubber Band R3": peer(python, "rubberband")}
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; dB at x0.8 / x1.25")
    print("| | drums | drums and chord | chord | ms CPU a second |\n| --- | --- | --- | --- | --- |")
    for name, way in ways.items():
        print(_row(name, way), flush=True)


if __name__ == "__main__":
    main()
