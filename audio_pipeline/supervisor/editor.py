"""Changes the graph of a running pipeline: all or nothing, one transaction after the other, with undo.

What comes is started and has to be ready before anything is switched. Then producers are told whom to expect, then
everybody how to be connected, and what went ends when nobody listens to it any more. From the switch on the new graph
is what is wanted: a node that dies meanwhile comes back with the new links.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from audio_pipeline.errors import ConfigError, ControlError, NodeError, PipelineError
from audio_pipeline.graph.edit import Raw, edited, rebuilt
from audio_pipeline.graph.groups import processes
from audio_pipeline.graph.load import Graph
from audio_pipeline.graph.plan import LinkPlan
from audio_pipeline.metrics import Reading
from audio_pipeline.node import Latency
from audio_pipeline.packed import dumps
from audio_pipeline.supervisor.interpreter import check_interpreters
from audio_pipeline.supervisor.jobs import lead_words, rewire_words
from audio_pipeline.supervisor.live_graph import live_raw
from audio_pipeline.supervisor.process import Child
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.rewire import Rewiring, check_processes, compare, merged_inputs, next_plan
from audio_pipeline.supervisor.writing import WRITE_S, is_writing

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor

SWITCH_S = 8.0  # more than any patience on the way; then the graph goes on as it is
LEAVE_S = 3.0  # to finish files and end; then it is ended
MOST_STEPS = 100  # that can be undone
MOST_STEP_BYTES = 16 << 20  # of all of them
FORMER, RETIRED = 200, 100  # nodes and links that are gone and still known


@dataclass
class _Transaction:
    """One change that is under way."""

    client: bytes
    number: Any  # the client's own, of its request
    what: str  # edit, undo, redo
    graph: Graph
    change: Rewiring
    stage: str = "starting"  # starting, expecting, switching, leaving
    waiting: dict[int, str] = field(default_factory=dict)  # id of an order -> node
    deadline_s: float = 0.0


class Editor:
    """The graph's history and the transaction under way. Lives in the supervisor's thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor
        self.revision = 1
        self.undos: list[Raw] = []
        self.redos: list[Raw] = []
        self.joining: dict[str, NodeRecord] = {}
        self.leaving: dict[str, NodeRecord] = {}
        self.former: dict[str, NodeRecord] = {}  # nodes that were here, for their ledgers and their successors
        self.retired: dict[tuple[str, str], LinkPlan] = {}
        self._now: _Transaction | None = None
        self._numbers = itertools.count(-1, -1)  # of orders; those of the operator count up

    # -- requests -------------------------------------------------------------------------------------

    def show(self) -> dict[str, Any]:
        """The graph as it is wanted, live settings included."""
        return {
            "revision": self.revision,
            "graph": live_raw(self._sup.graph, self._sup.nodes),
            "can_undo": len(self.undos),
            "can_redo": len(self.redos),
            "changing": self._now is not None,
        }

    def edit(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any] | None:
        """A list of changes against a revision. Raises ControlError or ConfigError; then nothing has changed."""
        self._check(word, needed=True)
        return self._begin(client, number, "edit", edited(self._sup.graph, word.get("changes") or []))

    def step(self, client: bytes, number: Any, word: Mapping[str, Any], *, back: bool) -> dict[str, Any] | None:
        """Takes the last change back, or makes it again."""
        self._check(word, needed=False)
        steps, what = (self.undos, "undo") if back else (self.redos, "redo")
        if not steps:
            raise ControlError(f"there is nothing to {what}")
        return self._begin(client, number, what, rebuilt(self._sup.graph, steps[-1]))

    def _check(self, word: Mapping[str, Any], *, needed: bool) -> None:
        revision = word.get("revision")
        if not self._sup.live:
            raise ControlError("a graph can be changed while it plays live, not offline")
        if not self._sup.started or self._sup.finishing_s is not None:
            raise ControlError("the graph can be changed while the pipeline plays, not while it starts or ends")
        if self._now is not None:
            raise ControlError("another change of the graph is under way; ask for the graph and try again")
        if (needed or revision is not None) and revision != self.revision:
            raise ControlError(
                f"revision: the graph is at {self.revision}, the change was made against {revision!r}; look at it again"
            )

    def _begin(self, client: bytes, number: Any, what: str, graph: Graph) -> dict[str, Any] | None:
        sup = self._sup
        change = self._planned(graph)
        check_processes(sup.graph, change.added, graph)
        check_interpreters(graph)
        for name in change.touched:
            if sup.nodes[name].phase is Phase.ENDED:
                raise ControlError(f"nodes.{name}: it has ended, so nothing can be connected to it any more")
        self._now = _Transaction(client, number, what, graph, change)
        try:
            self._launch(graph, change)
        except Exception as error:  # noqa: BLE001 - a kind's own mistake, or no process to be had: the graph plays on
            self._roll_back(_as_sentence(error))
        return None

    def _planned(self, graph: Graph) -> Rewiring:
        """What a change comes to. Raises ConfigError, also for whatever a kind raises while it is asked."""
        try:
            return compare(self._sup.run, next_plan(self._sup.run.plan, graph, self._latencies()))
        except Exception as error:
            raise _as_sentence(error) from error

    def _launch(self, graph: Graph, change: Rewiring) -> None:
        sup = self._sup
        sup.process_manager.learn(graph)
        for name in change.added:
            self.joining[name] = record = self._record(graph, name)
            sup.transports.join(record)
        for members in processes(graph).values():
            joining = [self.joining[name] for name in members if name in self.joining]
            if joining:
                sup.process_manager.launch(joining, change.run)
        if not change.added:
            self._switch()

    def _record(self, graph: Graph, name: str) -> NodeRecord:
        spec, before = graph.nodes[name], self.former.pop(name, None)
        if before is None:
            return NodeRecord(spec, spec.settings, dict(spec.input_settings))
        same = before.spec.kind == spec.kind and before.spec.settings == spec.settings
        settings = before.settings if same else spec.settings
        inputs = merged_inputs(before.spec, spec, before.input_settings) if same else dict(spec.input_settings)
        number = before.incarnation + 1
        return NodeRecord(spec, settings, inputs, incarnation=number, born=number, dead=before.dead)

    def _latencies(self) -> dict[str, Latency]:
        records = {**self._sup.nodes, **self.joining}
        return {name: record.latency for name, record in records.items() if record.latency is not None}

    # -- what comes -----------------------------------------------------------------------------------

    def on_ready(self, record: NodeRecord) -> None:
        """One that joins has started; when all have, the graph is switched."""
        starting = self._now is not None and self._now.stage == "starting"  # else a successor, of one that had started
        if starting and all(other.ready for other in self.joining.values()):
            self._switch()

    def on_exit(self, record: NodeRecord, cause: str) -> None:
        """One that joins or leaves is gone."""
        if self.joining.get(record.name) is record:
            self._roll_back(NodeError(f"nodes.{record.name}: {cause}; the graph plays on as it was"))
        elif self.leaving.get(record.name) is record:
            self._gone(record)

    def bystanders(self, child: Child) -> list[NodeRecord]:
        """Nodes in a process that do not play yet, or not any more."""
        return [record for record in (*self.joining.values(), *self.leaving.values()) if record.child is child]

    def on_dismissed(self, record: NodeRecord) -> None:
        """One that leaves has let go of everything; its process goes on with others, or ends."""
        shared = any(other.child is record.child for other in self._sup.nodes.values())
        if record.name in self.leaving and shared:
            record.child = None
            self._gone(record)

    def on_death(self, name: str) -> None:
        """A node died; its successor is connected as is wanted now."""
        if self._now is not None:
            self._now.waiting = {number: node for number, node in self._now.waiting.items() if node != name}

    def _roll_back(self, error: PipelineError) -> None:
        joining = list(self.joining.values())
        self.joining.clear()
        for record in joining:
            if record.child is not None:
                record.child.kill()
                record.child.wait(2)
            self._sup.transports.leave(record.name)
            self._keep(record)
        self._answer({"ok": False, "error": str(error)})

    def _switch(self) -> None:
        """Everything that comes is ready: from here on the new graph is what is wanted."""
        now = self._now
        assert now is not None
        sup = self._sup
        try:
            now.change = compare(sup.run, next_plan(sup.run.plan, now.graph, self._latencies()))
        except ConfigError as error:
            self._roll_back(error)
            return
        self._note_history(now.what)
        old, sup.graph, sup.run = sup.graph, now.graph, now.change.run
        self.retired |= {(link.source, link.target): link for link in now.change.retired}
        self.retired = {key: link for key, link in self.retired.items() if key not in _links(sup.run.plan.links)}
        self.retired = dict(list(self.retired.items())[-RETIRED:])
        everybody = {**sup.nodes, **self.joining}
        self.leaving = {name: everybody[name] for name in now.change.removed}
        for name in now.graph.nodes.keys() & old.nodes.keys():
            record, spec = everybody[name], now.graph.nodes[name]
            record.input_settings = merged_inputs(record.spec, spec, record.input_settings)
            record.spec, record.proven = spec, None
        sup.nodes = {name: everybody[name] for name in now.graph.nodes}
        for name in now.change.touched:  # what made it fail may have been taken away
            sup.nodes[name].hurry()
        self.revision += 1
        self._stage("expecting", [self._words(name, "expect") for name in now.change.touched])

    def _note_history(self, what: str) -> None:
        raw = dict(self._sup.graph.raw)
        if what == "redo":
            self.redos.pop()
        if what == "undo":
            self.undos.pop()
            self.redos.append(raw)
        else:
            self.undos = bounded([*self.undos, raw])
            self.redos = self.redos if what == "redo" else []

    def _words(self, name: str, op: str) -> tuple[str, dict[str, Any]]:
        record, run = self._sup.nodes[name], self._sup.run
        words = {**rewire_words(run, name, record.input_settings, self._sup.absent()), "op": op}
        if self._now is not None:
            words["lead_ms"] = self._now.change.leads_ms[run.plan.timelines[name]]
        return name, words

    def _stage(self, stage: str, orders: Sequence[tuple[str, dict[str, Any]]]) -> None:
        now = self._now
        assert now is not None
        now.stage, now.deadline_s, now.waiting = stage, time.monotonic() + SWITCH_S, {}
        for name, word in orders:
            record = self._sup.nodes[name]
            if record.ready and record.child is not None:
                number = next(self._numbers)
                now.waiting[number] = name
                self._sup.tell(name, {**word, "id": number})
        self.turn(time.monotonic())

    def bring_up_to_date(self, record: NodeRecord) -> None:
        """A node that was started for an earlier graph is connected as is wanted now."""
        if record.revision != self.revision:
            record.revision = self.revision
            self._sup.tell(record.name, {**self._words(record.name, "rewire")[1], "id": next(self._numbers)})

    def on_reply(self, number: int, word: Mapping[str, Any]) -> None:
        """A node has done what it was told."""
        if self._now is not None and self._now.waiting.pop(number, "") and not word.get("ok"):
            self._sup.log(f"change of the graph: {word.get('error')}")

    def turn(self, now_s: float) -> None:
        """Goes on with the transaction where what it waited for is done."""
        now = self._now
        if now is None or now.stage == "starting":
            return
        if now.waiting and now_s > now.deadline_s:
            names = ", ".join(dict.fromkeys(now.waiting.values()))
            self._sup.log(f"{names} did not finish a change of the graph within {SWITCH_S:g} s; it goes on")
            now.waiting = {}
        if now.waiting:
            return
        if now.stage == "expecting":
            for name in now.change.added:
                self._sup.start_node(self.joining.pop(name))
            self._stage("switching", [self._words(name, "rewire") for name in now.change.touched])
        elif now.stage == "switching":
            self._retire(now, now_s)
        else:
            self._end_leaving(now, now_s)

    def _retire(self, now: _Transaction, now_s: float) -> None:
        """What went is used by nobody any more: it finishes its files and ends."""
        now.stage, now.deadline_s = "leaving", now_s + LEAVE_S
        plan = self._sup.run.plan
        for name in [name for name, lead_ms in now.change.leads_ms.items() if lead_ms != plan.leads_ms[name]]:
            self._sup.tell(name, lead_words(plan, name))
        for record in list(self.leaving.values()):
            if record.child is None:
                self._gone(record)
            else:
                self._sup.send(record.address, {"op": "retire"})
                if record.phase is Phase.ENDED:
                    self.on_ended(record)
        self._end_leaving(now, now_s)

    def on_ended(self, record: NodeRecord) -> None:
        """One that leaves has finished what it had."""
        self._sup.send(record.address, {"op": "stop"})

    def _end_leaving(self, now: _Transaction, now_s: float) -> None:
        if self.leaving and now_s > now.deadline_s:
            late_s = now_s - now.deadline_s
            for record in self.leaving.values():
                if record.child is not None and (late_s > WRITE_S or not is_writing(self._sup, record)):
                    record.child.kill()
                    now.deadline_s = now_s + LEAVE_S
        if self.leaving:
            return
        change = now.change
        self._sup.log(f"graph {self.revision}: {_summary(now.what, change)}")
        self._sup.control_server.publish({"kind": "graph", "revision": self.revision, "what": now.what})
        result = {
            "revision": self.revision,
            "added": list(change.added),
            "removed": list(change.removed),
            "touched": list(change.touched),
        }
        self._answer({"ok": True, "result": result})

    def _gone(self, record: NodeRecord) -> None:
        del self.leaving[record.name]
        self._sup.transports.leave(record.name)
        self._keep(record)
        self.turn(time.monotonic())

    def _keep(self, record: NodeRecord) -> None:
        """What is remembered of a node that is gone: what it counted, and how it was set."""
        record.dead = [Reading.added([*record.dead, *self._sup.process_manager.last_board(record)])]
        record.child, record.ready = None, False
        self.former.pop(record.name, None)
        self.former[record.name] = record  # the newest last
        while len(self.former) > FORMER:
            del self.former[next(iter(self.former))]
        self._forget_links()

    def _forget_links(self) -> None:
        """Of links that are no more the newest are kept, where both ends are known."""
        known = self._sup.nodes.keys() | self.joining.keys() | self.leaving.keys() | self.former.keys()
        kept = {key: link for key, link in self.retired.items() if all(end.partition(".")[0] in known for end in key)}
        self.retired = dict(list(kept.items())[-RETIRED:])

    def _answer(self, answer: dict[str, Any]) -> None:
        now, self._now = self._now, None
        assert now is not None
        self._sup.send(now.client, {"id": now.number, **answer})
        self._sup.control_server.changed()

    def farewell(self) -> None:
        """The pipeline ends: whoever waits for a change is told."""
        if self._now is not None:
            self._answer({"ok": False, "error": "the pipeline ended"})

    # -- a node that is not what it was -------------------------------------------------------------------

    def replan(self) -> None:
        """A restarted node states another latency than before: buffers, budgets and leads follow."""
        sup = self._sup
        try:
            change = compare(sup.run, next_plan(sup.run.plan, sup.graph, self._latencies()))
        except ConfigError as error:
            sup.log(f"{error}; the buffers stay as they were")
            return
        sup.run = replace(sup.run, plan=change.run.plan)
        for name in change.touched:
            if sup.nodes[name].phase is Phase.RUNNING:
                sup.tell(name, {**self._words(name, "rewire")[1], "id": next(self._numbers)})


def bounded(steps: Sequence[Raw]) -> list[Raw]:
    """The newest graphs, as many as may be undone; the larger they are, the fewer."""
    size = len(dumps(steps[-1], default=str))
    return list(steps[-min(MOST_STEPS, max(MOST_STEP_BYTES // size, 1)) :])


def _as_sentence(error: Exception) -> PipelineError:
    """What went wrong with a change, in one; the graph is as it was."""
    return error if isinstance(error, PipelineError) else ConfigError(f"{type(error).__name__}: {error}")


def _links(links: Sequence[LinkPlan]) -> set[tuple[str, str]]:
    return {(link.source, link.target) for link in links}


def _summary(what: str, change: Rewiring) -> str:
    parts = {"added": change.added, "removed": change.removed, "connected anew": change.touched}
    said = "; ".join(f"{words} {', '.join(names)}" for words, names in parts.items() if names)
    return f"{what}: {said or 'nothing is connected differently'}"
