"""Where messages end in the bytes of a ZeroMQ connection (ZMTP 3, RFC 23): their lengths are clear, also in CURVE."""

from __future__ import annotations

from audio_pipeline.errors import WireError

GREETING_BYTES = 64
MOST_FRAME = (1 << 20) + 64  # what a gateway reads at most, encrypted
_LONG, _COMMAND = 2, 4


class Meter:
    """Counts the messages that one side sends; commands, such as those of the handshake, are none."""

    def __init__(self) -> None:
        self._left, self._size, self._counts = GREETING_BYTES, 0, False  # of the frame that is passing
        self._head = bytearray()

    def push(self, data: bytes) -> list[int]:
        """The sizes of the messages that end in `data`. WireError for one that is longer than may be."""
        ended, at = [], 0
        while at < len(data):
            if not self._left:
                at += self._begin(data[at])
                if self._left or self._head:
                    continue
            step = min(self._left, len(data) - at)
            self._left, at = self._left - step, at + step
            if not self._left and self._counts:
                ended.append(self._size)
        return ended

    def _begin(self, byte: int) -> int:
        """Takes a byte of a frame's head."""
        self._head.append(byte)
        if len(self._head) == (9 if self._head[0] & _LONG else 2):
            self._size = self._left = int.from_bytes(self._head[1:], "big")
            self._counts = not self._head[0] & _COMMAND
            self._head.clear()
            if self._size > MOST_FRAME:
                raise WireError(f"a message of {self._size} bytes from another host, expected at most {MOST_FRAME}")
        return 1
