"""What a worker does at every turn: waits on its sockets, measures levels, writes down how busy it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.links.waker import Waker
from audio_pipeline.metrics import Board, Reading
from audio_pipeline.worker.level import HELD_VALUES, SILENCE_DB, Level
from audio_pipeline.worker.sockets import Sockets, poll_all
from audio_pipeline.worker.turn_meter import TurnMeter

WAIT_MS = 10_000  # for what is there already: a machine may be slow


@pytest.fixture
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    context: zmq.Context[Any] = zmq.Context()
    ends = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    ends[0].bind("inproc://pair")
    ends[1].connect("inproc://pair")
    yield ends
    context.destroy(linger=0)


@pytest.fixture
def waker() -> Iterator[Waker]:
    made = Waker()
    yield made
    made.close()


Pair = tuple[zmq.Socket[bytes], zmq.Socket[bytes]]


def test_every_message_is_found_also_those_behind_the_one_that_was_taken(pair: Pair, waker: Waker) -> None:
    """The descriptor of a socket tells of a change once; what was left lying then is found all the same."""
    sockets, got = Sockets(waker.fd), []
    sockets.add(pair[1], lambda: got.append(pair[1].recv(zmq.DONTWAIT)))
    for number in range(3):
        pair[0].send(bytes([number]))
    for _ in range(3):
        sockets.receive(sockets.poll(WAIT_MS))
    assert got == [b"\0", b"\1", b"\2"] and not sockets.waiting()


def test_a_message_that_came_while_something_was_sent_is_found(pair: Pair, waker: Waker) -> None:
    """To send handles what came as well, so no descriptor tells of it any more."""
    sockets = Sockets(waker.fd)
    sockets.add(pair[1], lambda: pair[1].recv(zmq.DONTWAIT))
    assert sockets.poll(0) in ([], sockets.fds[1:])  # what the connection itself has to say
    pair[0].send(b"question")
    pair[1].send(b"something else")
    assert sockets.poll(WAIT_MS) == sockets.fds[1:]


def test_the_waker_ends_a_wait_and_is_no_socket(waker: Waker) -> None:
    sockets = Sockets(waker.fd)
    waker.wake()
    ready = sockets.poll(WAIT_MS)
    sockets.receive(ready)
    assert ready == [waker.fd]


def test_one_that_was_taken_away_is_not_asked(pair: Pair, waker: Waker) -> None:
    sockets = Sockets(waker.fd)
    sockets.add(pair[1], lambda: pytest.fail("it is not there"))
    sockets.remove(pair[1])
    sockets.remove(pair[1])
    pair[0].send(b"late")
    assert pair[1].poll(WAIT_MS) and sockets.poll(0) == [] and sockets.fds == [waker.fd]


def test_a_group_waits_for_all_of_its_nodes(pair: Pair, waker: Waker) -> None:
    quiet, other = Sockets(waker.fd), Waker()
    busy = Sockets(other.fd)
    busy.add(pair[1], lambda: None)
    pair[0].send(b"here")
    assert busy.fds[1] in poll_all([quiet, busy], WAIT_MS)
    pair[1].recv()
    waker.wake()
    assert waker.fd in poll_all([quiet, busy], WAIT_MS)
    other.close()


@given(st.lists(st.integers(1, 2 * HELD_VALUES), max_size=6), st.integers(1, 2), st.randoms(use_true_random=False))
def test_a_level_is_that_of_all_samples_however_they_came(sizes: list[int], channels: int, random: Any) -> None:
    """Rounding of float32 sums alone: 1e-3 dB."""
    level, rng = Level(), np.random.default_rng(random.getrandbits(32))
    blocks = [rng.uniform(-0.5, 0.5, (size, channels)).astype(np.float32) for size in sizes]
    x = np.concatenate([*(block.flatten() for block in blocks), np.zeros(0 if blocks else 1, np.float32)])
    for block in blocks:
        level.add(block)
        block[:] = 9.0  # the node uses its buffer again
    expected = [
        20 * np.log10(max(value, 1e-6)) for value in (np.abs(x).max(), np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    ]
    np.testing.assert_allclose(level.take(), expected, atol=1e-3)
    assert level.take() == (SILENCE_DB, SILENCE_DB)


def test_a_turn_in_which_nothing_moved_is_a_sign_of_life_and_no_work(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    meter = TurnMeter(board)
    meter.turn(1_000_000, 3_000_000, moved=True)
    meter.turn(5_000_000, 6_000_000, moved=False)
    meter.waited(4_000_000)
    meter.waited(-1)
    read = Reading(tmp_path / "board")
    expected = {"beat_ns": 6_000_000, "steps": 2, "busy_ns": 3_000_000, "worst_step_ns": 2_000_000}
    assert {name: read[name] for name in expected} == expected
    assert (read["waits"], read["wait_ns"], read["wait.max"], read["busy.max"]) == (2, 4_000_000, 4.0, 2.0)
    assert read.histogram("busy").sum() == 1 and read.histogram("wait").sum() == 2
    board.close()
