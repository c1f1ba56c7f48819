"""Reads `torch.save` archives of plain numpy arrays without torch, and without trusting the pickle.

A pickle is a program that calls what it names. Here every name that a dictionary of arrays needs leads to a
stand-in that checks its arguments, and any other name is refused: not even numpy's own code runs on the data.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError

Array = np.ndarray[Any, np.dtype[Any]]

# A hostile or cut pickle raises nearly anything from inside the interpreter's own operations.
DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    NotImplementedError,
    AssertionError,
    struct.error,
)


class _Code:
    """Stands in for `numpy.dtype`: a plain number of 1 to 8 bytes and its byte order."""

    def __init__(self, code: str, align: object = False, copy: object = True) -> None:
        if not re.fullmatch("[fiu][1248]", code):
            raise pickle.UnpicklingError(f"numbers of type {code!r} are not allowed")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[object, str]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"byte order {state[1]!r} does not exist")
        self.order = state[1]


class _Raw:
    """Stands in for an array that is being rebuilt."""

    array: Array | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Code, bool, bytes]) -> None:
        _, shape, code, fortran, data = state
        if not isinstance(code, _Code) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array is not made of a number type and bytes")
        flat = np.frombuffer(data, np.dtype(code.order + code.code))
        self.array = flat.reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Raw:
    return _Raw()


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes as Python 2 could read them; another codec could be a decompressor."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed, expected 'latin1'")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument of the above, never called
    ("numpy", "dtype"): _Code,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,  # how an empty array is written
    ("builtins", "bytes"): _no_bytes,
}


class ArrayUnpickler(pickle._Unpickler):
    """Unpickles dictionaries, numbers, strings and arrays; anything else is refused by name.

    In Python, not in C: there a number in the data is given as much memory as it asks for, and four bytes can ask
    for gigabytes.
    """

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not on the allow-list") from None


def load_arrays(data: bytes) -> dict[str, Array]:
    """The arrays by name in one pickled dictionary; WeightsError for anything else."""
    try:
        found = ArrayUnpickler(io.BytesIO(data)).load()
    except DAMAGE as error:
        raise WeightsError(f"the checkpoint was refused: {error}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"the checkpoint holds a {type(found).__name__}, expected a dictionary of arrays")
    return {_name(key): _array(key, value) for key, value in found.items()}


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise WeightsError(f"the checkpoint has an entry named {key!r}, expected text")
    return key


def _array(key: object, value: object) -> Array:
    if not isinstance(value, _Raw) or value.array is None:
        raise WeightsError(f"the checkpoint entry {key!r} is not an array of numbers")
    return value.array


def read_torch_zip(path: Path) -> dict[str, Array]:
    """The arrays in a `torch.save` zip whose content is one `<folder>/data.pkl`."""
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            data = archive.read(member)
    except (OSError, *DAMAGE) as error:
        raise WeightsError(f"{path.name} is not a torch.save archive: {error}") from error
    return load_arrays(data)
