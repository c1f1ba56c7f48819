"""Receives an exported port of a pipeline on another host."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from contextlib import suppress

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Frame
from audio_pipeline.gateway.codec import Coding, FrameDecoder
from audio_pipeline.gateway.frame_bounds import FrameBounds
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.peer import Peer, Remote
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.messages import A_TURN, InSpec

WINDOW_FRAMES = 50  # covers the way there and back: half a second at 10 ms
QUEUE_FRAMES = 25  # waits at the other host while the way is shut; older sound is worth nothing
KEPT_FRAMES = 1_000


class RemoteLink:
    """A `FrameSource` for a port of another host; `take` and `close` belong to the caller's thread."""

    def __init__(
        self, remote: Remote, port: str, *, rate: int = 48_000, channels: int = 2, coding: Coding = Coding.F32
    ) -> None:
        self.peer = Peer(remote)
        self.bounds = FrameBounds(rate, channels)
        self.counts: Counter[str] = Counter()
        self._frames: deque[tuple[Frame, int]] = deque(maxlen=KEPT_FRAMES)
        terms = {"port": port, "queue": QUEUE_FRAMES, "format": coding.value}
        spec = InSpec(
            "",
            remote.endpoint,
            WINDOW_FRAMES,
            "drop_oldest",
            prepare=self.peer.prepare,
            terms=terms,
        )
        instance = (os.getpid() << 20) + time.monotonic_ns() % (1 << 20)
        self._end = ListeningEnd(self.peer, spec, instance, self, coding)
        self.peer.start(self._end)

    def received(self, frame: Frame) -> None:
        """In the peer's thread."""
        self._frames.append((frame, time.monotonic_ns()))

    @property
    def connected(self) -> bool:
        return self.peer.connected

    @property
    def notices(self) -> Notices:
        return self.peer.notices

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and when it came, None if there is none now."""
        return self._frames.popleft() if self._frames else None

    def close(self) -> None:
        self.peer.close()


class ListeningEnd(InPort):
    """A link's end that hands on what comes at once: the jitter buffer is where it waits."""

    def __init__(self, peer: Peer, spec: InSpec, instance: int, link: RemoteLink, coding: Coding = Coding.F32) -> None:
        self._link = link
        self._decoder = FrameDecoder() if coding is Coding.OPUS else None
        super().__init__(peer.context, spec, "", instance, self._add, peer.on_message)

    def _add(self, name: str, amount: int) -> None:
        self._link.counts[name] += amount

    def on_bytes(self, message: bytes) -> bool:
        """As of any link; an Opus frame is decoded first, and one that cannot be is bad."""
        if self._decoder is not None:
            with suppress(WireError):
                message = self._decoder.decode(message)
        return super().on_bytes(message)

    def reconnect(self) -> None:
        """Whoever answers may be a pipeline that was started anew: it counts from the start."""
        super().reconnect()
        self.grant.new_epoch(0)
        self._received, self.welcome = 0, {}

    def handle(self, most: int = A_TURN) -> bool:
        """Takes a turn's share of what waits, and all frames among it that we can afford."""
        more = super().handle(most)
        while (frame := self.take()) is not None:
            if reason := self._link.bounds.refusal(frame, time.monotonic()):
                self.dropped(reason)
                continue
            self.used()
            self._link.received(frame)
        return more
