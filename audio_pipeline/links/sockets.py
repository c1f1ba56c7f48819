"""The ZeroMQ sockets at both ends of a link.

High-water marks bound nothing that matters here (a stalled reader at HWM 1 still swallows seconds of
audio in kernel buffers), so the only flow control is the credit of `credit.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import zmq

from audio_pipeline.links.port_specs import InSpec

MAX_FRAME_BYTES = 1 << 26
MAX_GREETING_BYTES = 1 << 16


def bound_router(context: zmq.Context[Any], endpoints: Iterable[str]) -> zmq.Socket[bytes]:
    """The producer's socket; a consumer that comes back under its name takes its old connection's place."""
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    options = (
        (zmq.ROUTER_MANDATORY, 1),
        (zmq.ROUTER_HANDOVER, 1),
        (zmq.LINGER, 0),
        (zmq.SNDHWM, 0),
        (zmq.RCVHWM, 10_000),
        (zmq.MAXMSGSIZE, MAX_GREETING_BYTES),
    )
    for option, value in options:
        socket.setsockopt(option, value)
    for endpoint in endpoints:
        socket.bind(endpoint)
    return socket


def connected_dealer(context: zmq.Context[Any], spec: InSpec) -> zmq.Socket[bytes]:
    """The consumer's socket; nothing is queued for a producer that is not there."""
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    options = (
        (zmq.LINGER, 0),
        (zmq.IMMEDIATE, 1),
        (zmq.SNDHWM, 10),
        (zmq.RCVHWM, 0),
        (zmq.RECONNECT_IVL, 5),
        (zmq.RECONNECT_IVL_MAX, 20),
        (zmq.MAXMSGSIZE, MAX_FRAME_BYTES),
    )
    for option, value in options:
        socket.setsockopt(option, value)
    if spec.identity:
        socket.setsockopt(zmq.IDENTITY, spec.identity.encode())
    socket.connect(spec.endpoint)
    return socket
