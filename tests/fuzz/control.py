"""The real parts of a supervisor without processes: messages go in, answers come out, and its nodes answer at once."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from audio_pipeline.clock import ClockRecord
from audio_pipeline.control.codec import VERSION, decode, encode, request
from audio_pipeline.control.operations import OPERATIONS
from audio_pipeline.errors import WireError
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.host import runtime
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.supervisor.assembly import Assembly, Ground
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.incident_reports import note_shortage
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.shortage import Steps
from audio_pipeline.worker.commands import Command, Retire, Stop, command_in, packed
from tests.engine.graphs import graph_of
from tests.fuzz.choice import Choice, mixed, nested

NODES = """
song: {kind: noise, seed: 0}
mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""
CLIENT = b"client"
KEPT_MESSAGES = 100
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
    last_notice: bytes | None = None

    def wait(self, timeout_s: float) -> bool:
        return True

    def kill(self) -> None:
        """There is none to kill."""

    def last_lines(self) -> list[str]:
        return []


class Mail:
    """In place of the control socket: answers to the client are kept, and each node does what it is sent."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.sent: list[tuple[str, Command]] = []  # (node, command), the newest of them
        self.replies: list[tuple[bytes, dict[str, Any]]] = []

    def wait(self, timeout_ms: int) -> None:
        """Nothing comes."""

    def receive(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def send(self, address: bytes, command: Command) -> None:
        received = command_in(packed(command))
        assert received == command
        self.sent = [*self.sent[-KEPT_MESSAGES:], (address.decode().partition(".")[0], received)]
        if command.id is not None:  # a node answers each command
            self.replies.append((address, {"op": "reply", "id": command.id, "ok": True, "result": {}}))
        elif isinstance(command, (Stop, Retire)):
            self.replies.append((address, {"op": "dismissed"}))

    def send_bytes(self, address: bytes, data: bytes) -> None:
        assert address == CLIENT
        self.answers.append(decode(data))

    def bind_again(self) -> None:
        """There is no socket."""


class Workers:
    """In place of processes. `on_launch(records)` gives each launch something that stands for one."""

    def __init__(self, on_launch: Callable[[Sequence[NodeRecord]], None]) -> None:
        self.on_launch = on_launch
        self.ended: list[tuple[Nobody, int]] = []
        self.pids: frozenset[int] = frozenset()
        self.logs: list[Path] = []

    def launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        self.on_launch(records)

    def exits(self) -> Iterator[tuple[Nobody, int]]:
        ended, self.ended = self.ended, []
        return iter(ended)

    def prepare(self, now_s: float) -> str:
        return ""

    def close(self) -> None:
        """There are none."""


def alone(records: Sequence[NodeRecord]) -> None:
    """Each node gets a process of its own, which is ready if the node was."""
    for record in records:
        record.child = Nobody()


def together(records: Sequence[NodeRecord]) -> None:
    """As a true launch: one process for all, which is not ready yet."""
    child = Nobody()
    for record in records:
        record.child, record.ready, record.retry_s = child, False, None
        record.started_s = time.monotonic()


class Quiet:
    """The parts of a pipeline over a socket and processes that are none."""

    def __init__(self, parts: Assembly, mail: Mail, workers: Workers, run_dir: RunDir, token: str) -> None:
        self.parts, self.mail, self.workers, self.run_dir, self.token = parts, mail, workers, run_dir, token
        self.answers = mail.answers
        self.heard = 0

    def request(self, **word: Any) -> None:
        """A request of the client."""
        self.parts.receive(CLIENT, encode({"v": VERSION, "token": self.token, "id": 1, **word}))

    def notify(self, node: str, **word: Any) -> None:
        """A message of a node."""
        record = self.parts.state.find(node)
        sender = node.encode() if record is None else record.address
        self.parts.receive(sender, encode({"node": node, "token": self.token, **word}))

    def settle(self) -> None:
        """What nodes would do by now: those that come are ready, commands are answered, time passes."""
        parts, mail = self.parts, self.mail
        for name in list(parts.state.joining):
            mail.replies.append((name.encode(), {"op": "ready", "latency": [0, 0, 0, 0], "live": []}))
        for _ in range(20):
            replies, mail.replies = mail.replies, []
            for to, reply in replies:
                self.notify(to.decode().partition(".")[0], **reply)
            parts.transaction.turn()
            for record in list(parts.state.leaving.values()):
                parts.transaction.on_exit(record, "left")
            if not mail.replies:
                return
        raise AssertionError("nodes and supervisor exchange messages without end")

    def hear(self, message: bytes) -> None:
        """One word from a client: exactly one answer to a request, none to what a node says."""
        self.answers.clear()
        for record in self.parts.state.nodes.values():
            record.phase = Phase.RUNNING
        self.parts.receive(CLIENT, message)
        self.settle()
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
        self.request(op="ledger")
        (answer,) = self.answers
        assert answer["ok"] and set(answer["result"]["nodes"]) == set(self.parts.state.nodes)
        assert not self.parts.node_requests.pending, "nobody is left without an answer"

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
                "revision": (self.parts.state.graph_revision,),
                "changes": CHANGES,
            }
        word = {"token": self.token, **mixed(choice, typical)}
        try:
            packed: bytes = msgpack.packb(word)
        except (ValueError, OverflowError):  # deeper than msgpack packs
            packed = b""
        return packed


@contextmanager
def quiet_supervisor(nodes: str = NODES, on_launch: Callable[[Sequence[NodeRecord]], None] = alone) -> Iterator[Quiet]:
    """As set up by a start, with folder, clock and plan, but no socket and no process."""
    with tempfile.TemporaryDirectory(prefix="f") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        token = secrets.token_hex(16)
        run_dir = runtime.create("fuzzed", token)
        plan = make_plan(graph_of(nodes, name="fuzzed"), live=True)
        run = Run(plan, run_dir.path, Path(folder), lambda port: run_dir.endpoint(port.node, port.port))
        run.add_clocks()
        clock = ClockRecord(run.clock_path)
        life, incidents, mail, workers = Lifecycle(), Incidents(), Mail(), Workers(on_launch)
        events = EventStream(lambda: life.uptime_s)
        steps = Steps(lambda step, reason: note_shortage(life, events, incidents, step, reason))
        ground = Ground(PipelineState(run), life, events, incidents, steps, mail, run_dir, clock, token)
        parts = Assembly(ground, workers, [])
        parts.restarts.launch_all()
        try:
            yield Quiet(parts, mail, workers, run_dir, token)
        finally:
            parts.close()
            clock.close()
            run_dir.remove()


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
