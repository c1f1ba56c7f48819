"""What the supervisor does to the outside, so that the same code runs over processes and over virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.records import NodeRecord

Send = Callable[[bytes, Mapping[str, Any]], None]  # (address of a node or client, message)
Launch = Callable[[Sequence[NodeRecord], Run], None]  # the nodes of one process; raises what is refused


@dataclass(frozen=True)
class Ports:
    """Messages, processes and time."""

    send: Send
    launch: Launch
    now_ns: Callable[[], int]  # monotonic

    @property
    def now_s(self) -> float:
        return self.now_ns() / 1e9
