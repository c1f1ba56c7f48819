"""What may be asked of a graph while it plays: a frozen dataclass for each change, told apart by `op`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audio_pipeline.settings import build, setting, variant_of

OPERATIONS = CONNECT, DISCONNECT, ADD, REMOVE, BYPASS = ("connect", "disconnect", "add", "remove", "bypass")
MAX_CHANGES = 256  # at once


@dataclass(frozen=True, kw_only=True)
class GraphChange:
    """One change."""

    op: str = setting(choices=OPERATIONS)

    @classmethod
    def variant(cls, raw: Mapping[str, object]) -> type[GraphChange]:
        """The type of a map, by its `op`."""
        return CHANGES.get(str(raw.get("op")), GraphChange)


@dataclass(frozen=True, kw_only=True)
class Connect(GraphChange):
    """Connects an input, new or existing; its other keys stay, except for those in `keys`."""

    op: str = setting(CONNECT, choices=(CONNECT,))
    from_: str = setting(doc="`node` or `node.port`")
    to: str = setting(doc="`node.input`")
    keys: dict[str, Any] | None = setting(None, "of the input")


@dataclass(frozen=True, kw_only=True)
class Disconnect(GraphChange):
    """Removes an input."""

    op: str = setting(DISCONNECT, choices=(DISCONNECT,))
    to: str = setting(doc="`node.input`")


@dataclass(frozen=True, kw_only=True)
class Add(GraphChange):
    """Adds a node with its inputs."""

    op: str = setting(ADD, choices=(ADD,))
    name: str = setting(doc="of the node")
    node: dict[str, Any] = setting(doc="a map as in a file")


@dataclass(frozen=True, kw_only=True)
class Remove(GraphChange):
    """Removes a node; after all changes no input may be connected to it."""

    op: str = setting(REMOVE, choices=(REMOVE,))
    name: str = setting(doc="of the node")


@dataclass(frozen=True, kw_only=True)
class Bypass(GraphChange):
    """Replaces a node's output by its declared bypass, or reverts that."""

    op: str = setting(BYPASS, choices=(BYPASS,))
    name: str = setting(doc="of the node")
    on: bool = setting(doc="false reverts it")


CHANGES: Mapping[str, type[GraphChange]] = {
    CONNECT: Connect,
    DISCONNECT: Disconnect,
    ADD: Add,
    REMOVE: Remove,
    BYPASS: Bypass,
}


def changes_in(raw: Iterable[GraphChange | Mapping[str, Any]]) -> tuple[GraphChange, ...]:
    """Changes, each as such or as a plain map. Raises ConfigError.

    >>> changes_in([{"op": "remove", "name": "rec"}])
    (Remove(op='remove', name='rec'),)
    """
    return tuple(_change(each, f"changes.{at}") for at, each in enumerate(raw))


def _change(raw: GraphChange | Mapping[str, Any], where: str) -> GraphChange:
    return raw if isinstance(raw, GraphChange) else build(variant_of(GraphChange, raw), raw, (where,))
