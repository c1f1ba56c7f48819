"""The process that serves a model: `python -m audio_pipeline.serving.model_host FOLDER`, the model on its input."""

from __future__ import annotations

import sys
import time
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
from audio_pipeline.serving.service import Tenure, linger_s
from audio_pipeline.serving.spectrum import dtype_of, kept_frames
from audio_pipeline.terminal import write

TURN_MS = 250
A_TURN = 64  # messages between two looks at what is done
QUEUE = 8  # messages a user, in each direction
FIRST_USER_S = 30.0  # for whoever started it to come


def most_bytes(spec: ModelSpec) -> int:
    """The largest part of a message: all frames that a place keeps."""
    frame = spec.bins * spec.channels * dtype_of(spec).itemsize
    return max(MOST_BYTES, kept_frames(spec) * frame)


def serve(tenure: Tenure, task: Mapping[str, Any], ready: Callable[[], None]) -> None:
    """Loads the model, and serves it until nobody has used it for a while. Raises what loading raises."""
    names = {key: task[key] for key in ("device", "threads", "precision")}
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
        _run(tenure, socket, waker, ModelServer(model, tenure.token, _sender(socket), waker.wake), ready)
    finally:
        context.destroy(linger=0)
        waker.close()


def _sender(socket: zmq.Socket[bytes]) -> Callable[[bytes, bytes, bytes], None]:
    """A user that does not read loses what is beyond its queue, as one that has gone does."""

    def send(to: bytes, head: bytes, payload: bytes) -> None:
        socket.send_multipart([to, head, payload] if payload else [to, head])

    return send


def _run(
    tenure: Tenure, socket: zmq.Socket[bytes], waker: Waker, server: ModelServer, ready: Callable[[], None]
) -> None:
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(waker.fd, zmq.POLLIN)
    linger, used_s = linger_s(), time.monotonic() + FIRST_USER_S
    ready()
    try:
        while len(server) or (time.monotonic() - used_s < linger and tenure.is_published):
            poller.poll(TURN_MS)
            waker.clear()
            for _ in range(A_TURN):
                if not socket.poll(0):
                    break
                sender, *parts = socket.recv_multipart()
                server.receive(sender, parts[0] if parts else b"", parts[1] if len(parts) > 1 else b"")
            server.turn()
            used_s = max(used_s, time.monotonic()) if len(server) else used_s
            trim(tenure.socket.parent / "log")
    except NodeError as error:
        write(f"the model is given up: {error}")
        raise
    server.close()


if __name__ == "__main__":
    sys.exit(run_service(serve))
