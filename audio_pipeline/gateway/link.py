"""Receives an exported port of a pipeline on another host."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Frame
from audio_pipeline.gateway.codec import Coding, FrameDecoder
from audio_pipeline.gateway.frame_bounds import FrameBounds
from audio_pipeline.gateway.host_pool import RemotePort
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.stream import Line
from audio_pipeline.links.credit import Count
from audio_pipeline.links.message_codec import pack
from audio_pipeline.links.messages import Bye, LinkMessage
from audio_pipeline.links.port_specs import InSpec
from audio_pipeline.links.receiver import Receiver

WINDOW_FRAMES = 50  # covers the way there and back: half a second at 10 ms
QUEUE_FRAMES = 25  # waits at the other host while the way is shut; older sound is worth nothing
KEPT_FRAMES = 1_000


class RemoteLink(RemotePort["ListeningEnd"]):
    """A `FrameSource` for a port of another host; `take` and `close` belong to the caller's thread."""

    def __init__(
        self, remote: Remote, port: str, *, rate: int = 48_000, channels: int = 2, coding: Coding = Coding.F32
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._frames: deque[tuple[Frame, int]] = deque(maxlen=KEPT_FRAMES)
        spec = InSpec(
            "", remote.endpoint, WINDOW_FRAMES, "drop_oldest", port=port, queue=QUEUE_FRAMES, format=coding.value
        )
        bounds = FrameBounds(rate, channels)
        super().__init__(remote, lambda line: ListeningEnd(line, spec, coding, bounds, self._count, self._on_frame))

    def _count(self, name: str, amount: int) -> None:
        self.counts[name] += amount

    def _on_frame(self, frame: Frame) -> None:
        """In the connection's thread."""
        self._frames.append((frame, time.monotonic_ns()))

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and when it came, None if there is none now."""
        return self._frames.popleft() if self._frames else None


class ListeningEnd(Receiver):
    """A link's end that hands on what comes at once: the jitter buffer is where it waits."""

    def __init__(
        self,
        line: Line,
        spec: InSpec,
        coding: Coding,
        bounds: FrameBounds,
        count: Count,
        on_frame: Callable[[Frame], None],
    ) -> None:
        super().__init__(spec, "", new_instance(), count)
        self._line, self._bounds, self._hand_on = line, bounds, on_frame
        self._decoder = FrameDecoder() if coding is Coding.OPUS else None

    def _send(self, message: LinkMessage) -> bool:
        return self._line.send(pack(message))

    def on_bytes(self, message: bytes) -> bool:
        """As of any link, Opus decoded first; one that cannot be is bad. Hands on at once what we can afford."""
        if self._decoder is not None:
            with suppress(WireError):
                message = self._decoder.decode(message)
        is_frame = super().on_bytes(message)
        while (frame := self.take()) is not None:
            if reason := self._bounds.refusal(frame, time.monotonic()):
                self.dropped(reason)
                continue
            self.used()
            self._hand_on(frame)
        return is_frame

    def reconnect(self) -> None:
        """Whoever answers may be a pipeline that was started anew: it counts from the start."""
        self.ungreet()
        self.grant.new_epoch(0)
        self._received, self.welcome = 0, None

    def on_reply(self, reply: Mapping[str, object]) -> None:
        """Nobody asked for one."""
        self._count("bad", 1)

    def goodbye(self) -> bytes:
        return pack(Bye())


def new_instance() -> int:
    """Another number for another end, whichever process it is in."""
    return (os.getpid() << 20) + time.monotonic_ns() % (1 << 20)
