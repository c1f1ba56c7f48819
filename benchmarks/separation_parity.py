"""Offline mode against what official Spleeter 2.4.2 (TensorFlow 2.12.1) made of the same clip.

python benchmarks/separation_parity.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from separation_common import agreement_db, machine, read, table, two_stems

from audio_pipeline.models.separation.engines import ways_here
from audio_pipeline.models.separation.stream import separate


def rows() -> Iterator[tuple[str, ...]]:
    """Agreement and the largest single error of each stem, by engine and precision."""
    sound = read("spleeter_official/mixture.flac")
    for way in ways_here():
        for stem, samples in separate(two_stems(way.precision, way.engine), sound).items():
            official = read(f"spleeter_official/{stem}.wav")
            peak_db = 20 * np.log10(np.abs(samples - official).max())
            yield str(way), stem, f"{agreement_db(official, samples):.1f} dB", f"{peak_db:.1f} dBFS"


if __name__ == "__main__":
    print(machine() + "\n")
    table(["engine", "stem", "agreement with the official output", "largest error of a sample"], rows())
