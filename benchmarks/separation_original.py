"""Our separation beside the original package, both as nodes of one graph: how far their stems differ.

Run: make spleeter; python benchmarks/separation_original.py [SONG]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import soundfile
from separation_common import ROOT, SHARED, Array, agreement_db, machine, read, table

from audio_pipeline import Options, Pipeline

STEMS = ("vocals", "accompaniment")
REFERENCE = SHARED / "spleeter_official" / "mixture.flac"


def stems_of(song: Path, folder: Path) -> dict[str, Array]:
    """What the graph recorded: `ours_vocals`, `original_vocals` and so on, (samples, 2)."""
    config, overrides = ROOT / "examples" / "compare_spleeter.yaml", {"nodes.song.path": song}
    with Pipeline.load(config, overrides, Options(offline=True, folder=folder, report=False)) as pipeline:
        pipeline.wait()
    return {path.stem: soundfile.read(path, dtype="float32", always_2d=True)[0] for path in folder.glob("*.wav")}


def main() -> None:
    """Prints the table."""
    song = Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE
    print(machine())
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = stems_of(song, Path(folder))
    print(f"{song.name}: both in {time.perf_counter() - began:.0f} s, TensorFlow's start included")
    rows = []
    for stem in STEMS:
        ours, original = found[f"ours_{stem}"], found[f"original_{stem}"]
        row: list[object] = [stem, len(ours), f"{agreement_db(original, ours):.1f}"]
        if song == REFERENCE:
            official = read(f"spleeter_official/{stem}.wav")
            row.append(f"{agreement_db(official, original[: len(official)]):.1f}")
        rows.append(row)
    head = ["stem", "samples", "ours against the original, dB"]
    table(head + (["original against its published file, dB"] if song == REFERENCE else []), rows)


if __name__ == "__main__":
    main()
