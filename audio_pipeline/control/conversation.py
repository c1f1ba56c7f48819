"""One client's side of the control protocol without a socket: requests get numbers, replies find their request."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any, TypeVar

from audio_pipeline.control.codec import MSGPACK, VERSION, Codec
from audio_pipeline.control.message import Request, fields_of, read
from audio_pipeline.control.operations import operation_of
from audio_pipeline.control.received import Received
from audio_pipeline.errors import ControlError
from audio_pipeline.packed import UNPACKABLE

R = TypeVar("R")


class Conversation:
    """Numbers requests and reads replies."""

    def __init__(self, token: str, codec: Codec = MSGPACK) -> None:
        self.codec = codec
        self._token = token
        self._ids = itertools.count(1)

    def encoded(self, op: str, args: Mapping[str, object]) -> tuple[int, bytes]:
        """A request and its id. Raises ControlError for what cannot be sent."""
        number = next(self._ids)
        try:
            return number, self.codec.encode({"v": VERSION, "token": self._token, "id": number, "op": op, **args})
        except UNPACKABLE as error:
            raise ControlError(f"{op}: this cannot be sent: {error}") from error

    def encoded_request(self, request: Request[Any]) -> tuple[int, bytes]:
        """As `encoded`; arguments that are None are left out."""
        args = {name: value for name, value in fields_of(request).items() if value is not None or name == "value"}
        return self.encoded(operation_of(request).name, args)


def result_of(message: Received) -> Any:
    """The result in a reply. Raises ControlError with the reason of a refusal."""
    if not message.get("ok"):
        raise ControlError(str(message.get("error", "refused")))
    return message.get("result")


def reply_of(request: Request[R], result: Any) -> R:
    """A result as the type that belongs to the request. Raises ControlError for one of another shape."""
    row = operation_of(request)
    reply: R = read(row.reply, result, row.name)
    return reply


def silence(op: str, timeout_s: float) -> str:
    """The sentence for a request without a reply."""
    return f"the pipeline did not answer {op!r} within {timeout_s:g} s"


def now_s() -> float:
    """The clock of timeouts."""
    return time.monotonic()
