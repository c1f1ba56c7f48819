"""A real supervisor without processes: words go in, answers come out, and its nodes answer at once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from audio_pipeline.control.codec import VERSION, decode, encode, request
from audio_pipeline.control.operations import OPERATIONS
from audio_pipeline.errors import WireError
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.process_manager import ProcessManager
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.graphs import graph_of
from tests.fuzz.choice import Choice, mixed, nested

NODES = """
song: {kind: noise, seed: 0}
mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""
CLIENT = b"client"
LOOK_EVERY = 500  # inputs: the whole state is asked for so often
OPS = tuple(OPERATIONS)
CHANGES = (
    [{"op": "connect", "from": "song", "to": "out.b"}],
    [{"op": "disconnect", "to": "out.b"}],
    [{"op": "add", "name": "more", "node": {"kind": "sum", "inputs": {"x": {"from": "song", "on_loss": "silence"}}}}],
    [{"op": "remove", "name": "more"}],
    [{"op": "bypass", "name": "mix"}],
)
NODE_OPS = ("ready", "failed", "ended", "resumed", "event", "log", "snapshot", "reply")


class Nobody:
    """In place of a process."""

    pid = 0
    log = Path("nothing")

    def wait(self, timeout_s: float) -> bool:
        return True

    def kill(self) -> None:
        """There is none to kill."""

    def last_lines(self) -> list[str]:
        return []


class Quiet:
    """A supervisor that was set up and never started."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor, self.token = supervisor, supervisor._token
        self.answers: list[dict[str, Any]] = []
        self.heard = 0
        self._replies: list[tuple[bytes, dict[str, Any]]] = []
        supervisor.send = self._send  # type: ignore[method-assign]

    def _send(self, to: bytes, word: Mapping[str, Any]) -> None:
        message = decode(encode(dict(word)))
        if to == CLIENT:
            self.answers.append(message)
        elif "id" in message:  # a node answers each command
            self._replies.append((to, {"op": "reply", "id": message["id"], "ok": True, "result": {}}))
        elif message.get("op") in ("stop", "retire"):
            self._replies.append((to, {"op": "dismissed"}))

    def _settle(self) -> None:
        """What nodes would do by now: those that come are ready, commands are answered, time passes."""
        supervisor = self.supervisor
        for name in list(supervisor.editor.joining):
            self._replies.append((name.encode(), {"op": "ready", "latency": [0, 0, 0, 0], "live": []}))
        for _ in range(20):
            replies, self._replies = self._replies, []
            for to, reply in replies:
                node = to.decode().partition(".")[0]
                supervisor._hear(to, encode({"node": node, "token": self.token, **reply}))
            supervisor.editor.turn(time.monotonic())
            for record in list(supervisor.editor.leaving.values()):
                supervisor.editor.on_exit(record, "left")
            if not self._replies:
                return
        raise AssertionError("nodes and supervisor talk without end")

    def hear(self, message: bytes) -> None:
        """One word from a client: exactly one answer to a request, none to what a node says."""
        self.answers.clear()
        for record in self.supervisor.nodes.values():
            record.phase = Phase.RUNNING
        self.supervisor._hear(CLIENT, message)
        self._settle()
        word = self._understood(message)
        expected = 0 if word.get("token") == self.token and "node" in word and "v" not in word else 1
        assert len(self.answers) == expected, f"{len(self.answers)} answers, expected {expected}"
        assert all(isinstance(answer["ok"], bool) for answer in self.answers)
        self.heard += 1
        if self.heard % LOOK_EVERY == 0:
            self.look()

    def _understood(self, message: bytes) -> dict[str, Any]:
        try:
            return request(message)
        except WireError:
            return {}

    def look(self) -> None:
        """The state is whole after whatever was said."""
        self.answers.clear()
        self.supervisor._hear(CLIENT, encode({"v": VERSION, "token": self.token, "id": 1, "op": "ledger"}))
        (answer,) = self.answers
        assert answer["ok"] and set(answer["result"]["nodes"]) == set(self.supervisor.nodes)
        assert not self.supervisor.control_server._pending, "nobody is left without an answer"

    def word(self, data: bytes) -> bytes:
        """A request or a node's word, nearly right."""
        choice = Choice(data)
        if choice.chance(4):
            typical: dict[str, Any] = {
                "op": NODE_OPS,
                "node": ("song", "mix", "out"),
                "latency": ([0, 0, 0, 0],),
                "live": ([],),
                "event": ({"kind": "media", "position": 5, "media_s": 1.0},),
                "message": ("hello",),
                "state": ({},),
                "id": (1,),
                "ok": (True,),
            }
        else:
            typical = {
                "v": (VERSION,),
                "op": OPS,
                "id": (7,),
                "node": ("song", "mix", "out"),
                "name": ("inputs.dry.gain", "seconds", "inputs.dry", "inputs."),
                "value": (0.5, 1),
                "at": (None, 9),
                "command": ("play", "pause", "seek", "next", "loop"),
                "args": ({"seconds": 3.0}, {"on": True}),
                "since": (0, 1),
                "revision": (self.supervisor.editor.revision,),
                "changes": CHANGES,
            }
        word = {"token": self.token, **mixed(choice, typical)}
        try:
            packed: bytes = msgpack.packb(word)
        except (ValueError, OverflowError):  # deeper than msgpack packs
            packed = b""
        return packed


def _pretend(process_manager: ProcessManager, records: Sequence[NodeRecord], run: Run) -> None:
    for record in records:
        record.child = Nobody()  # type: ignore[assignment]


@contextmanager
def quiet_supervisor() -> Iterator[Quiet]:
    """As set up by a start, with sockets, clock and plan, but no process."""
    with tempfile.TemporaryDirectory(prefix="f") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        patch.setattr(ProcessManager, "launch", _pretend)
        supervisor = Supervisor(graph_of(NODES, name="fuzzed"), folder=Path(folder))
        supervisor._set_up()
        try:
            yield Quiet(supervisor)
        finally:
            supervisor._tear_down()


@contextmanager
def raw() -> Iterator[Callable[[bytes], None]]:
    """Bytes on the control socket."""
    with quiet_supervisor() as quiet:
        yield quiet.hear


@contextmanager
def words() -> Iterator[Callable[[bytes], None]]:
    """Requests and words of nodes that are nearly right."""
    with quiet_supervisor() as quiet:
        yield lambda data: quiet.hear(quiet.word(data))


SEEDS = [
    msgpack.packb({"v": VERSION, "token": "x", "id": 1, "op": "ledger"}),
    msgpack.packb({"op": "ready", "node": "song"}),
    msgpack.packb(nested(500)),
    b"\x91" * 700,
]
