"""Writes TensorFlow checkpoints as TensorFlow does, for tests of the reader.

Table: google/leveldb doc/table_format.md. Messages: tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0xDB4775248B80FB57
DTYPES = {"float32": 1, "int64": 9}
RESTART_INTERVAL = 4


def varint(value: int) -> bytes:
    head = b""
    while value >= 0x80:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""  # proto3 leaves zeros out
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(dtype: int, shape: Sequence[int], shard: int, offset: int, size: int) -> bytes:
    dims = b"".join(field(2, field(1, dim)) for dim in shape)
    crc = varint(6 << 3 | 5) + struct.pack("<I", 0x12345678)
    return field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, size) + crc


def block(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Entries with shared key prefixes, restarts, no compression, and a checksum nobody looks at."""
    out, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % RESTART_INTERVAL == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return out + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def table(pairs: Sequence[tuple[bytes, bytes]], per_block: int = 7) -> bytes:
    data, index = b"", []

    def put(content: bytes) -> bytes:
        nonlocal data
        handle = varint(len(data)) + varint(len(content))
        data += content + b"\0" + b"\0\0\0\0"
        return handle

    for i in range(0, len(pairs), per_block):
        some = pairs[i : i + per_block]
        index.append((some[-1][0], put(block(some))))
    footer = put(block([])) + put(block(index))
    return data + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_checkpoint(prefix: Path, variables: Mapping[str, NDArray[Any]], shards: int = 1) -> None:
    """`<prefix>.index` and one data file for each shard, variables dealt out in turn."""
    data = [b""] * shards
    pairs = [(b"", field(1, shards) + field(3, field(1, 1)))]
    for i, name in enumerate(sorted(variables)):
        array, shard = variables[name], i % shards
        raw = np.ascontiguousarray(array).tobytes()
        pairs.append((name.encode(), entry(DTYPES[array.dtype.name], array.shape, shard, len(data[shard]), len(raw))))
        data[shard] += raw
    (prefix.parent / f"{prefix.name}.index").write_bytes(table(pairs))
    for shard, content in enumerate(data):
        (prefix.parent / f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
