"""Files of tensors, as every network here keeps its weights: read, checked by name and shape, written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]

FILE = "model.safetensors"


def read_tensors(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file by name. Raises WeightsError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, Array] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    return found


def check_tensors(owner: str, shapes: Shapes, tensors: Mapping[str, Array]) -> None:
    """Raises WeightsError unless every tensor is there at its size; `owner` is what they belong to."""
    for name, shape in shapes.items():
        found = tensors.get(name)
        if found is None or found.shape != shape:
            what = "missing" if found is None else f"of shape {found.shape}"
            raise WeightsError(f"{owner}: tensor {name} is {what}, expected {shape}")


def save_tensors(owner: str, shapes: Shapes, tensors: Mapping[str, Array], folder: Path) -> None:
    """Checks the named tensors and writes them alone. Raises WeightsError."""
    from safetensors.numpy import save_file

    wanted = {name: np.ascontiguousarray(tensors[name]) for name in shapes if name in tensors}
    check_tensors(owner, shapes, wanted)
    save_file(wanted, folder / FILE)
