"""Who may open which port or operation: the one place that decides, whatever a peer proved its identity with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from audio_pipeline.control.operations import needed_role
from audio_pipeline.control.replies import PortsReply
from audio_pipeline.keys import may

PORT = re.compile(r"[a-z][a-z0-9_]{0,39}\.[a-z0-9_]{1,40}")


class Access(Enum):
    """What a peer asks for."""

    LISTEN = "listen"  # the frames of an exported output
    PLAY = "play"  # to send frames to a node that waits for them
    OPERATION = "operation"  # of the control protocol


@dataclass(frozen=True)
class Caller:
    """A peer whose identity was checked: the owner of a key, or of a token. `name` is empty where it is not known."""

    name: str
    role: str

    @property
    def label(self) -> str:
        """For a sentence."""
        return self.name or "this key"


class Callers(Protocol):
    """Who they are that come, by what they proved: a public key, or a connection that was let in."""

    def caller(self, user: str) -> Caller:
        """Who that is now."""


@dataclass(frozen=True)
class Published:
    """What a pipeline shows to other hosts, as the operation `ports` has it; nothing before it has answered."""

    reply: PortsReply = PortsReply("", 0, (), ())
    is_known: bool = False

    @property
    def ports(self) -> tuple[str, ...]:
        return tuple(output.port for output in self.reply.outputs)

    @property
    def feeds(self) -> tuple[str, ...]:
        return self.reply.feeds


def published(ports: PortsReply, exports: Sequence[str] | None) -> Published:
    """The outputs that `exports` names; where it is empty those that are played at this host, where None all of them.

    All nodes that wait for sound.
    """
    everything = exports is None
    shown = (o for o in ports.outputs if everything or (o.port in exports if exports else o.heard))
    return Published(replace(ports, outputs=tuple(shown)), bool(ports.outputs))


def role_for(access: Access, target: str) -> str | None:
    """The least role that may do this; None where no other host may."""
    return needed_role(target) if access is Access.OPERATION else access.value


def refusal(caller: Caller, access: Access, target: str, shown: Published) -> str:
    """Why `caller` may not have `target`, in a sentence; empty where it may."""
    if access is Access.LISTEN:
        return _listen_refusal(caller, target, shown)
    if access is Access.PLAY:
        return _play_refusal(caller, target, shown)
    needed = role_for(access, target)
    if needed is None:
        return f"{target!r} is not for other hosts"
    if not may(caller.role, needed):
        return f"{caller.label!r} has the role {caller.role!r}, which does not allow {target!r}"
    return ""


def _listen_refusal(caller: Caller, port: str, shown: Published) -> str:
    if port not in shown.ports or not PORT.fullmatch(port):
        return f"{port!r} is not exported; exported are {', '.join(shown.ports) or 'nothing'}"
    return "" if may(caller.role, "listen") else f"{caller.label!r} may not listen here"


def _play_refusal(caller: Caller, node: str, shown: Published) -> str:
    if not may(caller.role, "play"):
        return f"{caller.name or 'a peer without a key'!r} may not play here"
    if node not in shown.feeds:
        return f"no node {node!r} waits for sound; those that do: {', '.join(shown.feeds) or 'none'}"
    return ""
