"""The socket behind the acceptor: whose messages are whose, and what each peer is sent."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

import zmq

from audio_pipeline.gateway.acceptor import Acceptor
from audio_pipeline.gateway.connection import number_of, remove_dead
from audio_pipeline.gateway.curve import as_server, harden
from audio_pipeline.gateway.peer import Peer
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import KeyPair

MAX_BYTES = 1 << 20
MAX_WAITING = 100  # messages to one peer that does not read: a second of sound
MAX_UNREAD = 20_000  # messages from one peer; the acceptor lets in far fewer, see there why
A_TURN = 64  # messages from outside altogether
INSIDE = "~gateway"  # begins the name of the socket to which the acceptor passes bytes
Take = Callable[[Peer, bytes], None]
_numbers = itertools.count()


class Sent(Enum):
    """What became of a message to a peer."""

    DONE = "done"
    FULL = "full"  # it does not read as fast as it is sent
    GONE = "gone"


class Router:
    """Binds a socket of its own name in the run's folder. Raises ZMQError where it cannot."""

    def __init__(self, context: zmq.Context[Any], run: RunDir, pair: KeyPair | None) -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._has_keys = pair is not None
        self._identities: dict[int, bytes] = {}  # of connections that have sent something, as ZeroMQ calls them
        self._numbers: dict[bytes, int] = {}  # the other way round
        harden(self.socket)
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.SNDHWM, MAX_WAITING),
            (zmq.RCVHWM, MAX_UNREAD),
            (zmq.MAXMSGSIZE, MAX_BYTES),
        ):
            self.socket.setsockopt(option, value)
        if pair is not None:
            as_server(self.socket, pair)
        remove_dead(run.path, f"{INSIDE}.")
        inside = run.endpoint(INSIDE, f"{os.getpid()}-{next(_numbers)}")
        self.socket.bind(inside)
        self.path = inside.removeprefix("ipc://")

    def receive(self, take: Take, acceptor: Acceptor) -> bool:
        """Takes a turn's share of what came; True where there may be more."""

        def each(frames: Sequence[zmq.Frame]) -> None:
            peer = self._sender(frames)
            if peer.connection is not None:
                acceptor.acknowledge(peer.connection, len(frames) - 1)
            take(peer, frames[-1].bytes)

        return receive(self.socket, each, acceptor)

    def _sender(self, frames: Sequence[zmq.Frame]) -> Peer:
        identity, body = frames[0].bytes, frames[-1]
        user = str(body.get("User-Id")) if self._has_keys else ""
        number = self._numbers.get(identity) or number_of(int(body.get(zmq.SRCFD)))
        if number is not None:
            self._numbers[identity], self._identities[number] = number, identity
        return Peer(identity, user, number)

    def forget(self, gone: Iterator[int]) -> Iterator[bytes]:
        """The identities of connections that have ended."""
        for number in gone:
            identity = self._identities.pop(number, None)
            if identity is not None:
                del self._numbers[identity]
                yield identity

    def send(self, identity: bytes, message: bytes) -> Sent:
        """Queues a message for a peer."""
        try:
            self.socket.send_multipart([identity, message], flags=zmq.DONTWAIT)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return Sent.GONE
        return Sent.DONE


def receive(router: zmq.Socket[bytes], take: Callable[[Sequence[zmq.Frame]], None], acceptor: Acceptor) -> bool:
    """Takes a turn's share of what came, a message of each connection after the other; True where there may be more."""
    try:
        for _ in range(A_TURN):
            take(router.recv_multipart(zmq.DONTWAIT, copy=False))
    except zmq.Again:
        return False
    finally:
        acceptor.wake()
    return True
