"""Files of tensors, as every network here keeps its weights: read, checked by name and shape, written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]

FILE = "model.safetensors"


def read_tensors(path: Path) -> dict[str, Array]:
    """The tensors of a safetensors file by name. Raises WeightsError."""
    return dict(TensorFile(path))


class TensorFile(Mapping[str, Array]):
    """The tensors of a safetensors file by name, each read whenever it is asked for: nothing of it stays in memory.

    Raises WeightsError where the file is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            self.shapes: Shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, "np") as file:
                yield file
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{self._path} is not a safetensors file: {error}") from error

    def __getitem__(self, name: str) -> Array:
        if name not in self.shapes:
            raise KeyError(name)
        with self._opened() as file:
            found: Array = file.get_tensor(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def check_tensors(owner: str, shapes: Shapes, tensors: Mapping[str, Array]) -> None:
    """Raises WeightsError unless every tensor is there at its size; `owner` is what they belong to."""
    check_shapes(owner, shapes, {name: tensor.shape for name, tensor in tensors.items()})


def check_shapes(owner: str, shapes: Shapes, found: Shapes) -> None:
    """The same, of what stands in a file."""
    for name, shape in shapes.items():
        if found.get(name) != shape:
            what = f"of shape {found[name]}" if name in found else "missing"
            raise WeightsError(f"{owner}: tensor {name} is {what}, expected {shape}")


def save_tensors(owner: str, shapes: Shapes, tensors: Mapping[str, Array], folder: Path) -> None:
    """Checks the named tensors and writes them alone. Raises WeightsError."""
    from safetensors.numpy import save_file

    wanted = {name: np.ascontiguousarray(tensors[name]) for name in shapes if name in tensors}
    check_tensors(owner, shapes, wanted)
    save_file(wanted, folder / FILE)
