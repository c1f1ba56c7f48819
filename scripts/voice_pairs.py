"""Collect pairs of style and speaker embedding for the quick fit: random voices in the space of the stock voices.

Run: AUDIO_PIPELINE_MODELS=... python scripts/voice_pairs.py pairs.npz --count 1500
Each pair is 1.65 s of one of the search texts; a file that is there is continued. About a second a pair and core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio_pipeline.models.hearing.ge2e_torch import SpeakerEncoderTorch
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.kokoro_torch import KokoroTorch, Text
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.voices.space import HALF, principal, steady
from audio_pipeline.models.voices.texts import SEARCH
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.tensors import FILE

Array = np.ndarray[Any, np.dtype[np.float32]]

FRAMES = 66  # of 25 ms: one look of the encoder
LEVEL = 10 ** (-26 / 20)
FIELDS = ("style", "embedding", "pitch_hz", "pitch_sd", "frames_a_sign")


def random_half(halves: Array, rng: np.random.Generator) -> Array:
    """A mix of a few voices, stretched away from the mean, or a point of their normal distribution."""
    space = principal(halves, min(24, len(halves) - 1))
    if rng.random() < 0.35:
        return space.style(rng.standard_normal(len(space.axes)).astype(np.float32))
    some = rng.choice(len(halves), size=min(int(rng.integers(1, 5)), len(halves)), replace=False)
    mix = rng.dirichlet(np.ones(len(some))) @ halves[some]
    jitter = space.style(0.4 * rng.standard_normal(len(space.axes)).astype(np.float32)) - space.mean
    return np.asarray(space.mean + (mix - space.mean) * rng.uniform(0.8, 1.5) + jitter, np.float32)


class Collector:
    """Draws, speaks and measures."""

    def __init__(self) -> None:
        folder = store.path("kokoro", kokoro.MODEL).parent
        self.speaker, self.encoder = KokoroTorch(folder), SpeakerEncoderTorch(store.path("ge2e", FILE))
        self.texts: list[Text] = [self.speaker.text(to_phonemes(text)) for text in SEARCH]
        self.styles = np.stack([steady(kokoro.load_pack(name)) for name in kokoro.voice_names()])

    @torch.no_grad()
    def draw(self, rng: np.random.Generator) -> dict[str, Array]:
        """One pair; the two halves are drawn apart, so that timbre and pitch are told apart."""
        style = np.concatenate([random_half(self.styles[:, :HALF], rng), random_half(self.styles[:, HALF:], rng)])
        return self.measure(style, rng)

    @torch.no_grad()
    def measure(self, style: Array, rng: np.random.Generator) -> dict[str, Array]:
        text = self.texts[rng.integers(len(self.texts))]
        timbre, manner = torch.from_numpy(style[None, :HALF]), torch.from_numpy(style[None, HALF:])
        prosody = self.speaker.prosody(text, manner)
        frames = int(prosody.durations.sum())
        first = int(rng.integers(10, max(11, frames - FRAMES - 12)))
        part, fine = slice(first, first + FRAMES), slice(2 * first, 2 * (first + FRAMES))
        sounds = text.sounds.repeat_interleave(prosody.durations, dim=2)[:, :, part]
        with torch.autocast("cpu", torch.bfloat16):
            sound = self.speaker.decode(sounds, prosody.pitch[:, fine], prosody.energy[:, fine], timbre)
        sound = sound.float() * (LEVEL / sound.float().square().mean().sqrt())
        voiced = prosody.pitch[prosody.pitch > 40].log2() * 12
        found = (
            style,
            self.encoder(sound)[0].numpy(),
            2 ** (voiced.median() / 12),
            voiced.std(),
            prosody.durations[1:-1].float().mean(),
        )
        return dict(zip(FIELDS, (np.asarray(value, np.float32) for value in found), strict=True))


def save(path: Path, rows: list[dict[str, Array]]) -> None:
    beside = path.with_suffix(".part.npz")
    fields: dict[str, Any] = {field: np.stack([row[field] for row in rows]) for field in FIELDS}
    np.savez(beside, **fields)
    os.replace(beside, path)


def main() -> None:
    """Adds pairs until there are `--count`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=1500)
    args = parser.parse_args()
    collector, rows = Collector(), []
    if args.file.exists():
        with np.load(args.file) as old:
            rows = [{field: old[field][i] for field in FIELDS} for i in range(len(old["style"]))]
    began, had = time.monotonic(), len(rows)
    while len(rows) < args.count:
        rows.append(collector.draw(np.random.default_rng(len(rows))))
        if len(rows) % 20 == 0 or len(rows) == args.count:
            save(args.file, rows)
            pace = (time.monotonic() - began) / (len(rows) - had)
            print(f"{len(rows)} pairs, {pace:.2f} s each", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
