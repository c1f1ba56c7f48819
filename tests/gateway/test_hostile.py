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

from audio_pipeline.gateway import bounds, server
from audio_pipeline.gateway.server import A_TURN, Gateway
from audio_pipeline.gateway.session import MAX_OF_A_KEY, Session, Sessions
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.keys import Keys
from tests.fuzz.ends import TOKEN, Router
from tests.proofs.hostile import WORDS, hello, offer, tiny

MESSAGES = 5_000


class Part:
    """A message as ZeroMQ hands it over."""

    def __init__(self, data: bytes, user: str = "") -> None:
        self.bytes, self._user = data, user

    def get(self, what: object) -> Any:
        return self._user if what == "User-Id" else -1


class Still:
    """A gateway without threads and sockets, at one moment; what it passes on inside is counted."""

    def __init__(self, folder: Path, context: zmq.Context[Any]) -> None:
        keys = Keys(folder / "keys")
        keys.new("studio")
        self.users = {name: Keys(folder / name).new(name).public for name in ("listen", "play", "control", "singer")}
        for name, public in self.users.items():
            keys.allow(name, public, name if name != "singer" else "play")
        self.gateway = Gateway("127.0.0.1:0", RunDir(folder), (), keys=keys)
        self.router = self.gateway._router = Router()  # type: ignore[assignment]
        self.gateway._entrance = SimpleNamespace(took=max, wake=list, claim=len, release=len)  # type: ignore[assignment]
        self.gateway._token, self.gateway._gate = TOKEN, SimpleNamespace()  # type: ignore[assignment]
        self.gateway._sessions = Sessions(context)
        self.gateway._known_ports = {"outputs": [{"port": "mix.out", "heard": True}], "feeds": ["voice", "spare"]}
        self.inside: Counter[str] = Counter()
        self.gateway._pass_in = self._pass_in  # type: ignore[method-assign]

    def _pass_in(self, session: Session, body: bytes) -> None:
        self.inside[session.user] += 1

    def say(self, who: str, body: bytes, connection: int = 0) -> None:
        self.gateway._take([Part(f"{who} {connection}".encode()), Part(body, self.users[who])])  # type: ignore[list-item]

    def told(self) -> list[bytes]:
        answers = list(self.router.answers)  # type: ignore[attr-defined]
        self.router.answers.clear()  # type: ignore[attr-defined]
        return answers


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Still]:
    moment = SimpleNamespace(monotonic=lambda: 1_000.0, monotonic_ns=lambda: 10**12)
    monkeypatch.setattr(server, "time", moment)
    monkeypatch.setattr(bounds, "time", moment)
    with zmq.Context() as context:
        made = Still(tmp_path, context)
        yield made
        made.gateway._sessions.close()


@pytest.mark.parametrize(("role", "attack"), WORDS, ids=["-".join(names) for names in WORDS])
def test_a_key_gets_its_share_and_the_next_one_is_served(still: Still, role: str, attack: str) -> None:
    if role == "play":
        still.say(role, offer())
    word = WORDS[role, attack]
    sent = 0
    for number in range(MESSAGES):
        body = word()
        sent += len(body)
        still.say(role, body, number % 4)
    mallory = still.users[role]
    most = bounds.MESSAGES if role == "play" else bounds.WORDS / bounds.REQUEST
    assert still.inside[mallory] <= most + 8
    assert len(still.gateway._sessions.all) <= MAX_OF_A_KEY
    answers = still.told()
    assert sum(map(len, answers)) < sent and all(TOKEN.encode() not in answer for answer in answers)
    before = still.inside[still.users["singer"]]
    still.say("singer", offer(node="voice"))
    for _ in range(100):
        still.say("singer", tiny())
    assert still.inside[still.users["singer"]] - before == 101, "a second of hers"


@pytest.mark.parametrize("role", ["listen", "play", "control"])
def test_a_crowd_of_one_key_takes_its_places_and_no_more(still: Still, role: str) -> None:
    for number in range(4_096):
        still.say(role, hello(), number)
    assert 0 < len(still.gateway._sessions.all) <= MAX_OF_A_KEY
    still.say("singer", offer(node="voice"))
    assert still.inside[still.users["singer"]] == 1


def test_a_turn_takes_a_share_of_what_came_and_says_that_there_is_more(still: Still) -> None:
    class Endless:
        def recv_multipart(self, flags: int, copy: bool) -> list[Part]:
            return [Part(b"x"), Part(b"nonsense", still.users["listen"])]

    still.gateway._router = Endless()  # type: ignore[assignment]
    assert still.gateway._hear() and still.gateway.counts["bad_words"] == A_TURN


def test_refusals_say_why_and_the_log_is_no_place_to_write(still: Still) -> None:
    for number in range(1_000):
        still.say("listen", msgpack.packb({"t": "hello", "v": 1, "port": f"no.{number}"}), number)
        still.gateway._say(f"sentence {number}")
    assert len(still.gateway.said) <= 50 and still.gateway.counts["unsaid"] >= 950
    assert b"is not exported" in still.told()[0]
