"""How well one take is told from another: the sample changed in several ways, and other clips of the same reader.

Run: python benchmarks/voice_takes.py
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import soundfile
from separation_common import SHARED, Array, machine, table

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.dsp.same_take import (
    HOP_S,
    LOUDNESS_BLOCKS,
    LOUDNESS_HOP,
    PIECE_S,
    RATE,
    likest,
    loudness,
    same_take,
)

CLIP_RATE = 16_000
LONGEST_S = 15
Change = Callable[[Array], Array]


def encoded(kind: str) -> Change:
    """Through a codec and back."""

    def through(x: Array) -> Array:
        buffer = io.BytesIO()
        soundfile.write(buffer, x, CLIP_RATE, format=kind)
        buffer.seek(0)
        found: Array = soundfile.read(buffer, dtype="float32")[0]
        return found

    return through


def noisy(x: Array) -> Array:
    """With white noise, 10 dB under it."""
    noise = np.random.default_rng(0).standard_normal(len(x)) * np.std(x) * 10 ** (-10 / 20)
    return (x + noise).astype(np.float32)


def faster(share: float) -> Change:
    """Read at other places, so that pitch and pace rise together."""
    return lambda x: np.interp(np.arange(0, len(x) - 1, 1 + share), np.arange(len(x)), x).astype(np.float32)


CHANGES: dict[str, Change] = {
    "MP3": encoded("MP3"),
    "Ogg Vorbis": encoded("OGG"),
    "noise at -10 dB": noisy,
    "3 s cut out": lambda x: x[2 * CLIP_RATE + 123 : 5 * CLIP_RATE + 123],
    "2 % faster": faster(0.02),
    "5 % faster": faster(0.05),
}


def both(a: Array, b: Array) -> tuple[float, float, bool]:
    """The largest correlation of waveform and of loudness, and what is made of them."""
    x, y = (resampled(one[:, None], CLIP_RATE, RATE)[:, 0].astype(np.float64) for one in (a, b))
    wave = likest(x, y, round(PIECE_S * RATE), round(HOP_S * RATE))
    course = likest(loudness(x), loudness(y), LOUDNESS_BLOCKS, LOUDNESS_HOP)
    return wave, course, same_take(a, CLIP_RATE, b, CLIP_RATE)


def row(name: str, found: list[tuple[float, float, bool]]) -> tuple[str, ...]:
    """Pairs, range of both, and how many count as one take."""
    waves, courses, same = zip(*found, strict=True)
    spans = (f"{min(values):.2f} to {max(values):.2f}" for values in (waves, courses))
    return (name, str(len(found)), *spans, str(sum(same)))


def main() -> None:
    """Print a row a change, and one of clips that are others."""
    folders = [sorted(folder.glob("*.flac")) for folder in sorted((SHARED / "speech").iterdir())]
    clips = [[soundfile.read(path, dtype="float32")[0][: LONGEST_S * CLIP_RATE] for path in own] for own in folders]
    rows = [row(name, [both(own[0], change(own[0])) for own in clips]) for name, change in CHANGES.items()]
    others = [both(a, b) for own in clips for a in own for b in own if a is not b]
    rows.append(row("another clip of the reader", others))
    rows.append(row("a clip of another reader", [both(a[0], b[0]) for a, b in zip(clips, clips[1:], strict=False)]))
    print(machine())
    table(("compared", "pairs", "waveform", "loudness", "one take"), rows)


if __name__ == "__main__":
    main()
