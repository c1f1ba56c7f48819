"""CURVE on ZeroMQ sockets: options of both ends, who is let in, and what a silent failure means.

ZeroMQ reports nothing when a handshake fails; it tries again. A socket's monitor reports it (RFC 26, RFC 27).
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from audio_pipeline.errors import ConfigError
from audio_pipeline.keys import KeyPair

PORT = 7700
SILENT_MS = 3_000  # a peer that says nothing for so long is gone
HANDSHAKE_MS = 5_000
ZAP = "inproc://zeromq.zap.01"
ADDRESS = re.compile(r"(?:tcp://)?(\[[0-9a-fA-F:.%a-z]+\]|[^\[\]:/\s]+)(?::(\d{1,5}))?")

UP, DOWN, DENIED, WRONG_KEY, NO_CURVE, UNREACHABLE = "up", "down", "denied", "wrong key", "no curve", "unreachable"
_MEANING = {
    int(zmq.EVENT_HANDSHAKE_SUCCEEDED): UP,
    int(zmq.EVENT_DISCONNECTED): DOWN,
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH): DENIED,
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL): WRONG_KEY,
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL): NO_CURVE,
    int(zmq.EVENT_CONNECT_RETRIED): UNREACHABLE,
}


def parse_address(text: str) -> tuple[str, int]:
    """Host and port; without a port it is 7700. Raises ConfigError.

    >>> parse_address("studio"), parse_address("tcp://0.0.0.0:7701"), parse_address("[::1]:80")
    (('studio', 7700), ('0.0.0.0', 7701), ('[::1]', 80))
    """
    found = ADDRESS.fullmatch(text)
    if found is None or int(found[2] or PORT) > 65_535:
        raise ConfigError(f"address: expected HOST, HOST:PORT or tcp://HOST:PORT, got {text!r}")
    return found[1], int(found[2] or PORT)


def is_loopback(host: str) -> bool:
    """Whether only this host can connect to an address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "[::1]", "localhost", "0.0.0.0", "eth0", "*")]
    [True, True, True, False, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def check_listen(text: str, *, curve: bool) -> None:
    """Raises ConfigError where an address cannot be listened on, or not without keys."""
    host, _ = parse_address(text)
    if not curve and not is_loopback(host):
        raise ConfigError(
            f"listen: {text} can be reached from other hosts, so it needs keys and encryption; "
            "`curve: false` is for loopback addresses"
        )


def harden(socket: zmq.Socket[bytes]) -> None:
    """For tcp: a handshake cannot be held open. ZeroMQ's heartbeats are not used: see `acceptor`."""
    for option, value in (
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 10),
        (zmq.TCP_KEEPALIVE_INTVL, 5),
        (zmq.TCP_KEEPALIVE_CNT, 3),
        (zmq.IPV6, 1),
        (zmq.LINGER, 0),
    ):
        socket.setsockopt(option, value)


def as_client(socket: zmq.Socket[bytes], own: KeyPair, host_public: str) -> None:
    """Before connect: encrypts, proves who we are, and talks to nobody but the host with that key."""
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
    socket.setsockopt(zmq.CURVE_SERVERKEY, host_public.encode())


def as_server(socket: zmq.Socket[bytes], own: KeyPair) -> None:
    """Before bind: only who knows our key and is let in by the `Gatekeeper` of this context can speak."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, b"audio-pipeline")


class Gatekeeper:
    """Answers for a whole context which public keys may connect (ZAP, RFC 27).

    The key itself is the user id of all that then comes: a name may be given to another key while this one is there.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        allows: Callable[[str], bool],
        is_early: Callable[[str], bool] = lambda public: False,
    ) -> None:
        self._allows, self._is_early = allows, is_early
        self.denied = 0
        self.socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP)

    def handle(self) -> str | None:
        """Answers one request; the key that was turned away, if one was."""
        parts = self.socket.recv_multipart()
        public = ""
        if len(parts) == 7 and parts[5] == b"CURVE" and len(parts[6]) == 32:
            public = z85.encode(parts[6]).decode()
        version, number = (*parts, b"", b"")[:2]
        if not public or not self._allows(public):
            self.denied += 1
            self.socket.send_multipart([version, number, b"400", b"not allowed", b"", b""])
            return public
        if self._is_early(public):  # 300: the connection is closed without a word, and the peer tries again
            self.socket.send_multipart([version, number, b"300", b"too often", b"", b""])
            return None
        self.socket.send_multipart([version, number, b"200", b"OK", public.encode(), b""])
        return None

    def close(self) -> None:
        self.socket.close(linger=0)


_numbers = itertools.count()
MOST_NEWS = 64  # at once


class Watcher:
    """Reads from a socket's monitor how its connection fares."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._watched = socket
        self._reached = False  # in this attempt
        # its own name: pyzmq's is made of a file number, which a closing socket may still hold
        self.socket: zmq.Socket[bytes] = socket.get_monitor_socket(addr=f"inproc://watcher-{next(_numbers)}")

    def news(self) -> list[str]:
        """What happened since the last call, oldest first."""
        found: list[str] = []
        for _ in range(MOST_NEWS):
            if not self.socket.poll(0):
                break
            event = int(recv_monitor_message(self.socket)["event"])
            meaning = _MEANING.get(event)
            if meaning is not None and not (meaning == UNREACHABLE and self._reached):
                found.append(meaning)
            self._reached = event == zmq.EVENT_CONNECTED or (self._reached and meaning != UNREACHABLE)
        return found

    def close(self) -> None:
        if not self._watched.closed:
            self._watched.disable_monitor()
        self.socket.close(linger=0)


def explain(status: str, host: str, peer: str, *, curve: bool = True) -> str:
    """One sentence for what went wrong with a connection to `host`, whose key is called `peer`."""
    if not curve and status in (WRONG_KEY, NO_CURVE):
        return f"{host} refuses connections without a key: remove `curve: false`"
    return {
        UNREACHABLE: f"{host} cannot be reached: nothing listens there, or the network is down",
        DOWN: f"the connection to {host} broke off",
        DENIED: f"{host} does not let this host in: its key is not on the allow-list there, or has no role for this",
        WRONG_KEY: f"{host} has another key than {peer!r}, or does not encrypt, so no connection is made",
        NO_CURVE: f"{host} has another key than {peer!r}, or does not encrypt, so no connection is made",
    }.get(status, f"{host} does not answer")
