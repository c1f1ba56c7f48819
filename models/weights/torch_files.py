"""Reads tensors that `torch.save` wrote, without torch and without trusting the pickle.

Since torch 1.6 a file is a zip with one pickle and a member a storage; before, it was a chain of pickles (magic
number, protocol, system, the object, the list of storages), then each storage as its length and its bytes
(`torch/serialization.py`, `_save` and `_legacy_save`). Every name that tensors need leads to a stand-in; any other
is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.weights.pickles import DAMAGE

Array = np.ndarray[Any, np.dtype[np.float32]]

MAGIC = 0x1950A86A20F9469CFC6C
MAX_TENSOR = 1 << 28  # numbers; more than any network here


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor lies: numbers of a storage from `offset` on."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, data: Array) -> Array:
        count = int(np.prod(self.shape, dtype=np.int64))
        contiguous = tuple(int(np.prod(self.shape[i + 1 :], dtype=np.int64)) for i in range(len(self.shape)))
        if self.strides != contiguous or not 0 <= self.offset <= self.offset + count <= len(data):
            raise ValueError(f"a tensor of shape {self.shape} does not lie in a storage of {len(data)} numbers")
        return data[self.offset : self.offset + count].reshape(self.shape)


def _tensor(storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    """Stands in for `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, str):
        raise pickle.UnpicklingError("a tensor has no storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): "float32",  # an argument of a storage's name, never called
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not on the allow-list") from None

    def persistent_load(self, pid: Any) -> str:
        """('storage', type, key, device, numbers), before torch 1.6 a view as well: the key of a storage of float32."""
        if not isinstance(pid, tuple) or pid[:2] != ("storage", "float32") or pid[5:] not in ((), (None,)):
            raise pickle.UnpicklingError(f"a storage is {pid!r:.80}, expected one of float32")
        return str(pid[2])


def read_torch(path: Path, section: str) -> dict[str, Array]:
    """The tensors by name under `section` of the saved dictionary; WeightsError where the file is anything else."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_zip(archive, section)
        with path.open("rb") as file:
            return _read(file, section)
    except (OSError, *DAMAGE) as error:
        raise WeightsError(f"{path.name} is not a checkpoint of torch: {error}") from error


def read_torch_tensor(path: Path) -> Array:
    """The one tensor that a zip of torch holds; WeightsError where the file is anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            saved, folder = _load_zip(archive)
            if not isinstance(saved, _Tensor):
                raise ValueError(f"it holds a {type(saved).__name__}, expected one tensor")
            return _in_zip(archive, folder, saved)
    except (OSError, *DAMAGE) as error:
        raise WeightsError(f"{path.name} is not a tensor of torch: {error}") from error


def _read_zip(archive: zipfile.ZipFile, section: str) -> dict[str, Array]:
    saved, folder = _load_zip(archive)
    tensors = {str(name): value for name, value in saved[section].items() if isinstance(value, _Tensor)}
    return {name: _in_zip(archive, folder, tensor) for name, tensor in tensors.items()}


def _load_zip(archive: zipfile.ZipFile) -> tuple[Any, str]:
    """The unpickled object and the folder in which everything lies."""
    (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    folder = pickled.removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
        raise ValueError("its numbers are not little-endian")
    return _Unpickler(io.BytesIO(archive.read(pickled))).load(), folder


def _in_zip(archive: zipfile.ZipFile, folder: str, tensor: _Tensor) -> Array:
    return tensor.of(np.frombuffer(archive.read(f"{folder}data/{tensor.storage}"), "<f4"))


def _read(file: BinaryIO, section: str) -> dict[str, Array]:
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("it does not begin with torch's number")
    for _ in ("protocol", "system"):
        _Unpickler(file).load()
    saved = _Unpickler(file).load()
    tensors = {name: value for name, value in saved[section].items() if isinstance(value, _Tensor)}
    storages = {str(key): _storage(file) for key in _Unpickler(file).load()}
    return {str(name): tensor.of(storages[tensor.storage]) for name, tensor in tensors.items()}


def _storage(file: BinaryIO) -> Array:
    count = int.from_bytes(file.read(8), "little")
    if count > MAX_TENSOR:
        raise ValueError(f"a storage claims {count} numbers")
    data = file.read(4 * count)
    if len(data) < 4 * count:
        raise ValueError("it ends inside a storage")
    return np.frombuffer(data, "<f4")
