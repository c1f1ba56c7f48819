"""Who sent a message to a gateway."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """The connection as ZeroMQ knows it, the public key that it proved, and its number."""

    identity: bytes
    user: str
    connection: int | None = None
