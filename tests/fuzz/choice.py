"""Structure out of bytes: the same bytes always give the same words, so that any fuzzer can search among them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeVar

import msgpack

T = TypeVar("T")
NUMBERS = (0, 1, -1, 7, 100, 255, 65_535, 1 << 31, (1 << 63) - 1, (1 << 64) - 1, -(1 << 63))
FLOATS = (0.0, -0.0, 1.5, -1e308, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "é", "\0", "node", "a.b.c", "1" * 50, "nan", "inf", "-1", "true", "/etc/passwd", "%s{}", "~", "<<")


class Choice:
    """Reads decisions from bytes; where they end, every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, among: Sequence[T]) -> T:
        return among[self.byte() % len(among)]

    def chance(self, of: int) -> bool:
        """True once in `of` times."""
        return self.byte() % of == of - 1

    def take(self, most: int) -> bytes:
        """Up to `most` bytes as they are."""
        size = self.byte() % (most + 1)
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        return self.pick(NUMBERS) if self.chance(2) else int.from_bytes(self.take(8), "little", signed=True)

    def value(self, depth: int = 0) -> Any:
        """Anything that msgpack can say."""
        kind = self.byte() % (10 if depth < 4 else 7)
        if kind == 7:
            return [self.value(depth + 1) for _ in range(self.byte() % 4)]
        if kind == 8:
            return {self.text(): self.value(depth + 1) for _ in range(self.byte() % 4)}
        if kind == 9:
            return nested(self.byte() * 5)
        simple = (None, True, self.number(), self._float(), self.text(), self.take(16), self._extension())
        return simple[kind]

    def text(self) -> str:
        return self.pick(TEXTS) if self.chance(2) else self.take(12).decode("latin1")

    def _float(self) -> float:
        raw = self.take(8)
        return float(struct.unpack("<d", raw)[0]) if len(raw) == 8 else self.pick(FLOATS)

    def _extension(self) -> msgpack.ExtType:
        return msgpack.ExtType(self.byte() % 128, self.take(12))


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def mixed(choice: Choice, typical: dict[str, Sequence[Any]]) -> dict[str, Any]:
    """A map with most of the typical keys, most of them with typical values."""
    word = {}
    for key, values in typical.items():
        if not choice.chance(12):
            word[key] = choice.value() if choice.chance(5) else choice.pick(values)
    if choice.chance(6):
        word[choice.text()] = choice.value()
    return word
