"""The instant fit: what GE2E would hear in a style, foretold without speaking, and turned round.

`scripts/voice_pairs.py` has Kokoro speak in random styles from the space of the stock voices, and
`scripts/train_voice_fit.py` regresses (ridge) the embedding on timbre and pitch, and pitch, range and tempo on the
prosody half. A fit takes the likeliest prosody with the reference's pitch and range, then the timbre whose foretold
embedding is most like the reference's. The file holds the axes of that space too, so no stock pack is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.hearing.ge2e import SIZE, unit
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.voices.adam import State
from audio_pipeline.models.voices.reference import Reference
from audio_pipeline.models.voices.space import HALF, Axes
from audio_pipeline.models.weights.tensors import check_tensors, read_tensors

Array = np.ndarray[Any, np.dtype[np.float32]]

DATA = Path(__file__).with_name("fit.safetensors")
OWNER = "voice fit"
TIMBRE_AXES, MANNER_AXES = 24, 20
SLOWEST, FASTEST = 0.8, 1.25  # of Kokoro's own speed; beyond it slurs or drags
FURTHEST = 1.6  # root mean square of coordinates, in standard deviations of the stock voices
STEPS, RATE, PRIOR = 300, 0.05, 0.02
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
    ear: Array  # (74 + 1, 256): `seen` of timbre and pitch, and 1, to an embedding that is not scaled
    forward: Array  # (20 + 1, 3): prosody coordinates and 1 to what is measured
    spread: Array  # (3,): what regression leaves unexplained of it
    pitch: Array  # (2,): mean and standard deviation in semitones, as `ear` sees it
    syllables: float  # a second, times frames a phoneme
    stock: dict[str, Array]  # embeddings (256,) by name


def shapes(voices: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of the file."""
    return {
        "timbre.mean": (HALF,),
        "timbre.axes": (TIMBRE_AXES, HALF),
        "manner.mean": (HALF,),
        "manner.axes": (MANNER_AXES, HALF),
        "ear": (3 * TIMBRE_AXES + 3, SIZE),
        "forward": (MANNER_AXES + 1, MEASURED),
        "spread": (MEASURED,),
        "pitch": (2,),
        "syllables": (1,),
        "stock": (voices, SIZE),
    }


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
        **{name: tensors[name] for name in ("ear", "forward", "spread", "pitch")},
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


def seen(timbre: Array, pitch: Array) -> Array:
    """What the regression sees (..., 74) of timbre coordinates (..., 24) and standardised pitch (..., 1)."""
    parts: Array = np.concatenate([timbre, timbre**2, timbre * pitch, pitch, pitch**2], axis=-1)
    return parts


def timbre_of(data: Trained, reference: Reference) -> Array:
    """Coordinates (24,) of the first half: by Adam, from the mean voice, up the foretold likeness less a prior."""
    pitch = (12 * np.log2(reference.pitch_hz) - data.pitch[:1]) / data.pitch[1]
    search = State.at(np.zeros(TIMBRE_AXES, np.float32))
    for _ in range(STEPS):
        search.descend(-_uphill(data, search.point, pitch, reference.embedding), RATE)
    return within(search.point)


def _uphill(data: Trained, z: Array, pitch: Array, wanted: Array) -> Array:
    """Gradient (24,) of cosine(foretold, wanted) - PRIOR * mean(z^2)."""
    raw = seen(z, pitch) @ data.ear[:-1] + data.ear[-1]
    length = np.linalg.norm(raw)
    to_raw = (wanted - raw * (raw @ wanted) / length**2) / length
    first, square, turned = (data.ear[i * TIMBRE_AXES : (i + 1) * TIMBRE_AXES] @ to_raw for i in range(3))
    found: Array = first + 2 * z * square + pitch * turned - 2 * PRIOR * z / TIMBRE_AXES
    return found.astype(np.float32)


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
