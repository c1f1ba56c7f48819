"""One connection to the host of a model: joining, what is sent, what comes back, and how its death is noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from audio_pipeline.errors import NodeError, WireError
from audio_pipeline.host.processes import here, started
from audio_pipeline.links.waker import Waker
from audio_pipeline.models.weights.store import cache_folder
from audio_pipeline.serving.model_messages import Alive, Join, Joined, Leave, Message, Refused, pack, unpack
from audio_pipeline.serving.service import Access

JOIN_S = 60.0  # measurements of a mode that nobody has asked for yet
ALIVE_S = 1.0  # how often either side is told that the other is there
SILENT_S = 5.0  # without an answer the host hangs
QUEUE = 8
A_TURN = 16


class HostLostError(Exception):
    """The host of the model is gone, hangs, or has given the place to somebody else."""

    def __init__(self, reason: str, *, hangs: bool = False) -> None:
        super().__init__(reason)
        self.hangs = hangs


@dataclass(frozen=True)
class Wish:
    """The place that a stream asks for; `hop` 0: the host's choice, `prefer` if that fits."""

    stream: str
    mode: str
    hop: int = 0
    prefer: int = 0


class Session:
    """Belongs to one thread; `waker` wakes it while it waits."""

    def __init__(self, context: zmq.Context[Any], access: Access, waker: Waker, most_bytes: int) -> None:
        self._waker, self._token = waker, access.token
        self._socket = context.socket(zmq.DEALER)
        for option, value in ((zmq.SNDHWM, QUEUE), (zmq.RCVHWM, QUEUE), (zmq.LINGER, 200)):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.MAXMSGSIZE, most_bytes)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._socket.connect(f"ipc://{access.path}")
        self._poller = zmq.Poller()
        for each in (self._socket, self._monitor):
            self._poller.register(each, zmq.POLLIN)
        self._poller.register(waker.fd, zmq.POLLIN)
        self._received_s = self._sent_s = time.monotonic()
        self.place = ""

    def join(self, wish: Wish, stopped: Callable[[], bool]) -> Joined:
        """A place. Raises NodeError where it is refused, HostLostError."""
        pid = os.getpid()
        asked = Join(self._token, wish.stream, wish.mode, wish.hop, wish.prefer, pid, started(pid), here())
        self.send(asked)
        until_s = time.monotonic() + JOIN_S
        while time.monotonic() < until_s and not stopped():
            for message, _ in self.turn():
                if isinstance(message, Joined):
                    self.place = message.place
                    return message
                if isinstance(message, Refused):
                    raise NodeError(f"model of the host: {message.reason}")
        raise HostLostError(f"no place within {JOIN_S:g} s", hangs=True)

    def send(self, message: Message, payload: bytes = b"") -> bool:
        """False where the host has not taken what was sent before: it is left out."""
        try:
            self._socket.send_multipart([pack(message), payload] if payload else [pack(message)], zmq.DONTWAIT)
        except zmq.Again:
            return False
        self._sent_s = time.monotonic()
        return True

    def turn(self) -> list[tuple[Message, bytes]]:
        """What came, after `ALIVE_S` at most or when the waker wakes. Raises HostLostError."""
        self._poller.poll(round(ALIVE_S * 1000))
        self._waker.clear()
        if self._monitor.poll(0):
            recv_monitor_message(self._monitor)
            raise HostLostError("its process has ended")
        found = self._received()
        now_s = time.monotonic()
        if found:
            self._received_s = now_s
        if self.place and now_s - self._sent_s >= ALIVE_S:
            self.send(Alive(self.place))
        if self.place and now_s - self._received_s > SILENT_S:
            raise HostLostError(f"it has not answered for {SILENT_S:g} s", hangs=True)
        return found

    def _received(self) -> list[tuple[Message, bytes]]:
        found: list[tuple[Message, bytes]] = []
        for _ in range(A_TURN):
            if not self._socket.poll(0):
                break
            head, *rest = self._socket.recv_multipart()
            try:
                found.append((unpack(head), rest[0] if rest else b""))
            except WireError as error:
                raise HostLostError(str(error)) from error
        return found

    def close(self) -> None:
        """Gives the place back."""
        if self.place:
            self.send(Leave(self.place))
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()


def model_key(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the users of one host of a model have in common: the model, and where its weights are found."""
    folders = [str(cache_folder()), os.environ.get("AUDIO_PIPELINE_MODELS", "")]
    return {**task, "folders": folders, "devices": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
