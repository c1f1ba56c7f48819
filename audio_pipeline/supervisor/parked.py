"""The nodes that are given up for now: parked, tried each minute, and waited for by nobody at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from audio_pipeline.errors import NodeError
from audio_pipeline.supervisor.parking import PARKED_S, ending_sentence, heard, parked_sentence, sources_of
from audio_pipeline.supervisor.records import NodeRecord, Phase

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor


class Parked:
    """Lives in the supervisor's thread. `tell_all(op, name)` tells every node of one: `absent` or `present`."""

    def __init__(self, supervisor: Supervisor, tell_all: Callable[[str, str], None]) -> None:
        self._sup, self._tell_all = supervisor, tell_all
        self.released: set[str] = set()  # those that nobody waits for any more

    def names(self) -> list[str]:
        """Those that are parked now."""
        return [name for name, record in self._sup.nodes.items() if record.phase is Phase.FAILED]

    def park(self, record: NodeRecord, cause: str, *, alone: bool) -> None:
        """The pipeline goes on without it, while there is anything to hear. `alone`: it shared no process."""
        sup = self._sup
        said = parked_sentence(record.name, record.failures, cause)
        if record.phase is not Phase.FAILED:
            sup.log(said, event="parked", level="error", node=record.name, cause=cause)
        record.phase, record.note, record.retry_s = Phase.FAILED, said, time.monotonic() + PARKED_S
        if not alone:
            sup.run = sup.run.with_apart(record.name)
        sup.control_server.changed()
        gone = [name for name, other in sup.nodes.items() if other.phase in (Phase.FAILED, Phase.ABSENT)]
        if not heard(sup.graph.nodes, sup.run.plan.links, gone):
            sup.give_up(NodeError(ending_sentence(self.names(), cause)))

    def release(self) -> None:
        """Where every source has ended, or the pipeline is told to, nobody waits for the end of a parked node.

        One that comes back, or that a source which was sought back plays for, is waited for again.
        """
        over = self._sup.finishing_s is not None or self._sources_ended()
        wanted = set(self.names()) if over else set()
        for name in sorted(wanted - self.released):
            self._tell_all("absent", name)
        for name in sorted(self.released - wanted):
            self._tell_all("present", name)
        self.released = wanted

    def _sources_ended(self) -> bool:
        nodes = self._sup.nodes
        phases = {nodes[name].phase for name in sources_of(self._sup.graph.nodes) if name in nodes}
        return phases <= {Phase.ENDED, Phase.FAILED, Phase.ABSENT}
