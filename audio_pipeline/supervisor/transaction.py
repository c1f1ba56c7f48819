"""Takes a running pipeline from one graph to another: all or nothing, one change after the other.

What joins is started and has to be ready before anything is switched. Then producers are sent whom to expect, then
every node how to be connected, and what leaves ends when nothing listens to it any more. From the switch on the new
graph is what is wanted: a node that dies meanwhile comes back with the new links.
"""

from __future__ import annotations

from collections.abc import Callable

from audio_pipeline.control.events import GraphEvent
from audio_pipeline.errors import ControlError, NodeError, PipelineError
from audio_pipeline.graph.groups import processes
from audio_pipeline.graph.types import Graph
from audio_pipeline.supervisor.change import Change, Done, Outcome, Stage, as_sentence, rewiring_to, summary
from audio_pipeline.supervisor.departed import Departed
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.jobs import lead_of
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.records import NodeRecord, Phase, Process
from audio_pipeline.supervisor.relinker import Relinker
from audio_pipeline.supervisor.rewire import Rewiring, check_processes
from audio_pipeline.supervisor.starter import Starter
from audio_pipeline.supervisor.writing import WRITE_S, is_writing
from audio_pipeline.worker.commands import Connections, Expect, Lead, Retire, Rewire, Stop

SWITCH_S = 8.0  # more than any patience on the way; then the graph goes on as it is
LEAVE_S = 3.0  # to finish files and end; then it is ended
KILL_S = 2.0


class Transaction:
    """At most one change at a time. Lives in the supervisor's thread."""

    def __init__(
        self,
        state: PipelineState,
        events: EventStream,
        starter: Starter,
        relinker: Relinker,
        departed: Departed,
        ports: Ports,
    ) -> None:
        self._state, self._events, self._starter = state, events, starter
        self._relinker, self._departed, self._ports = relinker, departed, ports
        self._now: Change | None = None

    @property
    def busy(self) -> bool:
        return self._now is not None

    @property
    def waits_for(self) -> str:
        """What the change under way waits for, and which nodes that concerns."""
        now = self._now
        if now is None:
            return "nothing"
        names = [*dict.fromkeys(now.waiting.values())] or [record.name for record in self._state.in_transit()]
        return f"{now.stage.value}: {', '.join(names)}"

    def begin(self, graph: Graph, what: str, committed: Callable[[], None], done: Done) -> None:
        """Starts a change to `graph`. Raises ConfigError or ControlError; then nothing has changed.

        `committed` is called when the new graph is about to replace the present one, `done` at the end: with the
        result, or with the error where a node that joins does not start.
        """
        rewiring = rewiring_to(graph, self._state)
        check_processes(self._state.graph, rewiring.added, graph)
        for name in rewiring.touched:
            if self._state.nodes[name].phase is Phase.ENDED:
                raise ControlError(f"nodes.{name}: it has ended, so nothing can be connected to it any more")
        self._now = Change(what, graph, rewiring, committed, done)
        try:
            self._launch(graph, rewiring)
        except Exception as error:  # noqa: BLE001 - a kind's own mistake, or no process to be had: the graph plays on
            self._roll_back(as_sentence(error))

    def _launch(self, graph: Graph, rewiring: Rewiring) -> None:
        state, joining = self._state, self._state.joining
        for name in rewiring.added:
            joining[name] = record = self._departed.record(graph.nodes[name])
            state.transports.join(record)
        for members in processes(graph).values():
            records = [joining[name] for name in members if name in joining]
            if records:
                self._ports.launch(records, rewiring.run)
        if not rewiring.added:
            self._switch()

    # -- what nodes do ------------------------------------------------------------------------------

    def on_ready(self, record: NodeRecord) -> None:
        """One that joins has started; when all have, the graph is switched."""
        starting = self._now is not None and self._now.stage is Stage.STARTING  # else a successor
        if starting and all(other.ready for other in self._state.starting()):
            self._switch()

    def on_exit(self, record: NodeRecord, cause: str) -> None:
        """The process of a node that joins or leaves is gone."""
        state = self._state
        if state.joining.get(record.name) is record:
            self._roll_back(NodeError(f"nodes.{record.name}: {cause}; the graph plays on as it was"))
        elif state.leaving.get(record.name) is record:
            self._gone(record)

    def bystanders(self, child: Process) -> list[NodeRecord]:
        """Nodes in a process that do not play yet, or not any more."""
        return [record for record in self._state.in_transit() if record.child is child]

    def on_dismissed(self, record: NodeRecord) -> None:
        """One that leaves has let go of everything; its process goes on with others, or ends."""
        state = self._state
        if record.name in state.leaving and any(other.child is record.child for other in state.playing):
            record.child = None
            self._gone(record)

    def on_death(self, name: str) -> None:
        """A node died; its successor is connected as is wanted now."""
        now = self._now
        if now is not None:
            now.waiting = {number: node for number, node in now.waiting.items() if node != name}

    def on_ended(self, record: NodeRecord) -> None:
        """A node has sent all it had; one that leaves may end."""
        if record.name in self._state.leaving:
            self._ports.send(record.address, Stop())

    def on_reply(self, number: int, error: str | None) -> None:
        """A node has answered a message about its links; `error` is what it could not do."""
        now = self._now
        if now is not None and now.waiting.pop(number, "") and error is not None:
            self._events.log(f"change of the graph: {error}")

    # -- the stages -----------------------------------------------------------------------------------

    def turn(self) -> None:
        """Goes on where what the change waited for is done."""
        now, now_s = self._now, self._ports.now_s
        if now is None or now.stage is Stage.STARTING:
            return
        if now.waiting and now_s > now.deadline_s:
            names = ", ".join(dict.fromkeys(now.waiting.values()))
            self._events.log(f"{names} did not finish a change of the graph within {SWITCH_S:g} s; it continues")
            now.waiting = {}
        if now.waiting:
            return
        if now.stage is Stage.EXPECTING:
            self._connect(now)
        elif now.stage is Stage.SWITCHING:
            self._retire(now)
        else:
            self._end_leaving(now)

    def _switch(self) -> None:
        """Everything that joins is ready: from here on the new graph is what is wanted."""
        now, state = self._now, self._state
        assert now is not None
        try:
            now.rewiring = rewiring_to(now.graph, state)
        except PipelineError as error:
            self._roll_back(error)
            return
        now.committed()
        state.switch(now.rewiring.run, now.rewiring.removed)
        self._departed.retire(now.rewiring.retired)
        for name in now.rewiring.touched:  # what made it fail may have been taken away
            state.nodes[name].hurry(self._ports.now_s)
        self._relinker.leads_ms = now.rewiring.leads_ms
        self._ask(now, Stage.EXPECTING, Expect)

    def _ask(self, now: Change, stage: Stage, kind: type[Connections]) -> None:
        """Sends every node that is connected differently its links, and waits for the replies."""
        now.stage, now.deadline_s = stage, self._ports.now_s + SWITCH_S
        records = [self._state.nodes[name] for name in now.rewiring.touched]
        present = [record.name for record in records if record.ready and record.child is not None]
        now.waiting = {self._relinker.send(name, kind): name for name in present}
        self.turn()

    def _connect(self, now: Change) -> None:
        for record in self._state.admit(now.rewiring.added):
            self._starter.start_node(record)
        self._ask(now, Stage.SWITCHING, Rewire)

    def _retire(self, now: Change) -> None:
        """What leaves is used by nobody any more: it finishes its files and ends."""
        state = self._state
        now.stage, now.deadline_s = Stage.LEAVING, self._ports.now_s + LEAVE_S
        plan, nodes, self._relinker.leads_ms = state.plan, state.nodes, {}
        for name, lead_ms in now.rewiring.leads_ms.items():
            if lead_ms != plan.leads_ms[name]:
                self._ports.send(nodes[name].address, Lead(lead_of(plan, name)))
        for record in list(state.leaving.values()):
            if record.child is None:
                self._gone(record)
            else:
                self._ports.send(record.address, Retire())
                if record.phase is Phase.ENDED:
                    self.on_ended(record)
        self._end_leaving(now)

    def _end_leaving(self, now: Change) -> None:
        if self._now is not now:
            return  # the last that left has ended it
        state = self._state
        late_s = self._ports.now_s - now.deadline_s
        for record in tuple(state.leaving.values()) if late_s > 0 else ():
            writing = late_s <= WRITE_S and is_writing(record, state.board_path(record))
            if record.child is not None and not writing:
                record.child.kill()
                now.deadline_s = self._ports.now_s + LEAVE_S
        if not state.leaving:
            self._finish(now)

    def _finish(self, now: Change) -> None:
        revision = self._state.graph_revision
        self._events.log(f"graph {revision}: {summary(now.what, now.rewiring)}")
        self._events.publish(GraphEvent(revision=revision, what=now.what))
        self._close(now.result(revision))

    def _gone(self, record: NodeRecord) -> None:
        state = self._state
        del state.leaving[record.name]
        state.transports.leave(record.name)
        self._departed.keep(record)
        self.turn()

    def _roll_back(self, error: PipelineError) -> None:
        state = self._state
        joining = state.starting()
        state.joining.clear()
        for record in joining:
            if record.child is not None:
                record.child.kill()
                record.child.wait(KILL_S)
            state.transports.leave(record.name)
            self._departed.keep(record)
        self._close(error)

    def abandon(self, error: PipelineError) -> None:
        """The pipeline ends: whoever waits for a change gets the error."""
        if self._now is not None:
            self._close(error)

    def _close(self, outcome: Outcome) -> None:
        now, self._now = self._now, None
        assert now is not None
        now.done(outcome)
        self._state.changed()
