"""Our speaker encoder beside the package Resemblyzer on the same clips: likeness of the embeddings, and time.

Run: pip install torch; pip install --no-deps Resemblyzer==0.1.4; python benchmarks/speaker_parity.py
"""

from __future__ import annotations

import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage
import soundfile
from separation_common import SHARED, Array, machine, table

from audio_pipeline.models.hearing import ge2e, speech

CLIPS = 10


def package() -> tuple[Any, Callable[..., Array]]:
    """The package's encoder and preparation; it names a module that newer SciPy has moved."""
    moved = types.ModuleType("scipy.ndimage.morphology")
    moved.binary_dilation = scipy.ndimage.binary_dilation  # type: ignore[attr-defined]
    sys.modules.setdefault("scipy.ndimage.morphology", moved)
    from resemblyzer import VoiceEncoder, preprocess_wav

    return VoiceEncoder("cpu", verbose=False), preprocess_wav


def timed(function: Callable[[Array], Array], x: Array) -> tuple[Array, float]:
    """The result and the milliseconds it took."""
    began = time.perf_counter()
    result = function(x)
    return result, (time.perf_counter() - began) * 1000


def main() -> None:
    """Prints a row a clip, then the medians."""
    theirs, prepare = package()
    ours = ge2e.load(threads=2)
    print(machine())
    rows, times = [], []
    for path in sorted(SHARED.glob("speech/*/*.flac"))[::3][:CLIPS]:
        x, rate = soundfile.read(path, dtype="float32", always_2d=True)
        a, a_ms = timed(theirs.embed_utterance, prepare(x.mean(axis=1), rate))
        b, b_ms = timed(ours.utterance, speech.prepare(x, rate))
        rows.append((path.stem, f"{len(x) / rate:.1f}", f"{float(np.dot(a, b)):.7f}", f"{a_ms:.0f}", f"{b_ms:.0f}"))
        times.append((a_ms, b_ms))
    table(("clip", "s", "cosine", "Resemblyzer, ms", "ours, ms"), rows)
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    print(f"medians {medians[0]:.0f} and {medians[1]:.0f} ms: ours is {medians[0] / medians[1]:.1f} times as fast")


if __name__ == "__main__":
    main()
