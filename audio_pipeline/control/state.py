"""What a pipeline is and does at one time: the snapshots that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from audio_pipeline.control.message import Request
from audio_pipeline.control.requests import DescribeRequest, LedgerRequest, MetersRequest
from audio_pipeline.control.snapshots import (
    Description,
    Ledger,
    LinkDescription,
    LinkMeters,
    Meters,
    NodeDescription,
    NodeLedger,
    NodeMeters,
    PathDescription,
    PathLedger,
    SongMeters,
)

R = TypeVar("R")
TRIES = 3  # for three snapshots of one revision of the graph


@dataclass(frozen=True)
class NodeStatus:
    """A node as wanted, and what it does."""

    name: str
    description: NodeDescription
    meters: NodeMeters


@dataclass(frozen=True)
class LinkStatus:
    """A link as planned, and what waits on it."""

    description: LinkDescription
    meters: LinkMeters

    @property
    def fill(self) -> float:
        """Share of its window that is under way."""
        return self.meters.in_flight / max(self.description.window, 1)


@dataclass(frozen=True)
class Status:
    """What a pipeline is made of, and what moves."""

    description: Description
    meters: Meters

    @property
    def nodes(self) -> list[NodeStatus]:
        """Those of which both are known."""
        now = self.meters.nodes
        return [NodeStatus(name, node, now[name]) for name, node in self.description.nodes.items() if name in now]

    @property
    def links(self) -> list[LinkStatus]:
        """In the order of the description."""
        return list(map(LinkStatus, self.description.links, self.meters.links))

    @property
    def songs(self) -> Mapping[str, SongMeters]:
        """What sources play, by node."""
        return self.meters.transport

    @property
    def present_paths(self) -> list[PathDescription]:
        """Those whose nodes are all there, the monitor path first."""
        absent = {name for name, node in self.meters.nodes.items() if node.state == "absent"}
        here = [path for path in self.description.paths if absent.isdisjoint(path.path)]
        return sorted(here, key=lambda path: not path.monitor)

    @property
    def frame_ms(self) -> float:
        """Length of a frame."""
        return 1000.0 * self.description.frame_samples / self.description.rate


@dataclass(frozen=True)
class NodeState(NodeStatus):
    """A node with what it counted."""

    ledger: NodeLedger


@dataclass(frozen=True)
class State(Status):
    """All there is to see of a pipeline."""

    ledger: Ledger

    @property
    def node_states(self) -> list[NodeState]:
        """Nodes of which everything is known."""
        counted = self.ledger.nodes
        return [
            NodeState(node.name, node.description, node.meters, counted[node.name])
            for node in self.nodes
            if node.name in counted
        ]

    @property
    def measured(self) -> Mapping[tuple[str, ...], PathLedger]:
        """What paths took, by the names of their nodes."""
        return {path.path: path for path in self.ledger.paths}

    @property
    def fits_together(self) -> bool:
        """Whether the three snapshots are of one graph."""
        return self.description.graph_revision == self.ledger.graph_revision == self.meters.graph_revision


class Asks(Protocol):
    """A client, as far as a state needs one."""

    def ask(self, request: Request[R], timeout_s: float | None = None) -> R: ...


def fetch_state(client: Asks) -> State:
    """All there is to see, once; viewers subscribe instead. Raises ControlError."""
    for _ in range(TRIES):
        description, ledger = client.ask(DescribeRequest()), client.ask(LedgerRequest())
        state = State(description, client.ask(MetersRequest()), ledger)
        if state.fits_together:
            break
    return state
