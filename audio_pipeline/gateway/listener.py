"""The tcp socket of a gateway, and the options of the connections that it accepts."""

from __future__ import annotations

import socket

import psutil

BACKLOG = 128
TCP_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


def set_options(connection: socket.socket) -> None:
    """For an accepted connection. Raises OSError."""
    connection.setblocking(False)
    for level, option, value in TCP_OPTIONS:
        connection.setsockopt(level, option, value)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there, for an address or the name of an interface. Raises OSError."""
    plain = _of_interface(host.strip("[]"))
    found = socket.getaddrinfo(None if plain == "*" else plain, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _of_interface(host: str) -> str:
    """The first address of a network interface that is called so, or else the name itself."""
    own = [item.address for item in psutil.net_if_addrs().get(host, ()) if item.family == socket.AF_INET]
    return own[0] if own else host
