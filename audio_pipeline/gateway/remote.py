"""Another host as this one knows it: where it is, and which keys are used."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from audio_pipeline.gateway.curve import as_client, harden, parse_address
from audio_pipeline.keys import KeyPair, Keys

RETRY_MS, RETRY_MOST_MS = 200, 2_000
MAX_UNREAD, MAX_BYTES = 10_000, 1 << 22  # messages that wait here, and how long one may be


@dataclass(frozen=True)
class Remote:
    """Another host as this one knows it. Without keys only for loopback."""

    host: str
    port: int
    name: str = ""  # of its key
    public: str = ""
    own: KeyPair | None = None

    @property
    def endpoint(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def prepare(self, socket: zmq.Socket[bytes]) -> None:
        """Options before connect."""
        harden(socket)
        socket.setsockopt(zmq.RCVHWM, MAX_UNREAD)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        socket.setsockopt(zmq.RECONNECT_IVL, RETRY_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RETRY_MOST_MS)
        if self.own is not None:
            as_client(socket, self.own, self.public)


def find_remote(address: str, name: str, own: str, *, curve: bool = True, keys: Keys | None = None) -> Remote:
    """The host at `address`, whose key is called `name` (or as the host is). Raises KeysError or ConfigError."""
    host, port = parse_address(address)
    if not curve:
        return Remote(host, port)
    held = keys or Keys()
    name = name or host
    return Remote(host, port, name, held.peer(name).public, held.mine(own)[1])
