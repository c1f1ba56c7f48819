"""What the pipeline behind a gateway has: asked for over its control socket, once a second."""

from __future__ import annotations

import contextlib
from typing import Any

import zmq

from audio_pipeline.control.codec import VERSION, decode, encode
from audio_pipeline.control.message import read
from audio_pipeline.control.replies import PortsReply
from audio_pipeline.errors import ControlError, WireError


class PortsQuery:
    """A control client of one question; nothing waits for the answer."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, token: str) -> None:
        self._token = token
        self.socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)

    def ask(self) -> None:
        """Sends the question."""
        request = {"v": VERSION, "token": self._token, "id": 0, "op": "ports"}
        with contextlib.suppress(zmq.Again):  # the supervisor has stood still for long
            self.socket.send(encode(request), flags=zmq.DONTWAIT)

    def receive(self) -> PortsReply | None:
        """The answer that has come; None for anything else."""
        try:
            reply = decode(self.socket.recv())
            return read(PortsReply, reply.get("result"), "ports") if reply.get("ok") else None
        except (WireError, ControlError):
            return None
