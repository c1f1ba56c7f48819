"""The place inside a pipeline where sound from another host ends: one sender at a time, within its window."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from audio_pipeline import threads
from audio_pipeline.errors import DeviceError
from audio_pipeline.frame import Frame
from audio_pipeline.gateway.feed_receiver import FeedReceiver
from audio_pipeline.gateway.session import FEED
from audio_pipeline.gateway.totals import Totals
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.links.limits import A_TURN, EVENTS, POLLIN
from audio_pipeline.links.message_codec import pack
from audio_pipeline.links.messages import LinkMessage
from audio_pipeline.links.waker import Waker

if TYPE_CHECKING:
    from audio_pipeline.context import Context

TURN_MS = 50
DROPPED = (
    "bad",
    "dropped_again",
    "dropped_beyond",
    "dropped_format",
    "dropped_over_budget",
    "dropped_too_long",
    "dropped_too_many",
)


class FeedPort:
    """Where a node takes sound from another host: a `FrameSource`. One sender at a time; the others get its name."""

    def __init__(self, endpoint: str, token: str, *, rate: int = 48_000, channels: int = 2) -> None:
        self._receiver = FeedReceiver(token, self._reply, rate=rate, channels=channels)
        self.counts, self.notices = self._receiver.counts, self._receiver.notices
        self._totals = Totals()
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        for option, value in ((zmq.LINGER, 0), (zmq.ROUTER_HANDOVER, 1), (zmq.MAXMSGSIZE, 1 << 20)):
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise DeviceError(f"cannot wait for sound at {endpoint}: {error.strerror}") from error
        self._waker = Waker()
        self._stop = threading.Event()
        self._thread = threads.start(self._run, "feed", stop=self._stop)

    def take(self) -> tuple[Frame, int] | None:
        """The next frame and when it came; its place in the window is free then."""
        came = self._receiver.take()
        if came is not None:
            self._waker.wake()
        return came

    @property
    def connected(self) -> bool:
        return self._receiver.connected

    @property
    def user(self) -> str:
        """Who plays."""
        return self._receiver.user

    def report(self, ctx: Context) -> None:
        """Notices to a node's log, who is there, and what was dropped."""
        for notice in self.notices.drain():
            ctx.log(notice)
        self._totals.count(ctx, {name: total for name, total in self.counts.copy().items() if name in DROPPED})
        ctx.gauge("connected", float(self.connected))

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._waker.fd, zmq.POLLIN)
        while not self._stop.is_set():
            poller.poll(TURN_MS)
            self._waker.clear()
            self.turn(time.monotonic_ns())
        self._context.destroy(linger=0)

    def turn(self, now_ns: int) -> None:
        """Takes a turn's share of what came, and credits what was taken."""
        for _ in range(A_TURN):
            if not int(self._socket.get(EVENTS)) & POLLIN:
                break
            sender, *parts = self._socket.recv_multipart(zmq.DONTWAIT)
            self._receiver.receive(sender, parts[-1] if parts else b"", now_ns)
        self._receiver.turn(now_ns)

    def _reply(self, sender: bytes, message: LinkMessage) -> None:
        self._socket.send_multipart([sender, pack(message)], flags=zmq.DONTWAIT)

    def close(self) -> None:
        """Ends the thread; whoever plays notices within seconds."""
        self._stop.set()
        self._waker.wake()
        self._thread.join(5)
        self._waker.close()


def open_feed(run_folder: str, node: str, *, rate: int, channels: int) -> FeedPort:
    """The place where a node of the pipeline with this private folder takes sound from other hosts."""
    run = RunDir(Path(run_folder))
    return FeedPort(run.endpoint(node, FEED), run.token, rate=rate, channels=channels)
