"""The process that serves a model: `python -m audio_pipeline.serving.model_host FOLDER`, the model on its input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from audio_pipeline.errors import NodeError
from audio_pipeline.host.log_ring import trim
from audio_pipeline.links.waker import Waker
from audio_pipeline.models.separation.loading import load
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.serving.model_messages import MOST_BYTES
from audio_pipeline.serving.model_server import ModelServer
from audio_pipeline.serving.process import run_service
from audio_pipeline.serving.service import Idle, Status, Tenure, linger_s
from audio_pipeline.serving.spectrum import frame_bytes, kept_frames
from audio_pipeline.terminal import write

TURN_MS = 250
A_TURN = 64  # messages between two looks at what is done
QUEUE = 8  # messages a user, in each direction
FIRST_USER_S = 30.0  # for whoever started it to come


def most_bytes(spec: ModelSpec) -> int:
    """The largest part of a message: all frames that a place keeps."""
    return max(MOST_BYTES, kept_frames(spec) * frame_bytes(spec))


def serve(tenure: Tenure, task: Mapping[str, Any], ready: Callable[[], None]) -> None:
    """Loads the model, and serves it until nobody has used it for a while. Raises what loading raises."""
    names = {key: task[key] for key in ("device", "threads", "precision", "engine")}
    model = load(task["model"], **names)
    context: zmq.Context[Any] = zmq.Context()
    waker = Waker()
    socket = context.socket(zmq.ROUTER)
    try:
        for option, value in ((zmq.SNDHWM, QUEUE), (zmq.RCVHWM, QUEUE), (zmq.LINGER, 0)):
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.MAXMSGSIZE, most_bytes(model.spec))
        socket.bind(f"ipc://{tenure.socket}")
        tenure.socket.chmod(0o600)
        server = ModelServer(model, tenure.token, _sender(socket), waker.wake)
        run(tenure, socket, waker, server, ready, Idle(linger_s(), FIRST_USER_S))
    finally:
        context.destroy(linger=0)
        waker.close()


def _sender(socket: zmq.Socket[bytes]) -> Callable[[bytes, bytes, bytes], None]:
    """A user that does not read loses what is beyond its queue, as one that has gone does."""

    def send(to: bytes, head: bytes, payload: bytes) -> None:
        socket.send_multipart([to, head, payload] if payload else [to, head])

    return send


def run(
    tenure: Tenure,
    socket: zmq.Socket[bytes],
    waker: Waker,
    server: ModelServer,
    ready: Callable[[], None],
    idle: Idle,
) -> None:
    """Answers until nobody uses the model any more. Raises NodeError where it has to be given up."""
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(waker.fd, zmq.POLLIN)
    ready()
    try:
        while not idle.is_over(in_use=len(server) > 0) and (len(server) or tenure.is_published):
            tenure.show(Status(server.engine, server.users, idle.linger_s))
            poller.poll(TURN_MS)
            waker.clear()
            for _ in range(A_TURN):
                if not socket.poll(0):
                    break
                sender, *parts = socket.recv_multipart()
                server.receive(sender, parts[0] if parts else b"", parts[1] if len(parts) > 1 else b"")
            server.turn()
            trim(tenure.socket.parent / "log")
    except NodeError as error:
        write(f"the model is given up: {error}")
        raise
    server.close()


if __name__ == "__main__":
    sys.exit(run_service(serve))
