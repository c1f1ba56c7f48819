"""Starts the clock and the nodes, once all of them are ready and whenever one is back."""

from __future__ import annotations

from audio_pipeline.clock import ClockLine, start_clocks
from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.jobs import start_command
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.records import NodeRecord, Phase


class Starter:
    """Lives in the supervisor's thread."""

    def __init__(self, state: PipelineState, life: Lifecycle, events: EventStream, ports: Ports) -> None:
        self._state, self._life, self._events, self._ports = state, life, events, ports

    def start_if_ready(self) -> None:
        """Starts the pipeline where nothing is left to wait for."""
        if all(record.ready or record.phase is Phase.ABSENT for record in self._state.playing):
            self.start_all()

    def start_all(self) -> None:
        """Every node is ready: the plan is made of their true latencies, the clock starts, consumers start first."""
        state = self._state
        try:
            state.run.plan = make_plan(state.graph, state.latencies(), live=state.live)
        except ConfigError as error:
            self._life.give_up(error)
            return
        start_clocks(state.run.clocks, ClockLine(0.0, self._ports.now_ns(), float(state.graph.rate)))
        self._life.start()
        for name in reversed(state.plan.order):
            if state.nodes[name].ready:
                self.start_node(state.nodes[name])

    def start_node(self, record: NodeRecord) -> None:
        """The clock runs: the node begins to work."""
        state = self._state
        self._ports.send(record.address, start_command(state.plan, record.name, state.absent()))
        if record.phase in (Phase.RESTARTING, Phase.FAILED):
            self._events.log(f"{record.name} is back", event="back", node=record.name, incarnation=record.incarnation)
        record.phase = Phase.RUNNING
        state.changed()
