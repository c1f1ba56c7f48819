"""Whole ends of a connection between hosts: what comes in, what follows from it, and what they answer."""

from __future__ import annotations

import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import zmq

from audio_pipeline.control.replies import OutputPort, PortsReply
from audio_pipeline.frame import Flag, Frame, audio_frame, gap_frame
from audio_pipeline.frame_codec import pack, parse
from audio_pipeline.gateway.bounds import Bounds
from audio_pipeline.gateway.codec import Coding
from audio_pipeline.gateway.dispatch import Dispatcher
from audio_pipeline.gateway.feed import SendingEnd
from audio_pipeline.gateway.feed_receiver import WINDOW_FRAMES, FeedReceiver
from audio_pipeline.gateway.frame_bounds import FrameBounds
from audio_pipeline.gateway.host_connection import HostConnection
from audio_pipeline.gateway.link import ListeningEnd
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.peer import Peer
from audio_pipeline.gateway.player import RemotePlayer
from audio_pipeline.gateway.relay import Relay
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.roles import Roles
from audio_pipeline.gateway.router import Sent
from audio_pipeline.gateway.session import MAX_SESSIONS, Sessions
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from audio_pipeline.links.message_codec import pack as pack_message
from audio_pipeline.links.port_specs import InSpec
from tests.fuzz.choice import Choice, mixed

RATE, CHANNELS, NS = 48_000, 2, 1_000_000_000
TOKEN = "secret"
TICK_NS = 10_000_000
REMEMBERED = 1 << 63  # what a board's slot holds
GENUINE = [
    pack(audio_frame(np.linspace(-1, 1, 960, dtype=np.float32).reshape(480, 2), 480, RATE, seq=3, captured_ns=9)),
    pack(audio_frame(np.ones((441, 1), np.float32), 441, 44_100, seq=4)),
    pack(gap_frame(0, 9, RATE, 2, seq=5)),
    pack(gap_frame(1 << 20, 7, 1_000, 32, seq=6)),
    pack(gap_frame(480, 7, RATE, 2, flags=Flag.END, epoch=2, seq=7)),
]
OFFER = {"t": "offer", "v": 1, "node": "voice", "instance": 1, "greeting": 0, "token": TOKEN}
HELLO = {"t": "hello", "v": 1, "port": "mix.out", "instance": 1, "window": 9, "since": 0}
STATE = {"v": 2, "id": 1, "op": "meters"}
WORDS = [
    msgpack.packb(word)
    for word in (
        OFFER,
        HELLO,
        STATE,
        {"t": "alive"},
        {"t": "bye"},
        {"t": "time", "t1": 5},
        {"v": 2, "id": 1, "op": "ports"},
        {"t": "welcome", "v": 1, "epoch": 1, "window": 9},
        {"t": "time", "t1": 5, "t2": 6, "t3": 7},
        {"t": "who"},
        {"t": "credit", "epoch": 1, "greeting": 0, "delivered": 0, "granted": 9},
    )
]
SEEDS = [*GENUINE, *WORDS, bytes(60), bytes(range(200))]
NUMBERS = (0, 1, 1 << 31, 1 << 53, (1 << 61) - 1, 1 << 62, (1 << 62) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
AT = {"seq": 32, "position": 40, "captured_ns": 48}  # in a frame, each of 8 bytes


def message_of(data: bytes) -> bytes:
    """Bytes as they are, a word that is nearly right, or a frame with a number that nobody could count to."""
    choice = Choice(data)
    kind = choice.byte() % 5
    if kind == 1:
        return _word(choice)
    if kind == 2:
        frame = bytearray(choice.pick(GENUINE))
        for at in AT.values():
            if choice.chance(2):
                struct.pack_into("<Q", frame, at, choice.pick(NUMBERS))
        return bytes(frame)
    if kind == 3:
        there = choice.pick(NUMBERS)
        return bytes(msgpack.packb({"t": "time", "t1": 0, "t2": there, "t3": there}))
    return data


def _word(choice: Choice) -> bytes:
    typical: dict[str, Any] = {
        "t": ("hello", "offer", "credit", "welcome", "time", "bye", "who", "refused", "still", "alive", "timeline"),
        "op": ("state", "ports", "set", "stop", "events", "edit", "send"),
        "v": (1,),
        "token": (TOKEN,),
        "id": (1, "x"),
        "instance": (1, 2),
        "window": (9, *NUMBERS),
        "greeting": (0, 1, *NUMBERS),
        "epoch": (1, *NUMBERS),
        "delivered": NUMBERS,
        "granted": NUMBERS,
        "t1": NUMBERS,
        "t2": NUMBERS,
        "t3": NUMBERS,
        "since": (None, 0),
        "port": ("mix.out", "song.out"),
        "node": ("voice", "mix"),
        "from": NUMBERS,
        "received": NUMBERS,
    }
    word = mixed(choice, typical)
    for other in ("op", "t"):
        if choice.chance(2):
            word.pop(other, None)
            break
    try:
        packed: bytes = msgpack.packb(word)
    except (ValueError, OverflowError):
        packed = b""
    return packed


class Clock:
    """What a node has of its graph, at a time that goes on by itself; counts are held to what a board can hold."""

    rate, frame_samples = RATE, 480

    def __init__(self) -> None:
        self.now = NS
        self.emitted = 0

    def now_ns(self) -> int:
        return self.now

    def position_at(self, host_ns: int) -> float:
        return host_ns * RATE / NS

    def host_ns_at(self, position: float) -> int:
        return round(position * NS / RATE)

    def emit(self, port: str, sound: Any, position: int, **_: Any) -> None:
        assert np.isfinite(sound).all() and len(sound) == self.frame_samples
        self.emitted += 1

    def emit_idle(self, port: str, position: int) -> None:
        """Nothing is to be heard."""

    def gauge(self, name: str, value: float) -> None:
        struct.pack("<d", value)

    def count(self, name: str, amount: int = 1) -> None:
        assert -REMEMBERED <= amount * 1_000_000 < REMEMBERED, f"{name} += {amount}"


@contextmanager
def feed() -> Iterator[Callable[[bytes], None]]:
    """A place for a singer, with all that is made of the frames."""
    port = FeedReceiver(TOKEN, lambda sender, message: _heard(pack_message(message)), rate=RATE, channels=CHANNELS)
    ctx = Clock()
    player = RemotePlayer(ctx, CHANNELS, 0.0, 250.0)  # type: ignore[arg-type]

    def target(data: bytes) -> None:
        ctx.now += TICK_NS
        for message in (msgpack.packb(OFFER), message_of(data)):
            port.receive(b"a", message, ctx.now)
        assert port.waiting <= WINDOW_FRAMES
        player.poll(ctx, port)  # type: ignore[arg-type]
        port.turn(ctx.now)

    yield target
    # What has a number beyond all others makes every later one an old one, until the next offer: nothing is taken.
    assert ctx.emitted or not player.frames


def _heard(answer: bytes) -> None:
    """What is answered can be read, and is short."""
    assert isinstance(msgpack.unpackb(answer), dict) and len(answer) < 1_000


class Wire:
    """A connection on which what was put in comes, and nothing of what is sent is kept."""

    def __init__(self) -> None:
        self.coming: list[bytes] = []

    def dial(self) -> None:
        """It is always there."""

    def wait(self, file: int, wait_ms: int) -> None:
        """Nobody waits."""

    def news(self) -> list[str]:
        return []

    def send(self, message: bytes) -> bool:
        if message[:1] == b"A":
            parse(message)
        else:
            _heard(message)
        return True

    def receive(self) -> bytes | None:
        return self.coming.pop(0) if self.coming else None

    def hang_up(self) -> None:
        """It stays."""

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def _connection() -> Iterator[tuple[HostConnection, Wire]]:
    """A connection to another host without its thread."""
    wire = Wire()
    connection = HostConnection(Remote("127.0.0.1", 9), wire)
    yield connection, wire
    connection.end()


@contextmanager
def sending() -> Iterator[Callable[[bytes], None]]:
    """The sender's end: words of the host that it plays to, and frames that go out after them."""
    with _connection() as (connection, wire):
        end = connection.open(lambda line: SendingEnd(line, "voice")).end
        now = [NS]

        def target(data: bytes) -> None:
            now[0] += TICK_NS
            wire.coming += [msgpack.packb({"t": "welcome", "window": 9}), message_of(data)]
            end.offer(replace(parse(GENUINE[0]), captured_ns=now[0]))
            connection.turn(now[0])
            assert end.queued <= 25 and end.in_flight <= 1 << 16

        yield target


@contextmanager
def listening() -> Iterator[Callable[[bytes], None]]:
    """The listener's end, with all that is made of the frames."""
    with _connection() as (connection, wire):
        ctx = Clock()
        player = RemotePlayer(ctx, CHANNELS, 0.0, 250.0)  # type: ignore[arg-type]
        spec = InSpec("", "tcp://127.0.0.1:9", 50, "drop_oldest")
        bounds, counts = FrameBounds(RATE, CHANNELS), Counter[str]()

        def on_frame(frame: Frame) -> None:
            player.push(frame, ctx.now, connection.offset.here(frame.captured_ns))

        def count(name: str, amount: int) -> None:
            counts[name] += amount

        end = connection.open(lambda line: ListeningEnd(line, spec, Coding.F32, bounds, count, on_frame)).end

        def target(data: bytes) -> None:
            ctx.now += TICK_NS
            wire.coming += [msgpack.packb({"t": "welcome", "epoch": 1}), message_of(data)]
            connection.turn(ctx.now)
            player.poll(ctx, SimpleNamespace(take=lambda: None))  # type: ignore[arg-type]
            assert not end.queue and end.grant.delivered_through < 1 << 62

        yield target


@contextmanager
def gateway() -> Iterator[Callable[[bytes], None]]:
    """Whatever a key of each role says to a gateway: it answers little, and nobody outside learns the token."""
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        keys, users = Keys(Path(folder) / "keys"), {}
        keys.new("studio")
        for role in ("listen", "play", "control"):
            users[role] = Keys(Path(folder) / role).new(role).public
            keys.allow(role, users[role], role)
        answers: list[bytes] = []

        def send(identity: bytes, message: bytes) -> Sent:
            answers.append(message)
            return Sent.DONE

        places, counts = SimpleNamespace(claim=len, release=len, end=len), Counter[str]()
        relay = Relay(Sessions(context), send, places, TOKEN, counts, Notices(50))
        made = Dispatcher(RunDir(Path(folder)), Roles(keys), (), relay, send, counts)
        outputs = OutputPort("mix.out", True), OutputPort("song.out", False)
        made.publish(PortsReply("studio", RATE, outputs, ("voice",)))

        def target(data: bytes) -> None:
            role = Choice(data).pick(tuple(users))
            body, identity = message_of(data[1:]), role.encode()
            made.bounds = Bounds()  # of another second
            made.take(Peer(identity, users[role]), body)
            assert all(len(answer) < len(body) + 1_000 for answer in answers)
            assert all(isinstance(msgpack.unpackb(answer), dict) for answer in answers)
            answers.clear()
            assert len(relay.sessions.all) <= min(3, MAX_SESSIONS)
            for session in relay.sessions.all:
                relay.forget(session)

        yield target
        relay.sessions.close()
