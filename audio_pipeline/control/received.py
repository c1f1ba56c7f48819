"""What comes back over the control socket, before it is checked: a reply or a push."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast


class Received(TypedDict, total=False):
    """The keys of a reply, and those of a push; see `docs/protocol.md`."""

    id: int | str | None  # of the request; a reply has it
    ok: bool
    result: Any
    error: str
    push: int  # number of the subscription; a push has it
    number: int
    topic: str
    data: Any


def received(message: Mapping[str, object]) -> Received:
    """A decoded message; the types of its values are still to be checked."""
    return cast(Received, message)
