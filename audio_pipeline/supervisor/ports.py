"""What the supervisor does to the outside, so that the same code runs over processes and over virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.worker.commands import Command

Send = Callable[[bytes, Command], None]  # (address of a node, command)
Launch = Callable[[Sequence[NodeRecord], Run], None]  # the nodes of one process; raises what is refused


def send_to_all(state: PipelineState, send: Send, command: Command) -> None:
    """To the present process of each node of the graph."""
    for record in state.playing:
        send(record.address, command)


@dataclass(frozen=True)
class Ports:
    """Messages, processes and time."""

    send: Send
    launch: Launch
    now_ns: Callable[[], int]  # monotonic

    @property
    def now_s(self) -> float:
        return self.now_ns() / 1e9
