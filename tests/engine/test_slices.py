"""Short slices for the threads that carry frames: asked of the real kernel, and let be where there is none to ask."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from audio_pipeline.worker import slices

LINUX = tuple(int(part) for part in platform.release().split(".")[:2]) if platform.system() == "Linux" else (0, 0)
needs_slices = pytest.mark.skipif(LINUX < (6, 12), reason="slices can be chosen from Linux 6.12 on")
RUNTIME, NICE = 5, 3


@pytest.fixture
def socket() -> Iterator[zmq.Socket[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    yield context.socket(zmq.PULL)  # the first socket starts the threads
    context.destroy(linger=0)


@needs_slices
def test_the_threads_that_carry_frames_get_short_slices(socket: zmq.Socket[Any]) -> None:
    mine = slices.attributes(threading.get_native_id())
    assert slices.shorten_links() >= 1
    found = [slices.attributes(thread) for thread in slices._link_threads()]
    assert found and all(each is not None and each[RUNTIME] == slices.SHORTEST_NS for each in found)
    assert slices.attributes(threading.get_native_id()) == mine, "the thread that computes keeps its own"


@needs_slices
def test_a_thread_keeps_its_nice(socket: zmq.Socket[Any]) -> None:
    seen: list[tuple[int, ...] | None] = []

    def polite() -> None:
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, 7)
        assert slices.shorten(me, 300_000)
        seen.append(slices.attributes(me))

    thread = threading.Thread(target=polite)
    thread.start()
    thread.join()
    assert seen[0] is not None and (seen[0][NICE], seen[0][RUNTIME]) == (7, 300_000)


@needs_slices
def test_a_real_time_thread_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "attributes", lambda thread: (48, os.SCHED_RR, 0, 0, 20, 0, 0, 0))
    assert not slices.shorten(threading.get_native_id(), slices.SHORTEST_NS)


def test_a_thread_that_is_gone_has_no_attributes() -> None:
    assert slices.attributes(0x7FFFFFF0) is None
    assert not slices.shorten(0x7FFFFFF0, slices.SHORTEST_NS)


def test_a_system_without_the_call_is_not_asked(monkeypatch: pytest.MonkeyPatch, socket: zmq.Socket[Any]) -> None:
    monkeypatch.setattr(slices, "CALLS", {})
    assert slices.shorten_links() == 0
