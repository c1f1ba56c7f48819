"""A tap on an exported output of a pipeline on another host."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType

from audio_pipeline.errors import ControlError
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.gateway.link import RemoteLink
from audio_pipeline.gateway.remote import Remote

POLL_S = 0.01


class RemoteTap:
    """As `links.tap.Tap`: frames in order, for one thread. Capture times are on this host's clock."""

    def __init__(self, remote: Remote, port: str) -> None:
        self._link = RemoteLink(remote, port)
        self.lost = 0  # frames that the producer dropped, or that went down with a connection, by their numbers
        self.ended = False
        self.received_ns = time.monotonic_ns()  # when anything last came
        self._seq: tuple[int, int] | None = None  # epoch and number of the newest frame

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame, None where none came in time. Raises ControlError where it cannot be listened to."""
        deadline_s = time.monotonic() + timeout_s
        while (came := self._link.take()) is None:
            if self._link.trouble:
                raise ControlError(self._link.trouble)
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            time.sleep(min(left_s, POLL_S))
        frame, self.received_ns = came
        self._note_number(frame)
        self.ended = bool(frame.flags & Flag.END)
        known = bool(frame.captured_ns) and self._link.offset.known
        return replace(frame, captured_ns=self._link.offset.here(frame.captured_ns) if known else 0)

    def _note_number(self, frame: Frame) -> None:
        if self._seq is not None and self._seq[0] == frame.epoch:
            self.lost += max(frame.seq - self._seq[1] - 1, 0)
        self._seq = frame.epoch, frame.seq

    def close(self) -> None:
        """Says goodbye."""
        self._link.close()

    def __enter__(self) -> RemoteTap:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
