"""Reads a TensorFlow checkpoint ("tensor bundle") without TensorFlow.

`<prefix>.index` is a LevelDB table (doc/table_format.md of google/leveldb) from variable names to
BundleEntryProto messages (tensorflow/core/protobuf/tensor_bundle.proto), which point into
`<prefix>.data-SSSSS-of-NNNNN`. TensorFlow writes these tables without compression.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.separation.spleeter_layout import Array

MAGIC = 0xDB4775248B80FB57
FOOTER_BYTES = 48
DT_FLOAT = 1
Shard = np.ndarray[Any, np.dtype[np.uint8]]
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Entry:
    """Where one variable lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_checkpoint(prefix: Path) -> dict[str, Array]:
    """Every float32 variable of a checkpoint by name; WeightsError where the files are not what they should be."""
    entries, shards = read_index(prefix)
    try:
        data = [
            np.memmap(prefix.parent / f"{prefix.name}.data-{shard:05d}-of-{shards:05d}", np.uint8, mode="r")
            for shard in range(shards)
        ]
        return {name: _tensor(name, entry, data) for name, entry in entries.items() if entry.dtype == DT_FLOAT}
    except (OSError, ArithmeticError, IndexError, TypeError, ValueError, struct.error) as error:
        raise WeightsError(f"{prefix} is not a TensorFlow checkpoint: {error}") from error


def read_index(prefix: Path) -> tuple[dict[str, Entry], int]:
    """Where every variable of a checkpoint lies, by name, and the number of its data files. Raises WeightsError."""
    try:
        table = list(_table((prefix.parent / f"{prefix.name}.index").read_bytes()))
        return {key.decode(): _entry(value) for key, value in table if key}, _shards(table)
    except (OSError, ArithmeticError, IndexError, TypeError, ValueError, struct.error) as error:
        raise WeightsError(f"{prefix} is not a TensorFlow checkpoint: {error}") from error


def _shards(table: list[tuple[bytes, bytes]]) -> int:
    """BundleHeaderProto, under the empty key: num_shards = 1."""
    header = dict(_fields(table[0][1])) if table and not table[0][0] else {}
    return int(header.get(1, 1))


def _tensor(name: str, entry: Entry, data: Sequence[Shard]) -> Array:
    count = int(np.prod(entry.shape, dtype=np.int64))
    shard = data[entry.shard]
    if entry.size != 4 * count or entry.offset + entry.size > len(shard):
        raise ValueError(
            f"variable {name!r} has {entry.size} bytes at {entry.offset}, expected {4 * count} in the file"
        )
    raw = shard[entry.offset : entry.offset + entry.size].tobytes()
    return np.frombuffer(raw, "<f4").reshape(entry.shape)


def _entry(message: bytes) -> Entry:
    """BundleEntryProto: dtype = 1, shape = 2, shard_id = 3, offset = 4, size = 5; proto3 leaves zeros out."""
    found: dict[int, int | bytes] = {1: 0, 2: b"", 3: 0, 4: 0, 5: 0}
    found |= dict(_fields(message))
    shape, numbers = found[2], {key: value for key, value in found.items() if isinstance(value, int)}
    if not isinstance(shape, bytes):
        raise ValueError("a variable's shape is not a message")
    return Entry(numbers[1], _shape(shape), numbers[3], numbers[4], numbers[5])


def _shape(message: bytes) -> tuple[int, ...]:
    """TensorShapeProto: repeated Dim dim = 2, each with size = 1."""
    dims = [dict(_fields(value)) for key, value in _fields(message) if key == 2 and isinstance(value, bytes)]
    return tuple(int(dim.get(1, 0)) for dim in dims)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of a LevelDB table, in order."""
    if len(data) < FOOTER_BYTES or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise ValueError("the index does not end with the mark of a table")
    footer = data[-FOOTER_BYTES:]
    _, at = _handle(footer, 0)  # the meta index: filters, which a bundle does not use
    index, _ = _handle(footer, at)
    for _, handle in _block(data, *index):
        yield from _block(data, *_handle(handle, 0)[0])


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of one block: keys share a prefix with the one before; restart points end the block."""
    if offset + size + 5 > len(data):
        raise ValueError("a block reaches past the end of the index")
    if data[offset + size] != 0:
        raise ValueError("a block is compressed, expected none")
    block = data[offset : offset + size]
    end = size - 4 * (struct.unpack("<I", block[-4:])[0] + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise ValueError("an entry reaches past its block")
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The (number, value) pairs of a protocol buffer message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif kind == LENGTH:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field reaches past its message")
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} is not known")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Base-128 number, least significant group first, at most 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is longer than 64 bits")
