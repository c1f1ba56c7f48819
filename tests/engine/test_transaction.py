"""The transaction that changes a graph, over ports that are lists: the order of its messages, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.clock import ClockLine, start_clocks
from audio_pipeline.control.replies import EditReply
from audio_pipeline.errors import NodeError
from audio_pipeline.graph.edit import edited
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph_changes import changes_in
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.change import Outcome
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.graph_parts import GraphParts
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.transaction import LEAVE_S, SWITCH_S
from audio_pipeline.worker.commands import Command, row_of
from tests.engine.graphs import graph_of
from tests.fuzz.control import Nobody

NODES = """
song: {kind: noise, seed: 0}
mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""
ADD = {"op": "add", "name": "wet", "node": {"kind": "fader", "in": "song"}}
CONNECT = {"op": "connect", "from": "wet", "to": "mix.dry"}
BACK = ({"op": "connect", "from": "song", "to": "mix.dry"}, {"op": "remove", "name": "wet"})


class Mortal(Nobody):
    """A process that can be seen to be killed."""

    killed = False

    def kill(self) -> None:
        self.killed = True


class Bench:
    """A graph that plays, with the transaction and the editor over ports."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 100.0
        self.sent: list[tuple[str, str]] = []  # (operation, node)
        self.numbers: list[int] = []  # of messages that are to be answered
        self.outcomes: list[Outcome] = []
        self.refusal: Exception | None = None
        run = Run(make_plan(graph_of(NODES), live=True), folder, folder, lambda port: f"inproc://{port}")
        run.add_clocks()
        start_clocks(run.clocks, ClockLine(0.0, 0, 48_000.0))
        self.state, self.life = PipelineState(run), Lifecycle(lambda: self.now_s)
        self.events = EventStream(lambda: self.life.uptime_s)
        ports = Ports(self._send, self._launch, lambda: round(self.now_s * 1e9))
        playhead = Playhead(self.state, self._send)
        parts = GraphParts(self.state, self.life, self.events, playhead, ports, lambda record: [])
        self.transaction, self.editor = parts.transaction, parts.editor
        for record in self.state.playing:
            record.child, record.ready, record.latency = Mortal(), True, Latency()
        parts.starter.start_all()
        self.sent.clear()

    def _send(self, address: bytes, command: Command) -> None:
        self.sent.append((row_of(command).op, address.decode().partition(".")[0]))
        if command.id is not None:
            self.numbers.append(command.id)

    def _launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        if self.refusal is not None:
            raise self.refusal
        for record in records:
            record.child = Mortal()

    def edit(self, *changes: Mapping[str, Any]) -> None:
        self.editor.change_to(edited(self.state.graph, changes_in(changes)), self.outcomes.append)

    def ready(self, name: str) -> None:
        record = self.state.joining[name]
        record.ready, record.latency = True, Latency()
        self.transaction.on_ready(record)

    def answer(self) -> list[tuple[str, str]]:
        """Every node does what it was sent; gives what it was."""
        sent, numbers = list(self.sent), list(self.numbers)
        self.sent.clear()
        self.numbers.clear()
        for number in numbers:
            self.transaction.on_reply(number, None)
        self.transaction.turn()
        return sent


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(tmp_path)


def add(bench: Bench) -> None:
    bench.edit(ADD, CONNECT)
    bench.ready("wet")
    bench.answer()
    bench.answer()
    assert isinstance(bench.outcomes.pop(), EditReply)
    bench.sent.clear()


def test_what_joins_is_expected_then_started_then_connected(bench: Bench) -> None:
    bench.edit(ADD, CONNECT)
    assert bench.sent == [] and set(bench.state.nodes) == {"song", "mix", "out"}, "it is not ready yet"
    bench.ready("wet")
    assert set(bench.state.nodes) == {"song", "wet", "mix", "out"} and bench.state.graph_revision == 2
    assert {op for op, _ in bench.answer()} == {"expect"}
    steps = bench.answer()
    assert steps[0] == ("start", "wet") and {op for op, _ in steps[1:]} == {"rewire"}
    assert [name for _, name in steps[1:]] == ["song", "mix"], "who is not concerned receives nothing"
    assert bench.outcomes == [EditReply(2, ("wet",), (), ("song", "mix"))] and not bench.transaction.busy


def test_what_leaves_is_asked_to_finish_once_nobody_uses_it(bench: Bench) -> None:
    add(bench)
    bench.edit(*BACK)
    assert {op for op, _ in bench.answer()} == {"expect"}
    assert {op for op, _ in bench.answer()} == {"rewire"}
    assert bench.sent.pop() == ("retire", "wet") and not bench.outcomes
    assert {op for op, _ in bench.sent} == {"lead"}, "the slower way is not played any more"
    record = bench.state.leaving["wet"]
    record.phase = Phase.ENDED
    bench.transaction.on_ended(record)
    assert bench.sent[-1] == ("stop", "wet")
    bench.transaction.on_exit(record, "exit code 0")
    assert bench.outcomes == [EditReply(3, (), ("wet",), ("song", "mix"))]
    assert bench.state.former["wet"] is record and not bench.state.leaving


def test_one_that_leaves_and_has_no_process_any_more_is_not_waited_for(bench: Bench) -> None:
    add(bench)
    bench.state.nodes["wet"].child = None
    bench.edit(*BACK)
    bench.answer()
    bench.answer()
    assert bench.outcomes == [EditReply(3, (), ("wet",), ("song", "mix"))]


def test_one_that_does_not_leave_is_ended_after_a_while(bench: Bench) -> None:
    add(bench)
    bench.edit(*BACK)
    bench.answer()
    bench.answer()
    child = bench.state.leaving["wet"].child
    assert isinstance(child, Mortal)
    bench.now_s += LEAVE_S
    bench.transaction.turn()
    assert not child.killed
    bench.now_s += 0.1
    bench.transaction.turn()
    assert child.killed


@pytest.mark.parametrize("how", ["refused", "died"])
def test_what_does_not_start_leaves_the_graph_as_it_was(bench: Bench, how: str) -> None:
    before = bench.state.graph
    if how == "refused":
        bench.refusal = RuntimeError("no such model")
        bench.edit(ADD, CONNECT)
    else:
        bench.edit(ADD, CONNECT)
        bench.transaction.on_exit(bench.state.joining["wet"], "exit code 1")
    (error,) = bench.outcomes
    assert (
        str(error)
        == {
            "refused": "RuntimeError: no such model",
            "died": "nodes.wet: exit code 1; the graph plays on as it was",
        }[how]
    )
    assert isinstance(error, NodeError) or how == "refused"
    assert bench.state.graph is before and bench.state.graph_revision == 1 and bench.sent == []
    assert not bench.transaction.busy and not bench.state.joining and not bench.editor.history.undos


def test_a_node_that_does_not_answer_holds_a_change_up_for_so_long_alone(bench: Bench) -> None:
    bench.edit(ADD, CONNECT)
    bench.ready("wet")
    assert bench.transaction.waits_for == "producers know their new consumers: song, mix"
    bench.now_s += SWITCH_S + 0.1
    bench.transaction.turn()
    assert any("did not finish a change of the graph within 8 s" in line for line in bench.events.log_lines)
    assert ("start", "wet") in bench.sent


def test_a_node_that_dies_meanwhile_is_not_waited_for(bench: Bench) -> None:
    bench.edit(ADD, CONNECT)
    bench.ready("wet")
    bench.state.nodes["mix"].child = None
    bench.transaction.on_death("mix")
    assert bench.transaction.waits_for == "producers know their new consumers: song"
