"""A hundred thousand restarts, edits, log lines and events: what is kept of them, and what `state` weighs, is bounded.

There are no processes and no time: deaths, edits and words go through the bookkeeping as fast as it takes them.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from audio_pipeline.control.codec import MSGPACK, encode
from audio_pipeline.control.events import NodeEvent
from audio_pipeline.control.incident import Incident, LinkFlow
from audio_pipeline.control.notices import Failed
from audio_pipeline.graph.job import OutJob  # noqa: F401 - the kinds of the graph are loaded before memory is counted
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.metrics import SLOTS, Board, Reading
from audio_pipeline.refs import InputKey, PortRef
from audio_pipeline.supervisor.board_readings import Boards
from audio_pipeline.supervisor.departed import FORMER, RETIRED
from audio_pipeline.supervisor.event_log import ANSWER_BYTES, KEEP_BYTES, KEEP_EVENTS, EventLog
from audio_pipeline.supervisor.history import MOST_STEPS, bounded
from audio_pipeline.supervisor.incidents import KEPT, WHOLE, Incidents
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.state_size import MOST_BYTES, fitted_description, fitted_ledger
from audio_pipeline.supervisor.transport import Transport
from tests.fuzz.control import Nobody, Quiet
from tests.plain_state import plain_state

MANY = 100_000
SLACK = 64 << 10  # bytes that the interpreter itself may take meanwhile: 13 a step, less than any entry
LINE = "a line of a node, as long as lines are: " + "x" * 100


@pytest.fixture
def many(proof_scale: float) -> int:
    """All of them in a full run; fewer in a short one, yet more than all that is kept."""
    return max(round(MANY * proof_scale), 13_000)


def grown(step: Callable[[int], object], count: int, window: int = 5_000) -> int:
    """By how many bytes memory grows over the last `window` of `count` steps; all that is kept was full before."""
    steps = iter(range(count))
    _take(step, steps, count - 2 * window)
    tracemalloc.start()
    try:
        _take(step, steps, window)  # what is kept now is traced
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        _take(step, steps, window)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def _take(step: Callable[[int], object], steps: Iterator[int], count: int) -> None:
    for _, number in zip(range(count), steps, strict=False):
        step(number)


def state_of(quiet: Quiet) -> dict[str, Any]:
    quiet.answers.clear()
    quiet.request(op="ledger")
    (answer,) = quiet.answers
    assert answer["ok"]
    return plain_state(quiet.parts.overview.state())


def incident(number: int) -> Incident:
    flow = LinkFlow(LINE, "mix.in", 1, 1, {}, 0, 0, True)
    return Incident(
        float(number), f"node{number}", number, number, LINE * 7, (), (LINE * 3,) * 20, (flow,) * 5, {"text": LINE}
    )


def test_of_incidents_a_thousand_are_kept_and_all_are_counted(many: int) -> None:
    kept = Incidents()
    assert grown(lambda number: kept.add(incident(number)), many) < SLACK
    assert kept.total == many and len(kept) == KEPT
    whole = [item for item in kept if item.log]
    assert len(whole) == WHOLE and list(kept)[-1].node == f"node{many - 1}"


def test_a_hundred_thousand_log_lines_and_events(quiet: Quiet, many: int) -> None:
    word = encode({"node": "mix", "token": quiet.token, "op": "log", "message": LINE})
    event = encode(
        {"node": "mix", "token": quiet.token, "op": "event", "event": {"kind": "note", "position": 0, "text": LINE}}
    )

    def step(number: int) -> None:
        quiet.parts.receive(b"mix", word if number % 2 else event)

    assert grown(step, many) < SLACK
    assert len(quiet.parts.events.log_lines) == 200 and len(quiet.parts.events.kept) == KEEP_EVENTS
    assert len(msgpack.packb(state_of(quiet))) < 200_000


def test_a_line_of_any_length_is_cut(quiet: Quiet) -> None:
    for _ in range(200):
        quiet.notify("mix", op="log", message="x" * 1_000_000)
    assert len(msgpack.packb(state_of(quiet))) < 1_000_000


def test_a_hundred_thousand_restarts(quiet: Quiet, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    """Through the real bookkeeping; the system is not asked for a process or a file each time: that takes minutes."""
    supervisor, record = quiet.parts, quiet.parts.state.nodes["mix"]
    process_manager = supervisor.process_manager
    board = supervisor.state.run.board_path("mix", 0)
    Board(board).add("count.frames", 3)
    last = Reading(board)
    monkeypatch.setattr(supervisor.reaper, "last_board", lambda record: [last])
    monkeypatch.setattr(supervisor.playhead, "boards", lambda name: Boards(supervisor.state.nodes[name].dead, None))

    def step(number: int) -> None:
        record.phase, record.child, record.failures = Phase.RUNNING, Nobody(), 0  # type: ignore[assignment]
        record.failure = Failed(LINE)
        process_manager.on_exit(record.child, 1)  # type: ignore[arg-type]

    assert grown(step, many) < SLACK
    assert supervisor.incidents.total == many and len(record.dead) == 2
    state = state_of(quiet)
    assert state["incident_count"] == many and len(state["incidents"]) == KEPT
    assert state["nodes"]["mix"]["counters"]["frames"] == 3 * many
    assert len(msgpack.packb(state)) < 1_000_000


def test_counters_of_all_incarnations_add_up_under_so_many_names_as_a_board_has(quiet: Quiet) -> None:
    total = Reading.added([])
    for number in range(20):
        one = Reading.added([])
        one.values_ = {f"count.{number}.{index}": 1 for index in range(1_000)} | {"count.all": 1}
        total = Reading.added([total, one])
    assert len(total) <= SLOTS and total["count.all"] == 20


def test_nodes_and_links_that_are_gone_are_forgotten_in_their_turn(quiet: Quiet) -> None:
    pipeline = quiet.parts.state
    (link, *_) = pipeline.plan.links
    song = pipeline.nodes["song"].spec

    def step(number: int) -> None:
        name = f"node{number}"
        record = NodeRecord(_called(song, name), song.settings, {})
        pipeline.transports[name] = Transport()
        pipeline.retired[PortRef(name, "out"), InputKey("mix", "dry")] = _link(link, f"{name}.out")
        pipeline.transports.leave(name)
        quiet.parts.departed.keep(record)

    assert grown(step, 1_200, 300) < SLACK
    assert len(pipeline.former) == FORMER and len(pipeline.retired) == RETIRED
    state = state_of(quiet)
    assert len(state["former_links"]) == RETIRED and len(msgpack.packb(state)) < MOST_BYTES


def _called(spec: Any, name: str) -> Any:
    from dataclasses import replace

    return replace(spec, name=name)


def _link(link: LinkPlan, source: str) -> LinkPlan:
    from dataclasses import replace

    return replace(link, source=PortRef.parse(source))


def test_a_hundred_thousand_edits_leave_a_hundred_to_undo(many: int) -> None:
    steps: list[Any] = []

    def step(number: int) -> None:
        nonlocal steps
        steps = bounded([*steps, {"nodes": {"song": {"kind": "noise", "seed": number}}}])

    assert grown(step, many) < SLACK and len(steps) == MOST_STEPS
    assert len(bounded([{"text": "x" * 10_000_000}] * 50)) == 1, "large ones are fewer"


def note(number: int, text: object) -> NodeEvent:
    return NodeEvent(kind="note", node="mix", position=number, data={"text": text})


def test_events_of_any_size_are_bounded_in_memory_and_in_each_answer() -> None:
    log = EventLog()
    for number in range(1_000):
        log.add(note(number, "x" * 60_000))
    log.add(note(0, object()))
    assert len(log) * 60_000 <= KEEP_BYTES
    number, seen = 0, []
    while True:
        number, events = log.since(number)
        if not events:
            break
        assert len(MSGPACK.encode(events)) <= ANSWER_BYTES + 70_000
        seen += [event.position for event in events if isinstance(event, NodeEvent)]
    assert seen == list(range(1_000 - len(log), 1_000)), "each once, to the newest"


@pytest.mark.parametrize("nodes", [1, 30, 400])
def test_a_ledger_fits_into_a_message_whatever_is_in_it(quiet: Quiet, nodes: int) -> None:
    ledger = quiet.parts.overview.ledger()
    node, link = ledger.nodes["mix"], ledger.links[0]
    node = replace(node, counters={f"{'x' * 90}{number}": 1 for number in range(256)}, note=LINE * 20)
    big = replace(
        ledger,
        nodes={f"node{number}": node for number in range(nodes)},
        links=(link,) * 3 * nodes,
        former_links=(link,) * 100,
        incidents=tuple(incident(number) for number in range(KEPT)),
    )
    fit = fitted_ledger(big)
    assert len(MSGPACK.encode(fit)) <= MOST_BYTES and set(fit.nodes) == set(big.nodes)
    assert fit.left_out[0] == "details of incidents"
    assert [link.age_ms for link in fit.links] == [link.age_ms] * 3 * nodes
    assert fitted_ledger(ledger) is ledger, "what fits is as it was"


@pytest.mark.parametrize("nodes", [1, 400])
def test_a_description_fits_into_a_message_whatever_is_in_it(quiet: Quiet, nodes: int) -> None:
    description = quiet.parts.overview.describe()
    node = replace(description.nodes["mix"], settings={"text": LINE * 40})
    big = replace(description, nodes={f"node{number}": node for number in range(nodes)})
    fit = fitted_description(big)
    assert len(MSGPACK.encode(fit)) <= MOST_BYTES and set(fit.nodes) == set(big.nodes)
    assert fit.left_out == (("settings",) if nodes == 400 else ())
    assert fitted_description(description) is description, "what fits is as it was"
