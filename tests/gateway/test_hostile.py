"""Each role with each attack at a gateway that stands still in time: how little comes through, and who is served after.

The same attacks in real time, from processes of their own, are in `tests/proofs/test_hostile.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
import zmq

from audio_pipeline.control.replies import OutputPort, PortsReply
from audio_pipeline.gateway import bounds, dispatch, relay
from audio_pipeline.gateway.dispatch import Dispatcher
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.peer import Peer
from audio_pipeline.gateway.relay import Relay
from audio_pipeline.gateway.roles import Roles
from audio_pipeline.gateway.router import A_TURN, Sent, receive
from audio_pipeline.gateway.server import NOTICES
from audio_pipeline.gateway.session import MAX_OF_A_KEY, Session, Sessions
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from tests.fuzz.ends import TOKEN
from tests.proofs.hostile import ATTACKS, hello, offer, tiny

MESSAGES = 5_000
RATE = 48_000


class CountingRelay(Relay):
    """What it passes on inside is counted, by key."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.inside: Counter[str] = Counter()

    def pass_in(self, session: Session, body: bytes) -> None:
        self.inside[session.user] += 1


class Still:
    """What a gateway does with messages, without threads and sockets, at one moment."""

    def __init__(self, folder: Path, context: zmq.Context[Any]) -> None:
        keys = Keys(folder / "keys")
        keys.new("studio")
        self.users = {name: Keys(folder / name).new(name).public for name in ("listen", "play", "control", "singer")}
        for name, public in self.users.items():
            keys.allow(name, public, name if name != "singer" else "play")
        self.answers: list[bytes] = []
        self.counts: Counter[str] = Counter()
        self.notices = Notices(NOTICES)
        self.sessions = Sessions(context)
        places = SimpleNamespace(claim=len, release=len, end=len)
        self.relay = CountingRelay(self.sessions, self._send, places, TOKEN, self.counts, self.notices)
        self.inside = self.relay.inside
        self.dispatcher = Dispatcher(RunDir(folder), Roles(keys), (), self.relay, self._send, self.counts)
        self.dispatcher.publish(PortsReply("studio", RATE, (OutputPort("mix.out", True),), ("voice", "spare")))

    def _send(self, identity: bytes, message: bytes) -> Sent:
        self.answers.append(message)
        return Sent.DONE

    def send(self, who: str, body: bytes, connection: int = 0) -> None:
        self.dispatcher.take(Peer(f"{who} {connection}".encode(), self.users[who]), body)

    def taken(self) -> list[bytes]:
        answers = list(self.answers)
        self.answers.clear()
        return answers


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Still]:
    moment = SimpleNamespace(monotonic=lambda: 1_000.0, monotonic_ns=lambda: 10**12)
    monkeypatch.setattr(dispatch, "time", moment)
    monkeypatch.setattr(relay, "time", moment)
    monkeypatch.setattr(bounds, "time", moment)
    with zmq.Context() as context:
        made = Still(tmp_path, context)
        yield made
        made.sessions.close()


@pytest.mark.parametrize(("role", "attack"), ATTACKS, ids=["-".join(names) for names in ATTACKS])
def test_a_key_gets_its_share_and_the_next_one_is_served(still: Still, role: str, attack: str) -> None:
    if role == "play":
        still.send(role, offer())
    make = ATTACKS[role, attack]
    sent = 0
    for number in range(MESSAGES):
        body = make()
        sent += len(body)
        still.send(role, body, number % 4)
    mallory = still.users[role]
    most = bounds.MESSAGES if role == "play" else bounds.UNITS / bounds.REQUEST
    assert still.inside[mallory] <= most + 8
    assert len(still.sessions.all) <= MAX_OF_A_KEY
    answers = still.taken()
    assert sum(map(len, answers)) < sent and all(TOKEN.encode() not in answer for answer in answers)
    before = still.inside[still.users["singer"]]
    still.send("singer", offer(node="voice"))
    for _ in range(100):
        still.send("singer", tiny())
    assert still.inside[still.users["singer"]] - before == 101, "a second of hers"


@pytest.mark.parametrize("role", ["listen", "play", "control"])
def test_a_crowd_of_one_key_takes_its_places_and_no_more(still: Still, role: str) -> None:
    for number in range(4_096):
        still.send(role, hello(), number)
    assert 0 < len(still.sessions.all) <= MAX_OF_A_KEY
    still.send("singer", offer(node="voice"))
    assert still.inside[still.users["singer"]] == 1


class Part:
    """A message as ZeroMQ hands it over."""

    def __init__(self, data: bytes) -> None:
        self.bytes = data


class Endless:
    """A socket at which there is always one more message."""

    def recv_multipart(self, flags: int, copy: bool) -> list[Part]:
        return [Part(b"listen 0"), Part(b"nonsense")]


def test_a_turn_takes_a_share_of_what_came_and_says_that_there_is_more(still: Still) -> None:
    def take(frames: Any) -> None:
        still.dispatcher.take(Peer(frames[0].bytes, still.users["listen"]), frames[-1].bytes)

    woken = SimpleNamespace(wake=list)
    assert receive(Endless(), take, woken) and still.counts["bad_messages"] == A_TURN  # type: ignore[arg-type]


def test_refusals_say_why_and_the_log_is_no_place_to_write(still: Still) -> None:
    for number in range(1_000):
        still.send(
            "listen", msgpack.packb({"t": "hello", "v": 1, "port": f"no.{number}", "instance": 1, "window": 9}), number
        )
        still.relay.notify(f"sentence {number}")
    assert len(still.notices) <= NOTICES and still.counts["unsaid"] >= 950
    assert b"is not exported" in still.taken()[0]
