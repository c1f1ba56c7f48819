"""What `voices enrol` makes of recordings whose truth is known: readers alone, in pairs, under music; songs.

Run: python benchmarks/voice_samples.py
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import soundfile
from separation_common import SHARED, Array, machine, table

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.voices.advice import findings, refusals
from audio_pipeline.models.voices.inspection import inspect
from audio_pipeline.models.voices.record import Sample

RATE = 16_000
LONGEST_S = 20
READERS = ("1688", "1998", "200", "2384", "2609", "3005", "3080", "533")
SONGS = ("10", "12", "19", "24", "26", "41", "45", "48")


def read(name: str) -> tuple[Array, int]:
    """Mono sound (samples,) of a reference file."""
    x, rate = soundfile.read(SHARED / name, dtype="float32", always_2d=True)
    return x.mean(axis=1), rate


def under(x: Array, other: Array, db: float) -> Array:
    """x with another sound, at so many dB beside it."""
    other = np.resize(other, len(x))
    return (x + other * np.sqrt(np.mean(x**2) / np.mean(other**2)) * 10 ** (db / 20)).astype(np.float32)


def by_telephone(x: Array) -> Array:
    """x at 8 kHz and back."""
    found: Array = resampled(resampled(x[:, None], RATE, 8_000), 8_000, RATE)[:, 0]
    return found


def main() -> None:
    """Print a row a kind of recording."""
    encoder = ge2e.load()

    def look(x: Array, rate: int = RATE) -> Sample:
        return inspect(x[: LONGEST_S * rate, None], rate, "", encoder=encoder).sample

    clips = {
        name: [read(f"speech/{name}/{path.name}")[0] for path in sorted((SHARED / "speech" / name).glob("*.flac"))]
        for name in READERS
    }
    music = resampled(read("song_cc0/accompaniment.flac")[0][10 * 44_100 :, None], 44_100, RATE)[:, 0]
    hiss = np.random.default_rng(0).standard_normal(LONGEST_S * RATE)
    firsts = [own[0] for own in clips.values()]
    pairs = list(combinations(READERS, 2))
    songs = [(read(f"singing/{name}/mixture.flac"), read(f"singing/{name}/voice.flac")[0]) for name in SONGS]
    kinds = {
        "a reader": [look(x) for own in clips.values() for x in own],
        "a reader, all clips": [look(np.concatenate([x[: 5 * RATE] for x in own])) for own in clips.values()],
        **{
            f"two readers, {s} s each": [
                look(np.concatenate([clips[a][0][: s * RATE], clips[b][-1][: s * RATE]])) for a, b in pairs
            ]
            for s in (3, 5)
        },
        **{
            f"a reader, a band at {db:+.0f} dB": [look(under(x, music, db)) for x in firsts] for db in (-20, -10, -5, 0)
        },
        **{f"a reader, white noise at {db:+.0f} dB": [look(under(x, hiss, db)) for x in firsts] for db in (-20, -10)},
        "a reader, 12 dB too loud": [look(np.clip(x / np.max(np.abs(x)) * 4, -1, 1)) for x in firsts],
        "a reader by telephone": [look(by_telephone(x)) for x in firsts],
        "a song": [look(x, rate) for (x, rate), _ in songs],
        "a band": [look(x - voice, rate) for (x, rate), voice in songs],
    }
    print(machine())
    head = ("recording", "clips", "used", "music", "second voice", "noise", "clipping", "bandwidth")
    table(head, [(name, *row(samples)) for name, samples in kinds.items()])


def row(samples: list[Sample]) -> tuple[str, ...]:
    """How many of them were taken for what."""
    lacks = [{found.what for found in findings(sample) if found.advice} for sample in samples]
    counts = (
        len(samples),
        sum(not refusals(sample) for sample in samples),
        sum("music" in lack for lack in lacks),
        sum(sample.second_voice and not sample.separated for sample in samples),
        *(sum(what in lack for lack in lacks) for what in ("noise", "clipping", "bandwidth")),
    )
    return tuple(map(str, counts))


if __name__ == "__main__":
    main()
