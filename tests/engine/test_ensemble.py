"""The nodes of one process: a group turned by one thread, and what they say to the supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from audio_pipeline.clock import ClockLine, ClockRecord, MonotonicClock
from audio_pipeline.control.codec import decode, encode
from audio_pipeline.control.notices import Reply
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.links.waker import Waker
from audio_pipeline.metrics import Board, Reading
from audio_pipeline.supervisor.jobs import Run, make_job, start_command
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.worker.build_node import build_node
from audio_pipeline.worker.commands import Stop, packed
from audio_pipeline.worker.control_link import ControlLink
from audio_pipeline.worker.ensemble import Ensemble, Member
from audio_pipeline.worker.runner import NodeRunner
from tests.engine.graphs import graph_of

GROUP = """
song: {kind: noise, seconds: 0.3, process: light}
fade: {kind: fader, gain: 0.5, in: song, process: light}
late: {kind: delay, hop: 4096, in: song, process: light}
mix: {kind: sum, inputs: {a: {from: fade}, b: {from: late}}, process: light}
out: {kind: sink, inputs: {a: mix}, process: light}
"""


@contextmanager
def ensemble_of(folder: Path) -> Iterator[tuple[Ensemble, Run]]:
    """All nodes of GROUP in one ensemble, offline, started."""
    run = Run(make_plan(graph_of(GROUP), live=False), folder, folder, lambda port: f"inproc://out.{port}")
    record = ClockRecord(run.clock_path, create=True)
    record.publish(ClockLine(0.0, MonotonicClock().now_ns(), 48_000.0))
    context: zmq.Context[Any] = zmq.Context()
    waker, members = Waker(), []
    for name in run.plan.order:
        job = make_job(run, name)
        control = ControlLink(job, waker)
        board = Board(Path(job.board))
        runner = NodeRunner(
            job, build_node(job), context, MonotonicClock(), board, record, control.notify, control.inbox
        )
        runner.open()
        control.runner = runner
        control.receive(packed(start_command(run.plan, name, [])))
        members.append(Member(runner, control))
    ensemble = Ensemble(members)
    try:
        yield ensemble, run
    finally:
        ensemble.close()
        record.close()
        waker.close()
        context.destroy(linger=0)


def said(member: Member) -> list[dict[str, Any]]:
    words = [decode(message) for message in member.control.outgoing]
    assert all(word.pop("token") == member.runner.job.token for word in words)
    return words


def test_a_group_puts_out_what_separate_nodes_do(tmp_path: Path) -> None:
    with LocalGraph(graph_of(GROUP.replace(", process: light", "")), tmp_path) as local:
        local.run_to_end()
        alone = local.runners["out"].node.sound("a")  # type: ignore[attr-defined]
    with ensemble_of(tmp_path) as (ensemble, _):
        while not all(member.runner.ended and member.runner.drained for member in ensemble.members):
            ensemble.turn()
        ensemble.turn()
        together = ensemble.members[-1].runner.node.sound("a")  # type: ignore[attr-defined]
        assert all({"node": member.name, "op": "ended"} in said(member) for member in ensemble.members)
    assert len(alone) == 14_400
    np.testing.assert_array_equal(alone, together)


def test_every_member_counts_on_a_board_of_its_own(tmp_path: Path) -> None:
    with ensemble_of(tmp_path) as (ensemble, run):
        while not all(member.runner.ended and member.runner.drained for member in ensemble.members):
            ensemble.turn()
        boards = {name: Reading(run.board_path(name, 0)) for name in run.plan.order}
    assert all(board["beat_ns"] > 0 and board["in_turn"] == 0 for board in boards.values())
    assert boards["song"]["out.out>fade.in.offered"] == boards["fade"].get("in.song.out>in.delivered", 0) > 0


def test_one_that_is_told_to_stop_leaves_the_others(tmp_path: Path) -> None:
    with ensemble_of(tmp_path) as (ensemble, _):
        ensemble.members[1].control.receive(packed(Stop()))
        ensemble.dismiss_stopped()
        assert [member.name for member in ensemble.members] == ["song", "late", "mix", "out"]


def test_whose_turn_it_is_when_one_fails_is_known(tmp_path: Path) -> None:
    with ensemble_of(tmp_path) as (ensemble, run):
        ensemble.members[3].runner.node.process = lambda inputs, ctx: 1 / 0  # type: ignore[assignment,method-assign]
        with pytest.raises(ZeroDivisionError):
            while True:
                ensemble.turn()
        assert ensemble.present == "mix"
        assert [name for name in run.plan.order if Reading(run.board_path(name, 0)).get("in_turn")] == ["mix"]


# -- what cannot be said ------------------------------------------------------------------------------


def test_a_snapshot_that_cannot_be_packed_is_named_and_the_node_lives(tmp_path: Path) -> None:
    with ensemble_of(tmp_path) as (ensemble, _):
        member = ensemble.members[1]
        member.runner.node.snapshot = lambda: {"at": np.float64(1), "tags": {1, 2}}  # type: ignore[method-assign]
        member.report(now_s=1e12)
        member.report(now_s=2e12)
        words = said(member)
    assert len(words) == 1 and words[0]["op"] == "log", "said once, not every second"
    assert words[0]["message"].startswith(
        "its snapshot cannot be sent, so it is left out: TypeError a set has no place"
    )


def test_an_answer_that_cannot_be_packed_is_an_answer(tmp_path: Path) -> None:
    with ensemble_of(tmp_path) as (ensemble, _):
        control = ensemble.members[0].control
        control.notify(Reply(7, ok=True, result=object()))
        (word,) = said(ensemble.members[0])
    assert (word["op"], word["id"], word["ok"], word["result"]) == ("reply", 7, False, None)
    assert word["error"].startswith("its answer cannot be sent: a object has no place in a message")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "control message is not msgpack"),
        (b"\xc1", "control message is not msgpack"),
        (encode({"no": 1}), "unknown command None"),
        (encode({"op": "dance"}), "unknown command 'dance'"),
        (encode({"op": "cancel"}), "cancel.timeline: missing, expected text"),
        (encode({"op": "cancel", "timeline": "song", "generation": "x"}), "cancel.generation: expected a whole number"),
    ],
)
def test_a_malformed_command_is_said_and_the_control_thread_lives(tmp_path: Path, message: bytes, reason: str) -> None:
    with ensemble_of(tmp_path) as (ensemble, _):
        ensemble.members[0].control.receive(message)
        (word,) = said(ensemble.members[0])
    assert word["op"] == "log" and word["message"].startswith(f"a command was not understood: {reason}")
