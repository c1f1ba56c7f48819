"""Sends nodes the links that they are to have now."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

from audio_pipeline.control.message import fields_of
from audio_pipeline.errors import PipelineError
from audio_pipeline.supervisor.change import rewiring_to
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.jobs import rewire_command
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.worker.commands import Connections, Rewire


class Relinker:
    """A `Rewire` of a node states how it is to be connected, whatever it was before."""

    def __init__(self, state: PipelineState, events: EventStream, ports: Ports) -> None:
        self._state, self._events, self._ports = state, events, ports
        self._numbers = itertools.count(-1, -1)  # those of requests count up
        self.leads_ms: Mapping[str, float] = {}  # longer than planned, while the slower way is still played

    def send(self, name: str, kind: type[Connections] = Rewire) -> int:
        """Sends a node its links and gives the number that its reply will bear."""
        record, run = self._state.nodes[name], self._state.run
        command = rewire_command(run, name, record.input_settings, self._state.absent())
        lead_ms = self.leads_ms.get(run.plan.timelines[name], command.lead_ms)
        number = next(self._numbers)
        self._ports.send(record.address, kind(**{**fields_of(command), "lead_ms": lead_ms, "id": number}))
        return number

    def bring_up_to_date(self, record: NodeRecord) -> None:
        """A node that was started for an earlier graph is connected as is wanted now."""
        if record.revision != self._state.graph_revision:
            record.revision = self._state.graph_revision
            self.send(record.name)

    def replan(self) -> None:
        """A restarted node states another latency than before: buffers, budgets and leads follow."""
        state = self._state
        try:
            change = rewiring_to(state.graph, state)
        except PipelineError as error:
            self._events.log(f"{error}; the buffers stay as they were")
            return
        state.run = replace(state.run, plan=change.run.plan)
        for name in change.touched:
            if state.nodes[name].phase is Phase.RUNNING:
                self.send(name)
