"""The process around one node: `python -m audio_pipeline.worker`, its job on standard input.

It can be started before there is a job for it: imports done, it waits, so that a restart takes
milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import struct
import sys
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any

import zmq

from audio_pipeline.build_node import build_node
from audio_pipeline.clock import ClockRecord, MonotonicClock
from audio_pipeline.control_words import decode, encode
from audio_pipeline.errors import PipelineError, WireError
from audio_pipeline.job import Job
from audio_pipeline.metrics import Board
from audio_pipeline.runner import NodeRunner
from audio_pipeline.settings import live_names
from audio_pipeline.waker import Waker

PR_SET_PDEATHSIG = 1
BEAT_MS = 50
SNAPSHOT_S = 1.0
CRASHED = 70


class Control:
    """The node's end of the control socket, in a thread of its own so that a cancel overtakes the work."""

    def __init__(self, job: Job, context: zmq.Context[Any]) -> None:
        self._job, self._context = job, context
        self._outgoing: deque[dict[str, Any]] = deque()
        self._waker = Waker()
        self._done = threading.Event()
        self.stop = threading.Event()
        self.runner: NodeRunner | None = None
        self._early: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def tell(self, word: dict[str, Any]) -> None:
        """Sends a word to the supervisor; from any thread."""
        self._outgoing.append(word)
        self._waker.wake()

    def attach(self, runner: NodeRunner) -> None:
        """From now on commands go to this runner."""
        self.runner = runner
        runner.inbox.extend(self._early)

    def _run(self) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.IDENTITY, f"{self._job.name}.{self._job.incarnation}".encode())
        socket.connect(self._job.control)
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(self._waker.fd, zmq.POLLIN)
        while not (self._done.is_set() and not self._outgoing):
            poller.poll(200)
            self._waker.clear()
            while self._outgoing:
                word = {"node": self._job.name, "token": self._job.token, **self._outgoing.popleft()}
                socket.send(encode(word))
            while socket.get(zmq.EVENTS) & zmq.POLLIN:
                self._obey(socket.recv())
        socket.close()

    def _obey(self, message: bytes) -> None:
        try:
            word = decode(message)
        except WireError:
            return
        if word["op"] == "stop":
            self.stop.set()
        elif self.runner is None:
            self._early.append(word)
        else:
            if word["op"] == "cancel":  # at once: an inference under way is for nobody now
                ctx = self.runner.ctx
                ctx.wanted_generation = max(ctx.wanted_generation, int(word["generation"]))
            self.runner.inbox.append(word)
        if self.runner is not None:
            self.runner.waker.wake()

    def close(self) -> None:
        """Sends what is left."""
        self._done.set()
        self._waker.wake()
        self._thread.join(2)


def die_with_parent(parent: int) -> None:
    """Linux: this process gets SIGKILL when the thread that started it ends; elsewhere the control socket tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(0)


def read_job() -> Job | None:
    """The job from standard input; None when the supervisor has gone."""
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return None
    (size,) = struct.unpack("<I", head)
    return Job.unpack(sys.stdin.buffer.read(size))


def run_job(job: Job) -> int:
    """Runs the node to its end; returns the exit code."""
    context: zmq.Context[Any] = zmq.Context()
    control = Control(job, context)
    try:
        return _run(job, context, control)
    except PipelineError as error:
        control.tell({"op": "failed", "error": str(error), "cause": type(error).__name__, "exit_code": error.exit_code})
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last gate: whatever it was is said before the process ends
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        control.tell({"op": "failed", "error": said, "cause": "crash", "exit_code": CRASHED})
        return CRASHED
    finally:
        control.close()
        context.destroy(linger=200)


def _run(job: Job, context: zmq.Context[Any], control: Control) -> int:
    board = Board(Path(job.board))
    runner = NodeRunner(
        job, build_node(job), context, MonotonicClock(), board, ClockRecord(Path(job.clock)), control.tell
    )
    runner.open()
    control.attach(runner)
    node = runner.node
    latency = node.latency()
    control.tell({
        "op": "ready", "latency": [latency.window, latency.lookahead, latency.hop, latency.compute],
        "live": live_names(node.settings) + [f"inputs.{name}" for name in live_names(node.input_settings)],
    })  # fmt: skip
    try:
        _loop(runner, control)
    finally:
        runner.close()
    return 0


def _loop(runner: NodeRunner, control: Control) -> None:
    said_end = False
    shown: dict[str, Any] = {}
    next_snapshot_s = time.monotonic() + SNAPSHOT_S
    while not control.stop.is_set():
        runner.step(BEAT_MS)
        if runner.ended and not said_end and runner.drained:
            said_end = True
            control.tell({"op": "ended"})
        elif said_end and not runner.ended:
            said_end = False
            control.tell({"op": "resumed"})
        if time.monotonic() >= next_snapshot_s:
            next_snapshot_s = time.monotonic() + SNAPSHOT_S
            state = runner.node.snapshot()
            if state != shown:
                shown = state
                control.tell({"op": "snapshot", "state": state})


def main() -> int:
    """Entry point: `worker PARENT_PID [MODULE...]`, modules to import while waiting for a job."""
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what Ctrl-C means
    for module in sys.argv[2:]:
        with contextlib.suppress(ImportError):  # who needs it will say so, by name
            importlib.import_module(module)
    job = read_job()
    return 0 if job is None else run_job(job)


if __name__ == "__main__":
    sys.exit(main())
