"""The control protocol to a pipeline on another host, through its gateway."""

from __future__ import annotations

import queue
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from audio_pipeline.control.client import Client
from audio_pipeline.control.received import Received, received
from audio_pipeline.errors import ConfigError
from audio_pipeline.gateway.host_pool import RemotePort
from audio_pipeline.gateway.remote import Remote, find_remote
from audio_pipeline.gateway.stream import Line
from audio_pipeline.keys import Keys
from audio_pipeline.links.message_codec import pack
from audio_pipeline.links.messages import Bye, LinkMessage

ADDRESS = re.compile(r"tcp://(?:(?P<key>[^@]*)@)?(?P<host>[^@]+)")
MOST_UNSENT, MOST_UNREAD = 64, 256  # messages


class ControlEnd:
    """A client's end of a stream. It greets nobody: its first request opens the stream."""

    greeted = True

    def __init__(self, line: Line) -> None:
        self._line = line
        self.refused = ""
        self._unsent: deque[bytes] = deque(maxlen=MOST_UNSENT)
        self._received: queue.Queue[Received] = queue.Queue(MOST_UNREAD)

    def post(self, message: bytes) -> None:
        """Keeps it for the connection's thread."""
        self._unsent.append(message)

    def take(self, timeout_s: float) -> Received | None:
        """The next message, None where none comes in time."""
        try:
            return self._received.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            return None

    def on_bytes(self, message: bytes) -> None:
        """A frame: nobody asked for one."""

    def on_message(self, message: LinkMessage) -> None:
        """A gateway that was restarted does not know us; our next request opens the stream anew."""

    def on_reply(self, reply: Mapping[str, Any]) -> None:
        """A reply or a push; what a client does not read in time is lost, as a request without a reply is."""
        with suppress(queue.Full):
            self._received.put_nowait(received(reply))

    def send_due(self, now_ns: int) -> None:
        while self._unsent and self._line.send(self._unsent[0]):
            self._unsent.popleft()

    def reconnect(self) -> None:
        """Whoever waits for a reply waits in vain: it may have been done, so it is not asked again."""

    def goodbye(self) -> bytes:
        return pack(Bye())


class StreamTransport(RemotePort[ControlEnd]):
    """A `Transport` over the connection that this process has to the other host."""

    def __init__(self, remote: Remote) -> None:
        super().__init__(remote, ControlEnd)

    def send(self, message: bytes) -> None:
        self.end.post(message)
        self.wake()

    def receive(self, timeout_s: float) -> Received | None:
        return self.end.take(timeout_s)

    def close(self, linger_ms: int = 0) -> None:
        """What was sent last goes out before the goodbye, where the connection is up."""
        super().close()


class RemoteControl(Client):
    """As `Client`; what is allowed depends on this host's role there. Says why where nobody answers."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._line: StreamTransport | None = None
        super().__init__(remote.endpoint, "")

    @property
    def remote(self) -> Remote:
        """The host that it talks to."""
        return self._remote

    def _transport(self) -> StreamTransport:
        made = StreamTransport(self._remote)
        self._line = self._line or made
        return made

    def _silent(self, op: str, timeout_s: float) -> str:
        trouble = self._line.trouble if self._line is not None else ""
        return trouble or f"{self._remote.endpoint} does not answer"


def connect(address: str, own: str = "", keys: Keys | None = None) -> RemoteControl:
    """A client for `tcp://HOST[:PORT]`, or `tcp://KEY@HOST[:PORT]` where the key is not called as the host is."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ConfigError(f"--pipeline: expected a name, or tcp://[KEY@]HOST[:PORT], got {address!r}")
    return RemoteControl(find_remote(found["host"], found["key"] or "", own, keys=keys))
