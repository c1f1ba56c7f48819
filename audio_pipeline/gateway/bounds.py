"""How much work a key of another host may make for a gateway: connections, messages, and what is in them."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping

from audio_pipeline.control.codec import decode
from audio_pipeline.errors import WireError
from audio_pipeline.gateway.budget import Budgets

MOST_CONNECTIONS, LEAST_CONNECTIONS = 128, 16
FILES_BESIDE, FILES_A_CONNECTION = 128, 6
ENTER_S, ENTER = 5.0, 20.0  # handshakes
MESSAGES_S, MESSAGES = 2_000.0, 4_000.0  # a frame of 16 KiB is one message, a longer one several
MESSAGE_BYTES = 16_384
UNITS_S, UNITS = 1_000.0, 2_000.0  # of work for messages that are no frames: a credit or an `alive` is one
MAX_MESSAGE_BYTES = 1 << 16
COSTS = {"hello": 50.0, "offer": 50.0}  # 20 a second
REQUEST = 50.0  # each is answered, and the state of a whole graph is long


class Bounds:
    """Token buckets by public key; connections without keys have one together."""

    def __init__(self) -> None:
        self._enter: Budgets[str] = Budgets(ENTER_S, ENTER)
        self._messages: Budgets[str] = Budgets(MESSAGES_S, MESSAGES)
        self._units: Budgets[str] = Budgets(UNITS_S, UNITS)

    def may_enter(self, user: str, now_s: float) -> bool:
        """Whether one more handshake is one too many."""
        return self._enter.take(user, 1, now_s)

    def may_send(self, user: str, body: bytes, now_s: float) -> bool:
        """Whether a message is read at all."""
        return self._messages.take(user, 1 + len(body) / MESSAGE_BYTES, now_s)

    def message(self, user: str, body: bytes, now_s: float | None = None) -> Mapping[str, object] | None:
        """The message in a body that is no frame; None where the key has sent too many. Raises WireError."""
        now_s = time.monotonic() if now_s is None else now_s
        if len(body) > MAX_MESSAGE_BYTES:
            raise WireError(f"message of {len(body)} bytes from another host, expected at most {MAX_MESSAGE_BYTES}")
        if not self._units.take(user, 1, now_s):
            return None
        message = decode(body)
        kind = message.get("t")
        cost = REQUEST if "op" in message else COSTS.get(kind, 0.0) if isinstance(kind, str) else 0.0
        return message if not cost or self._units.take(user, cost, now_s) else None


def connections_here() -> int:
    """How many connections this process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(max((soft - FILES_BESIDE) // FILES_A_CONNECTION, LEAST_CONNECTIONS), MOST_CONNECTIONS)
