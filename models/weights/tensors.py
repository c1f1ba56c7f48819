"""Files of tensors, as every network here keeps its weights: read, checked by name and shape, written."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]

FILE = "model.safetensors"
SIZE = 8  # bytes at the beginning of such a file: how long the header behind them is


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


class MappedTensors(Mapping[str, Array]):
    """The same, each a view of the file (copied where it is written): in memory while it is read, once for all who do.

    Raises WeightsError where the file is none, or holds other numbers than float32.
    """

    def __init__(self, path: Path) -> None:
        self.shapes = TensorFile(path).shapes
        with path.open("rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._begin = SIZE + int.from_bytes(self._file[:SIZE], "little")
        self._places: Mapping[str, Any] = json.loads(self._file[SIZE : self._begin])
        for name in self.shapes:
            if self._places[name]["dtype"] != "F32":
                raise WeightsError(f"{path}: tensor {name} is {self._places[name]['dtype']}, expected F32")

    def __getitem__(self, name: str) -> Array:
        shape, (start, _) = self.shapes[name], self._places[name]["data_offsets"]
        found: Array = np.frombuffer(self._file, np.float32, math.prod(shape), self._begin + start)
        return found.reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def release(self) -> None:
        """What was read leaves this process's memory; it comes back where it is read again."""
        self._file.madvise(mmap.MADV_DONTNEED)


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
