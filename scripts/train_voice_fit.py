"""Train the quick fit on the pairs of `scripts/voice_pairs.py` and write what `models/voices/quick.py` reads.

Run: AUDIO_PIPELINE_MODELS=... python scripts/train_voice_fit.py pairs.npz
The stock voices are measured anew (two sentences each, some minutes on a CPU); the rest takes seconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from audio_pipeline.dsp.syllables import rate_of
from audio_pipeline.models.hearing import ge2e, speech
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.voices import quick as voice_quick
from audio_pipeline.models.voices.quick import DATA, MANNER_AXES, TIMBRE_AXES
from audio_pipeline.models.voices.reference import embedding
from audio_pipeline.models.voices.space import HALF, principal, steady
from audio_pipeline.models.voices.texts import SEARCH

Array = np.ndarray[Any, np.dtype[np.float32]]

HELD_OUT = 0.1
EAR_RIDGE, MANNER_RIDGE = 100.0, 3.0


def ridge(x: Array, y: Array, strength: float) -> Array:
    """(features + 1, outputs): the last row is the constant, which is not held back."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean_x
    weights = np.linalg.solve(centred.T @ centred + strength * np.eye(x.shape[1]), centred.T @ (y - mean_y))
    return np.concatenate([weights, (mean_y - mean_x @ weights)[None]]).astype(np.float32)


def explained(x: Array, y: Array, weights: Array) -> Array:
    """Share of the variance (outputs,)."""
    rest = y - x @ weights[:-1] - weights[-1]
    share: Array = 1 - np.square(rest).mean(axis=0) / y.var(axis=0)
    return share


def measured(names: list[str], frames: Array) -> tuple[Array, float]:
    """Embeddings (voices, 256), and syllables a second times the frames a phoneme (voices,) that are foretold."""
    speaker, encoder = kokoro.load(), ge2e.load()
    found, products = [], []
    for name, own in zip(names, frames, strict=True):
        pack, looks = kokoro.load_pack(name), []
        for text in SEARCH[::12]:
            phonemes = to_phonemes(text)
            sound = speaker.synthesise(phonemes, kokoro.row(pack, len(phonemes)))
            spoken = speech.prepare(sound[:, None], kokoro.RATE)
            looks.append(embedding(encoder, sound, kokoro.RATE))
            products.append(rate_of(spoken, speech.RATE) * own)
        found.append(ge2e.unit(np.mean(looks, axis=0)))
    return np.stack(found), float(np.round(2 * np.median(products)) / 2)  # two sentences a voice know it no better


def main() -> None:
    """Writes the file and prints how much of the held-out pairs each regression explains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--out", type=Path, default=DATA)
    args = parser.parse_args()
    names = kokoro.voice_names()
    styles = np.stack([steady(kokoro.load_pack(name)) for name in names])
    timbre, manner = principal(styles[:, :HALF], TIMBRE_AXES), principal(styles[:, HALF:], MANNER_AXES)
    with np.load(args.pairs) as file:
        pairs = {field: file[field] for field in file.files}
    semitones = 12 * np.log2(pairs["pitch_hz"])
    pitch = np.array([semitones.mean(), semitones.std()], np.float32)
    timbres, manners = (
        axes.coordinates(half) for axes, half in zip((timbre, manner), np.split(pairs["style"], 2, axis=1), strict=True)
    )
    seen = voice_quick.seen(timbres, (semitones[:, None] - pitch[0]) / pitch[1])
    measures = np.c_[semitones, pairs["pitch_sd"], pairs["frames_a_sign"]]
    train = np.arange(len(seen)) >= HELD_OUT * len(seen)
    ear = ridge(seen[train], pairs["embedding"][train], EAR_RIDGE)
    forward = ridge(manners[train], measures[train], MANNER_RIDGE)
    foretold = ge2e.unit(seen[~train] @ ear[:-1] + ear[-1])
    print(f"{train.sum()} pairs; of {np.sum(~train)} held out:")
    for name, guess in (("foretold", foretold), ("mean voice", ge2e.unit(pairs["embedding"].mean(axis=0))[None])):
        print(
            f"  cosine of {name} and measured embedding {np.sum(guess * pairs['embedding'][~train], axis=1).mean():.3f}"
        )
    print("  explained of pitch, range, tempo", np.round(explained(manners[~train], measures[~train], forward), 2))
    rest = measures[train] - manners[train] @ forward[:-1] - forward[-1]
    stock, syllables = measured(names, manner.coordinates(styles[:, HALF:]) @ forward[:-1, 2] + forward[-1, 2])
    print(f"  syllables a second times frames a phoneme: {syllables:.2f}")
    tensors = {
        "timbre.mean": timbre.mean,
        "timbre.axes": timbre.axes,
        "manner.mean": manner.mean,
        "manner.axes": manner.axes,
        "ear": ear,
        "forward": forward,
        "spread": rest.std(axis=0).astype(np.float32),
        "pitch": pitch,
        "syllables": np.array([syllables], np.float32),
        "stock": stock.astype(np.float32),
    }
    assert {name: value.shape for name, value in tensors.items()} == voice_quick.shapes(len(names))
    save_file(tensors, args.out, {"voices": json.dumps(names)})


if __name__ == "__main__":
    main()
