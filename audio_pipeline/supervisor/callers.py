"""Who has asked for what: the way back for a reply, in the codec of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.control.codec import MSGPACK, Codec
from audio_pipeline.packed import UNPACKABLE

SendBytes = Callable[[bytes, bytes], None]  # (address, message)


@dataclass(frozen=True)
class Caller:
    """A client's request, as far as its reply needs it."""

    address: bytes
    number: Any  # the client's own
    send: SendBytes
    codec: Codec = MSGPACK

    def reply(self, result: Any) -> None:
        """It was done."""
        try:
            self._send({"id": self.number, "ok": True, "result": result})
        except UNPACKABLE as error:
            self.refuse(f"the reply cannot be written as {self.codec.name}: {error}")

    def refuse(self, reason: str) -> None:
        """It was not done, for a reason in one sentence."""
        self._send({"id": self.number, "ok": False, "error": reason})

    def _send(self, message: Mapping[str, object]) -> None:
        self.send(self.address, self.codec.encode(message))
