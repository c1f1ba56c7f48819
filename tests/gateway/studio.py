"""What a gateway stands in front of, without processes: a control socket, an output, and their keys."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq

from audio_pipeline.control.codec import decode, encode
from audio_pipeline.frame import Frame, audio_frame
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.server import Gateway
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from audio_pipeline.links.port_specs import OutSpec
from audio_pipeline.links.producer import OutPort
from tests.patience import PATIENCE_S

RATE, N = 48_000, 480
TOKEN = "the token of this run"


def until(true_of: Callable[[], object], what: str = "it never came to that") -> None:
    """Waits for other threads."""
    deadline = time.monotonic() + PATIENCE_S
    while not true_of():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.002)


def frame(number: int, **fields: Any) -> Frame:
    return audio_frame(np.full((N, 2), number, np.float32), number * N, RATE, **fields)


class Studio:
    """A pipeline with outputs `mix.out` (played here) and `song.out`, a node `voice` to feed, and a gateway."""

    def __init__(self, folder: Path, *, curve: bool = True, exports: tuple[str, ...] = (), address: str = "") -> None:
        (folder / "run").mkdir(mode=0o700)
        (folder / "run" / "token").write_text(TOKEN)
        self.run = RunDir(folder / "run")
        self.keys = Keys(folder / "studio")
        self.public = self.keys.new("studio").public
        self.laptop = Keys(folder / "laptop")
        self.laptop.new("laptop")
        self.laptop.allow("studio", self.public, "host")
        self.counts: Counter[str] = Counter()
        self.asked: list[dict[str, Any]] = []
        self._frames: deque[Frame] = deque()
        self._context: zmq.Context[Any] = zmq.Context()
        self._control = self._context.socket(zmq.ROUTER)
        self._control.bind(self.run.control)
        spec = OutSpec("out", self.run.endpoint("mix", "out"), 0, RATE, 2, "mix", 0, {"speaker.in": ("drop_oldest", 9)})
        self.out = OutPort(self._context, spec, TOKEN, 1, self._counter)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.gateway = Gateway(address or "127.0.0.1:0", self.run, exports, keys=self.keys if curve else None)
        self.gateway.open()

    def _counter(self, name: str) -> Callable[[str, int], None]:
        def count(what: str, amount: int) -> None:
            self.counts[f"{name}.{what}"] += amount

        return count

    def _work(self) -> None:
        while not self._stop.is_set():
            while self._control.poll(1):
                sender, message = self._control.recv_multipart()
                self._control.send_multipart([sender, encode(self._answer(decode(message)))])
            self.out.handle()
            while self._frames:
                self.out.offer(self._frames.popleft())
        self.out.close()
        self._control.close(linger=0)
        self._context.term()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("op", "ports") != "ports":  # a gateway also says bye
            self.asked.append(request)
        outputs = [{"port": "mix.out", "heard": True}, {"port": "song.out", "heard": False}]
        result = {"name": "studio", "rate": RATE, "outputs": outputs, "feeds": ["voice"]}
        return {"id": request.get("id"), "ok": request.get("token") == TOKEN, "result": result}

    def play(self, numbers: range) -> None:
        """Frames on `mix.out`."""
        self._frames.extend(frame(number) for number in numbers)

    def send(self, frames: Iterable[Frame]) -> None:
        """These frames on `mix.out`."""
        self._frames.extend(frames)

    def allow(self, role: str = "listen") -> Remote:
        """Lets the laptop in; how it finds this studio."""
        Keys(self.keys.folder).allow("laptop", self.laptop.mine()[1].public, role)
        return self.remote()

    def remote(self, port: int | None = None) -> Remote:
        return Remote("127.0.0.1", port or self.gateway.port, "studio", self.public, self.laptop.mine()[1])

    def taps(self) -> list[str]:
        return [name for name in self.out.subscriptions if name.startswith("~")]

    @property
    def sent(self) -> int:
        """Frames to other hosts."""
        return self.counts["taps.sent"]

    def close(self) -> None:
        self.gateway.close()
        self._stop.set()
        self._thread.join()


class Stranger:
    """Somebody who speaks as they like, with a key or without."""

    def __init__(self, remote: Remote, *, unread: int = 0) -> None:
        """Of `unread` messages at most ZeroMQ reads ahead; 0: as many as of us."""
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        remote.prepare(self.socket)
        if unread:
            self.socket.setsockopt(zmq.RCVHWM, unread)
        self.socket.connect(remote.endpoint)

    def ask(self, request: dict[str, Any] | bytes, timeout_ms: float = PATIENCE_S * 1000) -> dict[str, Any] | None:
        """Sends a request; returns the reply, or None if there is none."""
        self.socket.send(request if isinstance(request, bytes) else msgpack.packb(request))
        if not self.socket.poll(timeout_ms):
            return None
        answer: dict[str, Any] = msgpack.unpackb(self.socket.recv())
        return answer

    def close(self) -> None:
        self.context.destroy(linger=0)
