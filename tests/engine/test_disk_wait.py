"""Who waits for a disk is not killed as one that hangs; for how long, and what is said."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audio_pipeline.metrics import Board
from audio_pipeline.node import Latency, Node
from audio_pipeline.supervisor import watch, watchdog
from audio_pipeline.supervisor.disk_wait import DISK_WAIT_S, Standstill, waits_for_disk
from audio_pipeline.supervisor.records import Phase
from tests.fuzz.control import Nobody, Quiet, quiet_supervisor
from tests.plain_state import plain_state

S = 1_000_000_000
VFORK = '#include <unistd.h>\nint main(void) { if (!vfork()) { write(1, "x", 1); pause(); } return 0; }\n'


def proc(folder: Path, state: str, wchan: str = "0", comm: str = "python") -> Path:
    """A /proc in which process 7 is in that state."""
    task = folder / "7" / "task" / "7"
    task.mkdir(parents=True)
    (task / "stat").write_text(f"7 ({comm}) {state} 1 7 7 0 -1 4194304")
    (task / "wchan").write_text(wchan)
    return folder


@pytest.mark.parametrize(
    ("state", "wchan", "expected"),
    [
        ("D", "0", True),
        ("R", "0", False),
        ("S", "do_epoll_wait", False),
        ("T", "0", False),
        ("Z", "0", False),
        ("S", "request_wait_answer", True),
        ("S", "0", False),
    ],
)
def test_the_state_of_the_thread_tells(tmp_path: Path, state: str, wchan: str, expected: bool) -> None:
    assert waits_for_disk(7, proc(tmp_path, state, wchan)) is expected


def test_a_name_that_looks_like_a_state_does_not_mislead(tmp_path: Path) -> None:
    assert not waits_for_disk(7, proc(tmp_path, "R", comm="x) D (y"))


def test_a_process_that_is_gone_waits_for_nothing(tmp_path: Path) -> None:
    assert not waits_for_disk(8, proc(tmp_path, "D"))
    (tmp_path / "7" / "task" / "7" / "stat").write_text("")
    assert not waits_for_disk(7, tmp_path)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_kernel_shows_it(tmp_path: Path) -> None:
    """A parent in `vfork` sleeps as one that waits for a disk does, and as long as its child wants."""
    source = tmp_path / "wait.c"
    source.write_text(VFORK)
    subprocess.run(["cc", "-w", "-o", str(tmp_path / "wait"), str(source)], check=True)
    with subprocess.Popen([str(tmp_path / "wait")], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.read(1) == b"x"
        try:
            assert waits_for_disk(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_what_counts_is_the_time_in_which_it_waited() -> None:
    still, at = Standstill(), [0.0]

    def look(waits: bool, mark: int = 1) -> float:
        at[0] += 0.25
        return still.update(mark, at[0], waits=waits, silent_s=0.25)

    assert [look(True), look(True), look(False), look(True)] == [0.25, 0.5, 0.5, 0.75]
    assert look(False, mark=2) == 0.0, "its loop has turned"
    for _ in range(round(2 * DISK_WAIT_S / 0.25)):
        waited_s = look(True, mark=2)
    assert waited_s == DISK_WAIT_S, "no longer than that"


class Watched:
    """A supervisor whose node `mix` stands still, under a clock of our own."""

    def __init__(self, quiet: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.waits, self.killed = 1_000.0, False, 0
        self.parts = parts = quiet.parts
        self.record = quiet.parts.state.nodes["mix"]
        time = SimpleNamespace(monotonic=lambda: self.now_s, monotonic_ns=lambda: round(self.now_s * S))
        monkeypatch.setattr(watchdog, "time", time)
        monkeypatch.setattr(watch, "time", time)
        monkeypatch.setattr(watchdog, "waits_for_disk", lambda pid: self.waits)
        child: Any = Nobody()
        child.kill = self._kill
        self.record.child, self.record.phase, self.record.started_s = child, Phase.RUNNING, 0.0
        for name in ("song", "out"):
            self.parts.state.nodes[name].child = None
        self.board = Board(self.parts.state.run.board_path("mix", 0))
        self.watchdog = watchdog.Watchdog(parts.state, parts.life, parts.events, parts.steps)
        self.board.put("beat_ns", round(self.now_s * S))
        self.run_for(0.5)
        self.board.put("beat_ns", round(self.now_s * S))

    def _kill(self) -> None:
        self.killed += 1

    @property
    def failure(self) -> str:
        """Why it was given up."""
        return self.record.failure.error if self.record.failure is not None else ""

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds / watchdog.WATCH_S)):
            self.now_s += watchdog.WATCH_S
            self.watchdog.turn(self.now_s)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with quiet_supervisor() as quiet:
        for record in quiet.parts.state.nodes.values():
            record.ready, record.latency = True, Latency()
        yield Watched(quiet, monkeypatch)


def test_a_loop_that_does_not_turn_is_a_hang(watched: Watched) -> None:
    watched.run_for(Node.hang_s)
    assert not watched.killed
    watched.run_for(1.0)
    assert watched.killed and watched.failure == "hung: its loop did not turn"


def test_one_that_waits_for_the_disk_is_left_alone_and_reported(watched: Watched) -> None:
    watched.waits = True
    watched.run_for(30.0)
    state = plain_state(watched.parts.overview.state())
    assert not watched.killed and state["nodes"]["mix"]["disk_wait_s"] == pytest.approx(30.0, abs=0.5)
    assert list(watched.parts.events.log_lines) == ["mix waits for the disk"]
    watched.waits = False
    watched.board.put("beat_ns", round(watched.now_s * S))
    watched.run_for(0.25)
    assert list(watched.parts.events.log_lines)[1:] == ["mix waited 30.0 s for the disk"]
    watched.run_for(Node.hang_s + 1)
    assert watched.killed, "a hang that follows is one"


def test_a_wait_without_end_is_a_failure(watched: Watched) -> None:
    watched.waits = True
    watched.run_for(DISK_WAIT_S + Node.hang_s - 1)
    assert not watched.killed
    watched.run_for(2.0)
    assert watched.killed and "60.0 s of it since it waited for a disk" in watched.failure


def test_a_start_may_wait_for_the_disk_as_well(watched: Watched) -> None:
    watched.record.ready, watched.record.started_s, watched.waits = False, watched.now_s, True
    watched.run_for(watched.record.start_s + DISK_WAIT_S - 1)
    assert not watched.killed
    watched.run_for(2.0)
    assert watched.killed
