"""The nodes' ends of the control socket, in a thread of their own, so that a cancel overtakes the work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import zmq

from audio_pipeline import threads
from audio_pipeline.control.codec import decode, encode
from audio_pipeline.errors import WireError
from audio_pipeline.graph.job import Job
from audio_pipeline.links.messages import A_TURN
from audio_pipeline.links.waker import Waker
from audio_pipeline.packed import UNPACKABLE
from audio_pipeline.worker.runner import NodeRunner

MOST_WAITING = 10_000  # words that the supervisor has not taken yet
CHATTER = ("log", "event")


class ControlLink:
    """What one node says to the supervisor and hears from it."""

    def __init__(self, job: Job, waker: Waker) -> None:
        self.job = job
        self.outgoing: deque[bytes] = deque()
        self.stop = threading.Event()
        self.runner: NodeRunner | None = None
        self._waker = waker
        self._early: list[dict[str, Any]] = []
        self._last_news = b""

    def notify(self, word: dict[str, Any]) -> None:
        """Sends a word to the supervisor; from any thread. One that cannot be packed is replaced by its error.

        Where nobody takes them, log lines and events beyond a bound are left out.
        """
        if word["op"] not in CHATTER or len(self.outgoing) < MOST_WAITING:
            self._send(self._packed(word))

    def notify_change(self, word: dict[str, Any]) -> None:
        """As `notify`, unless it is the same as the last one sent in this way."""
        message = self._packed(word)
        if message != self._last_news:
            self._last_news = message
            self._send(message)

    def _packed(self, word: dict[str, Any]) -> bytes:
        whole = {"node": self.job.name, "token": self.job.token, **word}
        try:
            return encode(whole)
        except UNPACKABLE as error:
            return encode({**whole, **_instead(word, error)})

    def _send(self, message: bytes) -> None:
        self.outgoing.append(message)
        self._waker.wake()

    def attach(self, runner: NodeRunner) -> None:
        """From now on commands go to this runner."""
        self.runner = runner
        runner.inbox.extend(self._early)

    def receive(self, message: bytes) -> None:
        """A command; in the control thread."""
        try:
            word = decode(message)
            self._handle(word)
        except (WireError, KeyError, TypeError, ValueError) as error:
            self.notify({"op": "log", "message": f"a command was not understood ({type(error).__name__}: {error})"})

    def _handle(self, word: dict[str, Any]) -> None:
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


def _instead(word: dict[str, Any], error: Exception) -> dict[str, Any]:
    """What is said in place of a word that msgpack cannot pack; every value of the word is overwritten."""
    blank: dict[str, Any] = dict.fromkeys(word)
    if word["op"] == "reply":
        return {**blank, "op": "reply", "id": word["id"], "ok": False, "error": f"its answer cannot be sent: {error}"}
    said = f"its {word['op']} cannot be sent, so it is left out: {type(error).__name__} {error}"
    return {**blank, "op": "log", "message": said}


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
