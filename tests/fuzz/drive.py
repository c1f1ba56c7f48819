"""Tries inputs in a process of its own: `python -m tests.fuzz.drive TARGET COUNT SEED FOLDER`.

Before each input its number and bytes are written to `now`, which is mapped into memory, so that whoever watches can
say which input hangs or kills. At the end `result.json` says how much memory it took.
"""

from __future__ import annotations

import gc
import json
import mmap
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import psutil

from tests.fuzz.mutate import MOST_BYTES, Mutator
from tests.fuzz.targets import TARGETS

HEAD = struct.Struct("<QQ")
NOW_BYTES = HEAD.size + MOST_BYTES
TABLE = 1 << 20  # bytes
WARM, TRACED = 0.3, 0.1  # shares of all inputs: before memory is looked at, and looked at closely


class Now:
    """The input that is being tried."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(NOW_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), NOW_BYTES)

    def write(self, number: int, data: bytes) -> None:
        self._map[HEAD.size : HEAD.size + len(data)] = data
        HEAD.pack_into(self._map, 0, number, len(data))


def read_now(path: Path) -> tuple[int, bytes]:
    """Number and bytes of the input that is being tried, or was when the process died."""
    raw = path.read_bytes() if path.exists() else bytes(NOW_BYTES)
    if len(raw) < NOW_BYTES:
        return 0, b""
    number, size = HEAD.unpack_from(raw)
    return number, raw[HEAD.size : HEAD.size + size]


def main() -> None:
    name, count, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    target, now = TARGETS[name], Now(folder / "now")
    inputs, process = Mutator(target.seeds, seed), psutil.Process()
    marks: dict[str, Any] = {}
    traced_from, half = round(count * (1 - TRACED)), round(count * (1 - TRACED / 2))
    with target.open() as attempt:
        for number in range(1, count + 1):
            if number == max(round(count * WARM), 1):
                gc.collect()
                marks["rss_warm"] = process.memory_info().rss
            elif number == traced_from:
                gc.collect()
                marks["rss_end"] = process.memory_info().rss
                tracemalloc.start()
            elif number == half:
                attempt(target.seeds[0])
                marks["traced_half"] = _traced()
            data = inputs.next()
            now.write(number, data)
            attempt(data)
        attempt(target.seeds[0])  # what the last input left, such as a whole state that was asked for, is no growth
        marks["traced_end"] = _traced()
        tracemalloc.stop()
    marks |= {"count": count, "grown_inputs": traced_from - round(count * WARM), "traced_inputs": count - half}
    (folder / "result.json").write_text(json.dumps(marks))


def _traced() -> int:
    """Bytes that are held, but for single blocks so large that they are a table which has just doubled.

    The interpreter's own table of interned strings is one: after some ten thousand paths it takes two megabytes more,
    once. A leak that keeps such blocks shows in the resident memory.
    """
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size < TABLE)


if __name__ == "__main__":
    main()
