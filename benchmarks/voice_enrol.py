"""From a recording to a voice, for eight readers: how long it takes, and how alike the voice is.

Run: python benchmarks/voice_enrol.py
"""

from __future__ import annotations

import statistics
import time

import soundfile
from separation_common import SHARED, Array, machine, table
from voice_samples import READERS

from audio_pipeline.cli.voices_enrol import load_tools
from audio_pipeline.models.hearing.ge2e import similarity
from audio_pipeline.models.voices import enrol
from audio_pipeline.models.voices.enrol import TEXTS
from audio_pipeline.models.voices.inspection import inspect
from audio_pipeline.models.voices.reference import embedding

SECONDS = 10


def read(reader: str, number: int) -> tuple[Array, int]:
    """Up to ten seconds (samples, 1) of a reader."""
    path = sorted((SHARED / "speech" / reader).glob("*.flac"))[number]
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return x[: SECONDS * rate], rate


def main() -> None:
    """Print a row a reader, and the medians."""
    print(machine())
    began = time.perf_counter()
    tools = load_tools()
    print(f"loading the networks: {time.perf_counter() - began:.1f} s")
    others = {reader: embedding(tools.encoder, read(reader, 1)[0][:, 0], read(reader, 1)[1]) for reader in READERS}
    rows, numbers = [], []
    for reader in READERS:
        began = time.perf_counter()
        inspected = inspect(*read(reader, 0), "", encoder=tools.encoder)
        draft = enrol.enrol(inspected, reader, None, "", tools)
        took = time.perf_counter() - began
        known = draft.record.likeness
        fit = enrol.Fit(draft.pack, draft.record.speed, draft.record.british, "", "quick")
        said = embedding(tools.encoder, *enrol.synthesise(fit, TEXTS[-1], tools.speaker))
        foreign = max(similarity(said, other) for name, other in others.items() if name != reader)
        own = similarity(said, others[reader])
        numbers.append((took, known.voice, known.nearest, known.ceiling or 0.0, own, foreign))
        rows.append((reader, f"{took:.1f} s", *(f"{value:.2f}" for value in numbers[-1][1:])))
    middle = [statistics.median(column) for column in zip(*numbers, strict=True)]
    rows.append(("median", f"{middle[0]:.1f} s", *(f"{value:.2f}" for value in middle[1:])))
    head = ("reader", "time", "voice", "nearest stock", "ceiling", "to another clip", "to the nearest other reader")
    table(head, rows)


if __name__ == "__main__":
    main()
