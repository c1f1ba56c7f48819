"""Several ports over one connection: each message carries the number of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from audio_pipeline.frame import pack, parse
from audio_pipeline.gateway.feed_port import FeedPort
from audio_pipeline.gateway.relay import stream_of, with_stream
from audio_pipeline.gateway.session import FEED
from audio_pipeline.links.messages import PROTOCOL
from tests.gateway.studio import RATE, TOKEN, Stranger, Studio, frame, until
from tests.patience import PATIENCE_S

HELLO = {"t": "hello", "v": PROTOCOL, "port": "mix.out", "instance": 1, "greeting": 0, "window": 50}
OFFER = {"t": "offer", "v": PROTOCOL, "node": "voice", "instance": 1, "greeting": 0}


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = Studio(tmp_path)
    yield made
    made.close()


@pytest.fixture
def stranger(studio: Studio) -> Iterator[Stranger]:
    made = Stranger(studio.allow("play"))
    until(studio.gateway.exported)
    yield made
    made.close()


def opened(stranger: Stranger, message: dict[str, Any]) -> dict[str, Any]:
    """What a hello or an offer is answered. It is sent again while nothing comes: the inner socket connects first."""
    answers: list[dict[str, Any]] = []

    def answered() -> bool:
        stranger.socket.send(msgpack.packb(message))
        while not answers and stranger.socket.poll(50):
            answer = msgpack.unpackb(stranger.socket.recv())
            if answer["t"] in ("welcome", "refused") and answer.get("stream", 0) == message["stream"]:
                answers.append(answer)
        return bool(answers)

    until(answered, f"no answer to {message}")
    return answers[0]


def received(stranger: Stranger, frames: int) -> dict[int, list[int]]:
    """The positions of the frames of each stream."""
    found: dict[int, list[int]] = {}
    while sum(map(len, found.values())) < frames:
        assert stranger.socket.poll(PATIENCE_S * 1000), f"only {found} came"
        message = stranger.socket.recv()
        if message[:1] == b"A":
            parsed = parse(message)
            found.setdefault(parsed.stream, []).append(parsed.position)
    return found


def test_two_ports_and_a_feed_share_a_connection(studio: Studio, stranger: Stranger) -> None:
    """Each is welcomed, credited and ended by itself."""
    voice = FeedPort(studio.run.endpoint("voice", FEED), TOKEN, rate=RATE, channels=2)
    try:
        for stream, opening in ((0, HELLO), (3, {**HELLO, "instance": 2}), (7, OFFER)):
            assert opened(stranger, {**opening, "stream": stream})["t"] == "welcome"
        until(lambda: len(studio.taps()) == 2)
        studio.play(range(4))
        assert received(stranger, 8) == {stream: [0, 480, 960, 1440] for stream in (0, 3)}
        stranger.socket.send(with_stream(pack(frame(5, seq=1)), 7))
        until(lambda: voice.counts["received"] == 1)
        stranger.socket.send(msgpack.packb({"t": "bye", "stream": 3, "instance": 2, "epoch": 1, "delivered": 4}))
        until(lambda: len(studio.gateway.connected) == 2)
        assert sorted(studio.gateway.connected) == ["laptop: feeds voice", "laptop: listens to mix.out"]
    finally:
        voice.close()


def test_a_refusal_names_its_stream_and_leaves_the_others(studio: Studio, stranger: Stranger) -> None:
    assert opened(stranger, {**HELLO, "stream": 1})["t"] == "welcome"
    refused = opened(stranger, {**HELLO, "stream": 2, "port": "song.out"})
    assert refused["t"] == "refused" and refused["stream"] == 2 and "is not exported" in refused["why"]
    assert studio.gateway.connected == ["laptop: listens to mix.out"]


@pytest.mark.parametrize("stream", [-1, 1 << 32, "0", 1.0, None, True])
def test_what_is_no_stream_opens_nothing(studio: Studio, stranger: Stranger, stream: object) -> None:
    stranger.socket.send(msgpack.packb({**HELLO, "stream": stream}))
    until(lambda: studio.gateway.counts["bad_messages"] == 1)
    assert not studio.gateway.connected


def test_streams_of_one_key_are_as_many_as_its_sessions(studio: Studio, stranger: Stranger) -> None:
    answers = [opened(stranger, {**HELLO, "stream": stream, "instance": stream}) for stream in range(17)]
    assert [answer["t"] for answer in answers] == ["welcome"] * 16 + ["refused"]


def test_a_frame_is_marked_for_its_stream_and_is_otherwise_the_same() -> None:
    plain = pack(frame(3, seq=9))
    marked = with_stream(plain, 0xFFFFFFFF)
    assert stream_of(marked) == 0xFFFFFFFF and with_stream(marked, 0) == plain
    assert (parse(marked).audio() == parse(plain).audio()).all() and stream_of(b"A") == 0
