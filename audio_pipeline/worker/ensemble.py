"""The nodes of one process: one, or a group whose frames go from node to node without a wake-up in between."""

from __future__ import annotations

import time
from collections.abc import Sequence

from audio_pipeline.control.notices import Dismissed, Ended, Resumed, Snapshot
from audio_pipeline.worker.control_link import ControlLink
from audio_pipeline.worker.runner import NodeRunner
from audio_pipeline.worker.sockets import poll_all

BEAT_MS = 50
BEAT_NS = BEAT_MS * 1_000_000
SNAPSHOT_S = 1.0


class Member:
    """A runner with what is to be said of it: its end, its snapshots."""

    def __init__(self, runner: NodeRunner, control: ControlLink) -> None:
        self.runner, self.control = runner, control
        self.name = runner.job.name
        self.due_ns = 0  # when it has to be turned though nothing came for it
        self._reported_end = False
        runner.board.put("in_turn", 0)
        self._next_snapshot_s = time.monotonic() + SNAPSHOT_S

    @property
    def sources(self) -> set[str]:
        """Nodes that it listens to now."""
        return {item.plan.source.node for item in self.runner.inputs.values()}

    def report(self, now_s: float) -> None:
        """Says that it ended, or goes on after all; once a second what a successor needs, if that changed."""
        runner = self.runner
        if runner.ended and not self._reported_end and runner.drained:
            self._reported_end = True
            self.control.notify(Ended())
        elif self._reported_end and not runner.ended:
            self._reported_end = False
            self.control.notify(Resumed())
        if now_s >= self._next_snapshot_s:
            self._next_snapshot_s = now_s + SNAPSHOT_S
            self.control.notify_change(Snapshot(runner.node.snapshot()))


class Ensemble:
    """Turns all runners of this process in one thread.

    They wait together. What a node puts out is taken by the next one of the group in the same turn, since a turn
    goes from producers to consumers; a chain of light nodes thus costs one wake-up, not one a node.
    """

    def __init__(self, members: Sequence[Member] = ()) -> None:
        self.members = list(members)
        self.present = ""  # whose turn it is: who is named if the process fails

    def turn(self) -> None:
        """Waits until there is something to do, at most a beat, and does it."""
        if len(self.members) == 1:
            self.members[0].runner.step(BEAT_MS)
        else:
            self._turn_all(self._wait())
        now_s = time.monotonic()
        for member in self.members:
            self.present = member.name
            member.report(now_s)

    def _wait(self) -> set[int]:
        """The descriptors on which something came, for all members; waits until the first of their deadlines."""
        now = time.monotonic_ns()
        for member in self.members:
            patience_ns = member.runner.patience_ms(BEAT_MS) * 1_000_000
            member.due_ns = min(now + patience_ns, member.due_ns)
        wait_ns = max(min(member.due_ns for member in self.members) - now, 0)
        return poll_all([member.runner.sockets for member in self.members], -(-wait_ns // 1_000_000))

    def _turn_all(self, ready: set[int]) -> None:
        moved: set[str] = set()
        for member in self.members:
            runner = member.runner
            now = time.monotonic_ns()
            came = not ready.isdisjoint(runner.sockets.fds)
            if not (came or now >= member.due_ns or (moved and member.sources & moved)):
                continue
            self.present = member.name
            runner.board.put("in_turn", 1)
            if runner.step():
                moved.add(member.name)
            runner.board.put("in_turn", 0)
            member.due_ns = now + BEAT_NS

    def dismiss_stopped(self) -> None:
        """Lets go of members that were told to stop while others go on."""
        for member in [member for member in self.members if member.control.stop.is_set()]:
            self.members.remove(member)
            member.runner.close()
            member.control.notify(Dismissed())

    def close(self) -> None:
        """Lets go of all."""
        for member in self.members:
            member.runner.close()
