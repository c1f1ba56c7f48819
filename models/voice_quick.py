"""The instant fit: linear regressions from a voice's embedding, pitch and rate to a style, trained on made-up voices.

`scripts/train_voice_fit.py` draws random styles in the space of the stock voices, has Kokoro speak in them, and
regresses (ridge) the timbre half on embedding and pitch, and pitch, range and tempo on the prosody half. The file it
writes holds the axes of that space too, so a fit needs none of the stock packs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models import kokoro
from audio_pipeline.models.ge2e import SIZE, unit
from audio_pipeline.models.tensors import check_tensors, read_tensors
from audio_pipeline.models.voice_reference import Reference
from audio_pipeline.models.voice_space import HALF, Axes

Array = np.ndarray[Any, np.dtype[np.float32]]

DATA = Path(__file__).with_name("voice_fit.safetensors")
OWNER = "voice fit"
TIMBRE_AXES, MANNER_AXES = 24, 20
SLOWEST, FASTEST = 0.8, 1.25  # of Kokoro's own speed; beyond it slurs or drags
FURTHEST = 1.6  # root mean square of coordinates, in standard deviations of the stock voices
MEASURED = 3  # pitch in semitones, its spread in semitones, frames a phoneme


@dataclass(frozen=True, eq=False)
class Predicted:
    """A style (256,), how fast to speak in it, and the stock voice most like the reference."""

    style: Array
    speed: float
    nearest: str


@dataclass(frozen=True, eq=False)
class Trained:
    """What the training left."""

    timbre: Axes
    manner: Axes
    inverse: Array  # (257 + 1, 24): embedding, pitch and 1 to timbre coordinates
    forward: Array  # (20 + 1, 3): prosody coordinates and 1 to what is measured
    spread: Array  # (3,): what regression leaves unexplained of it
    pitch: Array  # (2,): mean and standard deviation in semitones, as `inverse` sees it
    syllables: float  # a second, times frames a phoneme
    stock: dict[str, Array]  # embeddings (256,) by name


def shapes(voices: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the file."""
    return {
        "timbre.mean": (HALF,), "timbre.axes": (TIMBRE_AXES, HALF),
        "manner.mean": (HALF,), "manner.axes": (MANNER_AXES, HALF),
        "inverse": (SIZE + 2, TIMBRE_AXES), "forward": (MANNER_AXES + 1, MEASURED), "spread": (MEASURED,),
        "pitch": (2,), "syllables": (1,), "stock": (voices, SIZE),
    }  # fmt: skip


@lru_cache(maxsize=1)
def trained() -> Trained:
    """The file beside this module. Raises WeightsError."""
    from safetensors import safe_open

    tensors = read_tensors(DATA)
    with safe_open(DATA, "np") as file:
        names = json.loads((file.metadata() or {}).get("voices", "[]"))
    if not names:
        raise WeightsError(f"{DATA} names no stock voices")
    check_tensors(OWNER, shapes(len(names)), tensors)
    return Trained(
        timbre=Axes(tensors["timbre.mean"], tensors["timbre.axes"]),
        manner=Axes(tensors["manner.mean"], tensors["manner.axes"]),
        stock=dict(zip(names, tensors["stock"], strict=True)),
        syllables=float(tensors["syllables"][0]),
        **{name: tensors[name] for name in ("inverse", "forward", "spread", "pitch")},
    )


def predict(reference: Reference) -> Predicted:
    """The style by regression, in milliseconds."""
    data = trained()
    timbre, manner = timbre_of(data, reference), manner_of(data, reference)
    style = np.concatenate([data.timbre.style(timbre), data.manner.style(manner)])
    return Predicted(style, speed_of(data, manner, reference), nearest_stock(reference.embedding))


def nearest_stock(embedding: Array) -> str:
    """Of the stock voices that are here and were measured. Raises ConfigError where there is none."""
    known = {name: value for name, value in trained().stock.items() if name in kokoro.voice_names()}
    if not known:
        raise ConfigError("voice fit: no stock voice of Kokoro is here (audio-pipeline models fetch kokoro)")
    return max(known, key=lambda name: float(unit(known[name]) @ embedding))


def timbre_of(data: Trained, reference: Reference) -> Array:
    """Coordinates (24,) of the first half."""
    mean, spread = data.pitch
    semitones = (12 * np.log2(reference.pitch_hz) - mean) / spread
    seen = np.concatenate([reference.embedding, [semitones, 1.0]]).astype(np.float32)
    return within(seen @ data.inverse)


def manner_of(data: Trained, reference: Reference) -> Array:
    """Coordinates (20,) of the second half: the likeliest that have this pitch and range."""
    wanted = np.array([12 * np.log2(reference.pitch_hz), reference.pitch_sd])
    rows = (data.forward[:-1, :2] / data.spread[:2]).T
    missing = (wanted - data.forward[-1, :2]) / data.spread[:2]
    found: Array = rows.T @ np.linalg.solve(rows @ rows.T + np.eye(2), missing)
    return within(found.astype(np.float32))


def speed_of(data: Trained, manner: Array, reference: Reference) -> float:
    """How much faster or slower than by itself a voice must speak for the reference's rate."""
    frames = float(np.append(manner, 1.0) @ data.forward[:, 2])
    return float(np.clip(reference.syllables_a_second * frames / data.syllables, SLOWEST, FASTEST))


def within(coordinates: Array) -> Array:
    """Brought back towards the mean voice where they lie further out than any voice should."""
    size = float(np.sqrt(np.mean(np.square(coordinates))))
    return coordinates * min(1.0, FURTHEST / size) if size else coordinates
