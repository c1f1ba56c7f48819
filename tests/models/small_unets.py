"""Spleeter's networks with few channels and random weights: every path of the real ones, in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio_pipeline.models.separation.spleeter_convert import save
from audio_pipeline.models.separation.spleeter_layout import VARIANTS, Array, Variant, shapes

WIDTH = 2


def small_weights(variant: Variant, width: int = WIDTH, seed: int = 0) -> dict[str, Array]:
    """Random weights that keep the scale of what passes through them."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for stem in variant.stems:
        for part, shape in shapes(width).items():
            spread = 1 / np.sqrt(np.prod(shape[1:])) if part.endswith("kernel") else 0.3
            found[f"{stem}.{part}"] = rng.normal(float(part.endswith("scale")), spread, shape).astype(np.float32)
    return found


def save_small(folder: Path, name: str) -> Path:
    """A converted file of small random weights."""
    save(VARIANTS[name], small_weights(VARIANTS[name]), folder)
    return folder / "model.safetensors"


def magnitudes(batch: int, frames: int, bins: int, seed: int = 0) -> Array:
    """Windows (batch, frames, bins, 2) of the size that music gives."""
    return np.abs(np.random.default_rng(seed).normal(0, 5, (batch, frames, bins, 2))).astype(np.float32)
