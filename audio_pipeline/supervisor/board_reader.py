"""A quick look at a few numbers of a board."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from audio_pipeline.metrics import NAME_BYTES, SLOTS


class BoardReader:
    """A few whole numbers of a board that is looked at again and again: its names are gone through once."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self._wanted = frozenset(names)
        self._slots: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        """What is there now, by name; what was never written is missing."""
        try:
            with self.path.open("rb", buffering=0) as file:
                if len(self._slots) < len(self._wanted):
                    self._slots = self._found(file.read(NAME_BYTES))
                return {name: _int_at(file.fileno(), slot) for name, slot in self._slots.items()}
        except (OSError, struct.error):
            return {}  # it is just being made, or removed

    def _found(self, names: bytes) -> dict[str, int]:
        lines = (line.split(b"\t") for line in names.rstrip(b"\0").split(b"\n"))
        entries = {fields[0].decode(errors="replace"): fields[1] for fields in lines if len(fields) == 3}
        slots = {name: int(slot) for name, slot in entries.items() if name in self._wanted and slot.isdigit()}
        return {name: slot for name, slot in slots.items() if slot < SLOTS}


def _int_at(fd: int, slot: int) -> int:
    (value,) = struct.unpack("<q", os.pread(fd, 8, NAME_BYTES + 8 + slot * 8))
    return int(value)
