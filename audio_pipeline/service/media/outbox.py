"""What waits to be sent to one peer: bounded, and sound that waited for too long goes out as silence."""

from __future__ import annotations

from collections import deque

from audio_pipeline.frame import Flag, Format
from audio_pipeline.frame_codec import HEADER, MAX_AGE_US
from audio_pipeline.gateway.streams import is_frame

STALE_NS = 150_000_000  # what waited for longer is not heard
MOST_MESSAGES, MOST_BYTES = 256, 1 << 20
_HEAD, _CODE, _PAYLOAD, _FLAGS, _CAPTURED, _SENT_AGE = 2, 3, 7, 8, 14, 16  # fields of the header
_KEPT = Flag.GAP | Flag.END | Flag.REPLAY


class Outbox:
    """Messages in order. A frame that is stale when it leaves keeps its number, so that credit goes on."""

    def __init__(self) -> None:
        self._messages: deque[tuple[bytes | str, int]] = deque()
        self._bytes = 0
        self.stale = 0  # frames that lost their sound

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken."""
        return len(self._messages) >= MOST_MESSAGES or self._bytes >= MOST_BYTES

    def put(self, message: bytes | str, now_ns: int) -> bool:
        """Keeps a message; False where it is full."""
        if self.is_full:
            return False
        self._messages.append((message, now_ns))
        self._bytes += len(message)
        return True

    def take(self, now_ns: int) -> bytes | str | None:
        """The next message; None where none waits."""
        if not self._messages:
            return None
        message, since_ns = self._messages.popleft()
        self._bytes -= len(message)
        if isinstance(message, bytes) and is_frame(message) and len(message) > HEADER.size:
            return self._fresh(message, since_ns, now_ns)
        return message

    def _fresh(self, frame: bytes, since_ns: int, now_ns: int) -> bytes:
        """The frame, or its header where it is stale."""
        head = list(HEADER.unpack_from(frame))
        if head[_CODE] == Format.EVENT or head[_FLAGS] & _KEPT:
            return frame
        waited_ns = max(now_ns - since_ns, _on_the_link_ns(head, now_ns))
        if waited_ns <= STALE_NS:
            return frame
        self.stale += 1
        head[_FLAGS], head[_PAYLOAD] = head[_FLAGS] | Flag.GAP | Flag.DISCONTINUITY, 0
        return HEADER.pack(*head) + frame[HEADER.size : head[_HEAD]]


def _on_the_link_ns(head: list[int], now_ns: int) -> int:
    """Since its producer queued it; 0 where the frame does not say."""
    captured_ns, age_us = head[_CAPTURED], head[_SENT_AGE]
    return now_ns - captured_ns - age_us * 1000 if captured_ns and age_us < MAX_AGE_US else 0
