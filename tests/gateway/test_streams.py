"""Several ports over one connection: each message carries the number of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from audio_pipeline.errors import ControlError
from audio_pipeline.frame import Flag, audio_frame, gap_frame
from audio_pipeline.frame_codec import pack, parse
from audio_pipeline.gateway import acceptor, feed_receiver, host_connection, session
from audio_pipeline.gateway.codec import Coding
from audio_pipeline.gateway.connection import MOST_UNTAKEN
from audio_pipeline.gateway.control import RemoteControl
from audio_pipeline.gateway.feed import WINDOW_FRAMES, RemoteFeed
from audio_pipeline.gateway.feed_port import FeedPort
from audio_pipeline.gateway.frame_ends import FrameSource
from audio_pipeline.gateway.link import RemoteLink
from audio_pipeline.gateway.session import FEED
from audio_pipeline.gateway.streams import stream_of, with_stream
from audio_pipeline.gateway.tap import RemoteTap
from audio_pipeline.keys import Keys
from audio_pipeline.links.limits import PROTOCOL
from tests.gateway.studio import RATE, TOKEN, N, Stranger, Studio, frame, until
from tests.patience import PATIENCE_S
from tests.relay import Relay

HELLO = {"t": "hello", "v": PROTOCOL, "port": "mix.out", "instance": 1, "greeting": 0, "window": 50}
OFFER = {"t": "offer", "v": PROTOCOL, "node": "voice", "instance": 1, "greeting": 0}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long this machine stands still, nobody is taken for gone."""
    monkeypatch.setattr(host_connection, "ENOUGH_SILENCE_NS", 1 << 62)
    monkeypatch.setattr(feed_receiver, "SILENT_NS", 1 << 62)
    for module, name in ((session, "SILENT_S"), (acceptor, "STUCK_S"), (acceptor, "UNCLAIMED_S")):
        monkeypatch.setattr(module, name, float("inf"))


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


# -- our own clients ---------------------------------------------------------------------------------------


@pytest.fixture
def closing() -> Iterator[list[Any]]:
    """What is closed at the end, last first."""
    made: list[Any] = []
    yield made
    for item in reversed(made):
        item.close()


@pytest.fixture
def voice(studio: Studio, closing: list[Any]) -> FeedPort:
    """A node that waits for sound, and that nobody plays."""
    closing.append(FeedPort(studio.run.endpoint("voice", FEED), TOKEN, rate=RATE, channels=2))
    port: FeedPort = closing[-1]
    return port


def taken(source: FrameSource, amount: int) -> list[int]:
    """The numbers of the next frames."""
    got: list[int] = []

    def enough() -> bool:
        while len(got) < amount and (came := source.take()) is not None:
            got.append(came[0].position // N)
        return len(got) == amount

    until(enough, "not all frames came")
    return got


def test_all_that_a_process_uses_at_a_host_shares_one_connection(
    studio: Studio, closing: list[Any], voice: FeedPort
) -> None:
    """Two listeners, a feed, a client and its subscription; the connection ends with the last of them."""
    remote = studio.allow("play")
    links = [RemoteLink(remote, "mix.out"), RemoteLink(remote, "mix.out", coding=Coding.S16)]
    feed, client = RemoteFeed(remote, "voice"), RemoteControl(remote)
    closing.extend([*links, client])
    until(lambda: feed.connected and all(link.connected for link in links) and len(studio.taps()) == 2)
    assert client.ports().feeds == ("voice",) and len(studio.gateway.acceptor.numbers) == 1
    studio.play(range(20))
    for number in range(20):
        feed.offer(frame(number))
    for source in (*links, voice):
        assert taken(source, 20) == list(range(20))
    feed.close()
    until(lambda: not voice.connected)
    studio.play(range(20, 30))
    for link in links:
        assert taken(link, 10) == list(range(20, 30))
    assert len(studio.gateway.acceptor.numbers) == 1
    for item in (*links, client):
        item.close()
    closing[:] = [voice]
    until(lambda: not studio.gateway.acceptor.numbers and not studio.gateway.connected)


def test_another_key_or_host_is_another_connection(studio: Studio, closing: list[Any]) -> None:
    remote = studio.allow()
    other = replace(remote, own=studio.laptop.new("other"))
    Keys(studio.keys.folder).allow("other", studio.laptop.mine("other")[1].public, "listen")
    links = [RemoteLink(each, "mix.out") for each in (remote, remote, other)]
    closing.extend(links)
    until(lambda: all(link.connected for link in links))
    assert len(studio.gateway.acceptor.numbers) == 2


def test_a_refusal_leaves_the_other_streams_alone(studio: Studio, closing: list[Any]) -> None:
    """However often it is asked again."""
    remote = studio.allow()
    good = RemoteLink(remote, "mix.out")
    closing.append(good)
    until(lambda: good.connected and studio.taps())
    bad = RemoteLink(remote, "song.out")
    closing.append(bad)
    until(lambda: "is not exported" in bad.trouble)
    for number in range(100):
        studio.play(range(number, number + 1))
        assert taken(good, 1) == [number]
    assert not good.trouble and not good.reconnects and not bad.connected
    assert len(studio.gateway.acceptor.numbers) == 1


def test_a_stream_that_its_gateway_dropped_comes_back_and_the_others_do_not_notice(
    studio: Studio, closing: list[Any], voice: FeedPort
) -> None:
    """Its key may not play for a moment; it may listen all the time."""
    remote = studio.allow("play")
    link, feed = RemoteLink(remote, "mix.out"), RemoteFeed(remote, "voice")
    closing.extend([link, feed])
    until(lambda: link.connected and feed.connected and studio.taps())
    studio.allow("listen")
    until(lambda: "may not play here" in feed.trouble)
    studio.play(range(20))
    assert taken(link, 20) == list(range(20))
    studio.allow("play")
    until(lambda: feed.connected)
    assert feed.reconnects == 1 and not link.reconnects and len(studio.gateway.acceptor.numbers) == 1


def test_after_a_cut_every_stream_begins_anew_on_one_connection(
    studio: Studio, closing: list[Any], voice: FeedPort
) -> None:
    studio.allow("play")
    relay = Relay(studio.gateway.port)
    closing.append(relay)
    remote = studio.remote(relay.port)
    link, feed = RemoteLink(remote, "mix.out"), RemoteFeed(remote, "voice")
    closing.extend([link, feed])
    until(lambda: link.connected and feed.connected and studio.taps())
    relay.cut()
    until(lambda: not link.connected and not feed.connected)
    assert link.trouble and link.trouble == feed.trouble
    relay.reopen()
    until(lambda: link.connected and feed.connected and len(studio.taps()) == 1)
    studio.play(range(20))
    for number in range(20):
        feed.offer(frame(number))
    assert taken(link, 20) == taken(voice, 20) == list(range(20))
    assert link.reconnects == feed.reconnects == 1 and len(studio.gateway.acceptor.numbers) == 1


# -- one that is slow does not hold up another ---------------------------------------------------------------


def test_a_feed_whose_node_takes_nothing_holds_up_nobody(studio: Studio, closing: list[Any], voice: FeedPort) -> None:
    """Its credit runs out, and it drops its own frames; the listener beside it misses none."""
    remote = studio.allow("play")
    link, feed = RemoteLink(remote, "mix.out"), RemoteFeed(remote, "voice")
    closing.extend([link, feed])
    until(lambda: link.connected and feed.connected and studio.taps())
    for number in range(0, 600, 20):
        for each in range(number, number + 20):
            feed.offer(frame(each))
        studio.play(range(number, number + 20))
        assert taken(link, 20) == list(range(number, number + 20))
    until(lambda: feed.counts["dropped.oldest"] + feed.counts["dropped.waiting"] >= 600 - 2 * WINDOW_FRAMES - 25)
    assert feed.connected and feed.in_flight == WINDOW_FRAMES and not link.reconnects


def test_a_stream_to_nobody_is_read_although_more_than_a_connection_may_hold_has_come(
    studio: Studio, stranger: Stranger
) -> None:
    """The acceptor lets in 64 messages that are not taken; what is for a stream that nobody reads is taken as well."""
    assert opened(stranger, {**HELLO, "stream": 1})["t"] == "welcome"
    stranger.socket.send(msgpack.packb({**OFFER, "stream": 2}))  # no node has opened `voice`
    for seq in range(1, 10 * MOST_UNTAKEN):
        stranger.socket.send(with_stream(pack(frame(seq, seq=seq)), 2))
    studio.play(range(4))
    assert received(stranger, 4) == {1: [0, 480, 960, 1440]}
    assert opened(stranger, {**HELLO, "stream": 3, "instance": 3})["t"] == "welcome", (
        "what was sent last is read as well"
    )
    until(lambda: studio.gateway.counts["dropped_in"] > 9 * MOST_UNTAKEN)


def test_streams_of_a_peer_that_reads_slowly_wait_and_lose_nothing(studio: Studio, closing: list[Any]) -> None:
    """More than the queue to a peer holds, by far: each stream keeps its session, its window, and its order."""
    remote = studio.allow()
    slow = Stranger(remote, unread=1)
    closing.append(slow)
    until(studio.gateway.exported)
    streams, window = 12, 100
    for stream in range(streams):
        hello = {**HELLO, "stream": stream, "instance": stream + 1, "window": window}
        assert opened(slow, hello)["t"] == "welcome"
    until(lambda: len(studio.taps()) == streams)
    big = np.zeros((N, 8), np.float32)
    studio.send(audio_frame(big, number * N, RATE) for number in range(window))
    until(lambda: studio.sent == streams * window)
    quick = RemoteLink(remote, "mix.out")
    closing.append(quick)
    until(lambda: quick.connected)
    studio.play(range(5))
    assert taken(quick, 5) == list(range(5)), "another connection of the same key"
    found = received(slow, streams * window)
    assert found == {stream: [number * N for number in range(window)] for stream in range(streams)}
    assert not any("is gone" in notice for notice in studio.gateway.notices)


# -- a tap -------------------------------------------------------------------------------------------------


def test_a_tap_on_another_host_gets_every_frame_until_the_end(studio: Studio) -> None:
    with RemoteTap(studio.allow(), "mix.out") as tap:
        until(studio.taps)
        studio.play(range(20))
        studio.send([gap_frame(0, 20 * N, RATE, 2, flags=Flag.END)])
        frames = []
        while not tap.ended:
            frame = tap.take(PATIENCE_S)
            assert frame is not None
            frames.append(frame)
        assert [each.position // N for each in frames] == list(range(21)) and tap.lost == 0
        assert all((each.audio() == number).all() for number, each in enumerate(frames[:20]))


def test_a_tap_on_what_is_not_exported_says_so(studio: Studio) -> None:
    with RemoteTap(studio.allow(), "song.out") as tap, pytest.raises(ControlError, match="'song.out' is not exported"):
        tap.take(PATIENCE_S)
