"""Reads `torch.save` archives of plain numpy arrays without torch and without trusting the pickle."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[Any]]


def _empty_array(kind: type, shape: tuple[int, ...], code: object) -> Array:
    """What numpy's `_reconstruct` does for a plain array, without naming a private module of numpy."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"an array of type {kind!r} is not a plain numpy array")
    empty: Array = np.ndarray(shape, np.int8)
    return empty


def _latin1(text: str, encoding: str) -> bytes:
    """Python 2 style byte strings only: another codec could decompress a bomb."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed, expected 'latin1'")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, numbers, strings and numpy arrays; anything else is refused by name."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not on the allow-list") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("torch tensors are not on the allow-list")


def load_arrays(data: bytes) -> dict[str, Array]:
    """The numeric arrays by name in one pickled dictionary; WeightsError for anything else."""
    try:
        found = ArrayUnpickler(io.BytesIO(data)).load()
    # A hostile or cut pickle raises nearly anything from inside the interpreter's own opcodes.
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        UnicodeError,
        ImportError,
        OverflowError,
        MemoryError,
    ) as error:
        raise WeightsError(f"the checkpoint was refused: {error}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"the checkpoint holds a {type(found).__name__}, expected a dictionary of arrays")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise WeightsError(f"the checkpoint entry {name!r} is not a numeric array")
    return found


def read_torch_zip(path: Path) -> dict[str, Array]:
    """The arrays in a `torch.save` zip whose only content is `<folder>/data.pkl`."""
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            data = archive.read(member)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path.name} is not a torch.save archive: {error}") from error
    return load_arrays(data)
