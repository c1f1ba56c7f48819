"""A served model: whoever has a place is served, at a rate that the place allows; nobody else costs anything."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import NodeError, WireError
from audio_pipeline.host.processes import here, started
from audio_pipeline.models.separation.stream import SeparatorStream
from audio_pipeline.models.separation.tuning import Timing
from audio_pipeline.models.separation.types import Array, SeparatorSettings, State, Window
from audio_pipeline.packed import dumps
from audio_pipeline.serving import model_admission, model_server
from audio_pipeline.serving.model_messages import (
    Alive,
    Answer,
    Failed,
    Frames,
    Join,
    Joined,
    Leave,
    Lost,
    Message,
    Refused,
    Reset,
    pack,
    unpack,
)
from audio_pipeline.serving.model_server import ModelServer
from tests.dsp.chunking import noise
from tests.models.fake_model import FakeModel
from tests.patience import PATIENCE_S

NS = 1_000_000_000
HOP = 8
WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)
JOIN = Join("token", "run/split", "low", HOP)


class Alone(FakeModel):
    """As on a CPU."""

    padded = False


class Host:
    """A server without a socket; time passes when a test says so."""

    def __init__(self, model: FakeModel) -> None:
        self.now_ns, self.news = NS, threading.Event()
        self.sent: list[tuple[bytes, Message, bytes]] = []
        self.server = ModelServer(model, "token", self._send, self.news.set, lambda: self.now_ns)

    def _send(self, to: bytes, head: bytes, payload: bytes) -> None:
        self.sent.append((to, unpack(head), payload))

    def ask(self, message: Message, payload: bytes = b"", sender: bytes = b"me") -> Any:
        """The reply, however long the model takes."""
        before = len(self.sent)
        self.server.receive(sender, pack(message), payload)
        while len(self.sent) == before:
            assert self.news.wait(PATIENCE_S)
            self.news.clear()
            self.server.turn()
        assert self.sent[-1][0] == sender
        return self.sent[-1][1]

    def send(self, message: Message, payload: bytes = b"") -> None:
        """What has no reply."""
        before = len(self.sent)
        self.server.receive(b"me", pack(message), payload)
        assert len(self.sent) == before


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_admission, "measure", lambda *_: Timing(0.06, 0.08, 0.05, 0.0005))


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host(Alone())
    yield made
    made.server.close()


def windows(count: int) -> list[Window]:
    stream, found = SeparatorStream(FakeModel(), SeparatorSettings("low", HOP)), []
    while len(found) < count:
        while (window := stream.pending()) is None:
            stream.push(noise(HOP * 1_024))
        found.append(window)
        stream.skip(window)
    return found


def whole(place: str, window: Window, sequence: int = 1) -> tuple[Frames, bytes]:
    """A window with all its frames."""
    first = max(window.first_frame, 0)
    frames = Frames(place, sequence, first, window.first_frame, len(window.frames), window.wanted.start)
    return frames, window.frames[first - window.first_frame :].tobytes()


def test_a_window_is_answered_as_by_the_model_itself(host: Host) -> None:
    place = host.ask(JOIN).place
    for number, window in enumerate(windows(3)):
        assert host.ask(*whole(place, window, number)) == Answer(number)
        (expected,), _ = FakeModel().step([window], [None])
        assert np.array_equal(np.frombuffer(host.sent[-1][2], np.float32).reshape(expected.shape), expected)


def test_without_the_token_there_is_no_place(host: Host) -> None:
    for token in ("", "tokem", "token "):
        assert host.ask(replace(JOIN, token=token)) == Refused("wrong token")
    assert len(host.server) == 0


@pytest.mark.parametrize("message", [Frames("guess"), Reset("guess"), Alive("guess")])
def test_a_place_that_does_not_exist_is_lost(host: Host, message: Message) -> None:
    host.ask(JOIN)
    assert host.ask(message) == Lost("guess")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"mode": "offline"}, "expected a sliding one"),
        ({"mode": "fast"}, "mode: expected one of"),
        ({"hop": 5}, "hop: expected one of"),
    ],
)
def test_a_wish_that_no_model_grants_is_refused(host: Host, wish: dict[str, Any], reason: str) -> None:
    assert reason in host.ask(replace(JOIN, **wish)).reason


def test_capacity_is_granted_by_what_is_measured_and_comes_back(host: Host) -> None:
    replies = [host.ask(replace(JOIN, stream=f"run {k}/split", hop=0)) for k in range(9)]
    joined = [each for each in replies if isinstance(each, Joined)]
    assert len(joined) >= 2 and [each.hop for each in joined] == sorted(each.hop for each in joined)
    assert isinstance(replies[-1], Refused)
    assert "no capacity for 'run 8/split' beside 'run 0/split' (hop" in replies[-1].reason
    host.send(Leave(joined[0].place))
    host.send(Leave(joined[0].place))  # twice is once
    assert isinstance(host.ask(replace(JOIN, stream="run 8/split", hop=0)), Joined)


def test_a_stream_that_joins_again_has_one_place(host: Host) -> None:
    first, second = host.ask(JOIN).place, host.ask(JOIN).place
    assert first != second and len(host.server) == 1
    assert host.ask(Alive(first)) == Lost(first)
    assert host.ask(Alive(second)) == Alive(second)


def test_a_place_ends_with_its_lease(host: Host) -> None:
    place = host.ask(JOIN).place
    host.now_ns += round(0.9 * model_server.LEASE_S * NS)
    assert host.ask(Alive(place)) == Alive(place)
    host.now_ns += round(0.9 * model_server.LEASE_S * NS)
    host.server.turn()
    assert len(host.server) == 1
    host.now_ns += round(0.2 * model_server.LEASE_S * NS)
    host.server.turn()
    assert len(host.server) == 0


def test_a_place_ends_with_the_process_that_has_it(host: Host) -> None:
    host.ask(replace(JOIN, pid=os.getpid(), started=started(os.getpid()), here=here()))
    host.server.turn()
    assert len(host.server) == 1
    host.ask(replace(JOIN, pid=os.getpid(), started=1.0, here=here()))
    host.server.turn()
    assert len(host.server) == 0


def test_nobody_is_served_faster_than_sound_goes(host: Host) -> None:
    place, (window,) = host.ask(JOIN).place, windows(1)
    replies = [host.ask(*whole(place, window, number)) for number in range(200)]
    answered = [reply for reply in replies if isinstance(reply, Answer)]
    assert replies[-1] == Failed(199, "faster than its sound", model_server.BUSY_S)
    assert len(answered) == 64 + (128 + 32) // HOP  # the burst of a start
    host.now_ns += NS
    later = [host.ask(*whole(place, window, number)) for number in range(20)]
    assert sum(isinstance(reply, Answer) for reply in later) == 6  # 44100 / 8192 a second, and a quarter


@pytest.mark.parametrize(("length", "wanted"), [(128, 0), (64, 12), (1_000, 117), (127, 116)])
def test_only_windows_of_the_ladder_are_computed(host: Host, length: int, wanted: int) -> None:
    place, (window,) = host.ask(JOIN).place, windows(1)
    frames, payload = whole(place, window)
    reply = host.ask(replace(frames, length=length, wanted=wanted), payload)
    assert isinstance(reply, Failed) and "is none of its" in reply.reason


@given(st.binary(max_size=200) | st.dictionaries(st.text(max_size=9), WHOLE | st.text(max_size=9)).map(dumps))
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack(data)


class Fails(Alone):
    """From a window on that is loud."""

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        if any(len(window.frames) and window.frames[-1].max() > 0 for window in windows) and self.steps > 3:
            raise RuntimeError("the device is lost")
        return super().step(windows, states)


def test_a_model_that_fails_again_and_again_ends_its_host() -> None:
    model = Fails()
    host = Host(model)
    place, (window,) = host.ask(JOIN).place, windows(1)
    model.steps = 10
    assert host.ask(*whole(place, window)) == Failed(1, "RuntimeError: the device is lost", model_server.BUSY_S)
    host.ask(*whole(place, window))
    with pytest.raises(NodeError, match="3 inferences in a row have failed: the device is lost"):
        host.ask(*whole(place, window))
    host.server.close()


def test_a_reset_forgets_the_frames(host: Host) -> None:
    place, (window, after) = host.ask(JOIN).place, windows(2)
    host.ask(*whole(place, window))
    host.send(Reset(place))
    frames, payload = whole(place, after, 2)
    new = frames.start + frames.length - HOP
    reply = host.ask(replace(frames, first=new), payload[-HOP * 8_192 :])
    assert isinstance(reply, Failed) and "expected within" in reply.reason
    assert host.ask(frames, payload) == Answer(2)
