"""The nodes' ends of the control socket, in a thread of their own, so that a cancel overtakes the work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.control.notices import Event, Log, Notice, Snapshot, packed
from audio_pipeline.errors import ControlError, WireError
from audio_pipeline.graph.job import Job
from audio_pipeline.links.limits import A_TURN
from audio_pipeline.links.waker import Waker
from audio_pipeline.worker.commands import Command, Stop, command_in
from audio_pipeline.worker.runner import NodeRunner

MOST_WAITING = 10_000  # notices that the supervisor has not taken yet
CHATTER = (Log, Event)


class ControlLink:
    """What one node sends to the supervisor, and what it receives: commands wait in `inbox` for its runner."""

    def __init__(self, job: Job, waker: Waker) -> None:
        self.job = job
        self.inbox: deque[Command] = deque()
        self.outgoing: deque[bytes] = deque()
        self.stop = threading.Event()
        self.runner: NodeRunner | None = None  # once it is open
        self._waker = waker
        self._last_snapshot = b""

    def notify(self, notice: Notice) -> None:
        """Sends a notice to the supervisor; from any thread. One that cannot be packed is replaced by its error.

        Where nobody takes them, log lines and events beyond a bound are left out.
        """
        if not isinstance(notice, CHATTER) or len(self.outgoing) < MOST_WAITING:
            self._send(packed(notice, self.job.name, self.job.token))

    def notify_change(self, snapshot: Snapshot) -> None:
        """As `notify`, unless it is the same as the last one."""
        message = packed(snapshot, self.job.name, self.job.token)
        if message != self._last_snapshot:
            self._last_snapshot = message
            self._send(message)

    def _send(self, message: bytes) -> None:
        self.outgoing.append(message)
        self._waker.wake()

    def receive(self, message: bytes) -> None:
        """A command; in the control thread."""
        try:
            command = command_in(message)
        except (ControlError, WireError) as error:
            self.notify(Log(f"a command was not understood: {error}"))
            return
        if isinstance(command, Stop):
            self.stop.set()
        else:
            self.inbox.append(command)
        if self.runner is not None:
            self.runner.on_arrival(command)


class ControlThread:
    """The thread that carries the controls of all nodes of this process, a socket for each."""

    def __init__(self, jobs: Sequence[Job], context: zmq.Context[Any]) -> None:
        self._context = context
        self._waker = Waker()
        self._done = threading.Event()
        self.controls = [ControlLink(job, self._waker) for job in jobs]
        self._thread = threads.start(self._run, "control", stop=self._done)

    def _run(self) -> None:
        sockets = [self._connect(control.job) for control in self.controls]
        poller = zmq.Poller()
        for fd in (*sockets, self._waker.fd):
            poller.register(fd, zmq.POLLIN)
        while not (self._done.is_set() and not any(control.outgoing for control in self.controls)):
            poller.poll(1000)
            self._waker.clear()
            for control, socket in zip(self.controls, sockets, strict=True):
                while control.outgoing:
                    socket.send(control.outgoing.popleft())
                for _ in range(A_TURN):
                    if not int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
                        break
                    control.receive(socket.recv())
        for socket in sockets:
            socket.close()

    def _connect(self, job: Job) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.IDENTITY, f"{job.name}.{job.epoch - 1}".encode())
        socket.connect(job.control)
        return socket

    def close(self) -> None:
        """Sends what is left."""
        self._done.set()
        self._waker.wake()
        self._thread.join(2)
