"""The nodes that are given up for now: parked, tried each minute, and waited for by nobody at the end."""

from __future__ import annotations

import time

from audio_pipeline.errors import NodeError
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.parking import PARKED_S, audible_ends, ending_sentence, parked_sentence, sources_of
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Send, send_to_all
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.worker.commands import Absent, Present


class Parked:
    """Lives in the supervisor's thread."""

    def __init__(self, state: PipelineState, life: Lifecycle, events: EventStream, send: Send) -> None:
        self._state, self._life, self._events, self._send = state, life, events, send

    def names(self) -> list[str]:
        """Those that are parked now."""
        return [record.name for record in self._state.playing if record.phase is Phase.FAILED]

    def park(self, record: NodeRecord, cause: str, *, alone: bool) -> None:
        """The pipeline goes on without it, while anything is audible. `alone`: it shared no process."""
        state = self._state
        sentence = parked_sentence(record.name, record.failures, cause)
        if record.phase is not Phase.FAILED:
            self._events.log(sentence, event="parked", level="error", node=record.name, cause=cause)
        record.phase, record.note, record.retry_s = Phase.FAILED, sentence, time.monotonic() + PARKED_S
        if not alone:
            state.run = state.run.with_apart(record.name)
        state.changed()
        gone = [name for name, other in state.nodes.items() if other.phase in (Phase.FAILED, Phase.ABSENT)]
        if not audible_ends(state.graph.nodes, state.plan.links, gone):
            self._life.give_up(NodeError(ending_sentence(self.names(), cause)))

    def release(self) -> None:
        """Where every source has ended, or the pipeline ends, nobody waits for the end of a parked node.

        One that comes back, or that a source which was sought back plays for, is waited for again.
        """
        over = self._life.ending or self._sources_ended()
        wanted = set(self.names()) if over else set()
        released = self._state.released
        for name in sorted(wanted - released):
            send_to_all(self._state, self._send, Absent(name))
        for name in sorted(released - wanted):
            send_to_all(self._state, self._send, Present(name))
        self._state.released = wanted

    def _sources_ended(self) -> bool:
        state = self._state
        phases = {state.nodes[name].phase for name in sources_of(state.graph.nodes) if name in state.nodes}
        return phases <= {Phase.ENDED, Phase.FAILED, Phase.ABSENT}
