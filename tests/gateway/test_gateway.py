"""Links between hosts over loopback: keys, roles, the gateway, a link and a feed, and a network that fails."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.control.codec import VERSION
from audio_pipeline.control.operations import OPERATIONS
from audio_pipeline.errors import ConfigError, DeviceError, KeysError
from audio_pipeline.frame import audio_frame
from audio_pipeline.frame_codec import pack
from audio_pipeline.gateway import feed as feed_end
from audio_pipeline.gateway import feed_receiver, host_connection, stream
from audio_pipeline.gateway.codec import Coding
from audio_pipeline.gateway.feed import RemoteFeed
from audio_pipeline.gateway.feed_port import FeedPort
from audio_pipeline.gateway.link import QUEUE_FRAMES, WINDOW_FRAMES, RemoteLink
from audio_pipeline.gateway.remote import Remote, find_remote
from audio_pipeline.gateway.server import Gateway
from audio_pipeline.gateway.session import FEED
from audio_pipeline.graph.load import loads
from audio_pipeline.keys import Keys
from tests.gateway.studio import RATE, N, Stranger, Studio, frame, until
from tests.relay import Relay

Listen = Callable[..., RemoteLink]
HELLO = {"t": "hello", "v": 1, "port": "mix.out", "instance": 1, "greeting": 0, "window": 50}


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = Studio(tmp_path)
    yield made
    made.close()


@pytest.fixture
def closing() -> Iterator[list[Any]]:
    """What is closed at the end, last first."""
    made: list[Any] = []
    yield made
    for item in reversed(made):
        item.close()


@pytest.fixture
def listen(closing: list[Any]) -> Listen:
    def listen(remote: Remote, port: str = "mix.out") -> RemoteLink:
        closing.append(RemoteLink(remote, port))
        link: RemoteLink = closing[-1]
        return link

    return listen


@pytest.fixture
def relay(studio: Studio, closing: list[Any]) -> Relay:
    made = Relay(studio.gateway.port)
    closing.insert(0, made)
    return made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence of 0.4 s is enough."""
    for module in (host_connection, stream):
        monkeypatch.setattr(module, "ENOUGH_SILENCE_NS", 400_000_000)
        monkeypatch.setattr(module, "REFUSED_WAIT_NS", 50_000_000)


def numbers(link: RemoteLink | FeedPort, amount: int) -> list[int]:
    """The next frames, by number; their samples are their number."""
    got: list[int] = []

    def enough() -> bool:
        while len(got) < amount and (came := link.take()) is not None:
            assert (came[0].audio() == came[0].position // N).all() and came[1] > 0
            got.append(came[0].position // N)
        return len(got) == amount

    until(enough, f"{amount} frames were wanted, and not all came")
    return got


# -- who is let in -------------------------------------------------------------------------------------


def test_an_allowed_key_hears_what_is_exported_to_the_bit(studio: Studio, listen: Listen) -> None:
    link = listen(studio.allow())
    until(lambda: link.connected and studio.taps() == ["~laptop~0"])
    for start in range(0, 400, QUEUE_FRAMES):  # what its queue in the studio holds while no credit has come
        studio.play(range(start, start + QUEUE_FRAMES))
        assert numbers(link, QUEUE_FRAMES) == list(range(start, start + QUEUE_FRAMES))
    assert studio.gateway.connected == ["laptop: listens to mix.out"]
    assert list(link.notices) == [f"connected to {link.remote.endpoint}"] and not link.trouble


@pytest.mark.parametrize("coding", [Coding.S16, Coding.OPUS])
def test_listeners_in_one_format_get_the_sound_in_its_place(studio: Studio, closing: list[Any], coding: Coding) -> None:
    """Beside one that takes it as it is; each by its own link and credit."""
    remote = studio.allow()
    links = [RemoteLink(remote, "mix.out", coding=each) for each in (coding, coding, Coding.F32)]
    closing.extend(links)
    until(lambda: len(studio.taps()) == 3 and all(link.connected for link in links))
    x = (0.3 * np.sin(2 * np.pi * 440 * np.arange(20 * N) / RATE)).astype(np.float32)
    studio.send(audio_frame(np.stack([x, x], axis=1)[i : i + N], i, RATE) for i in range(0, len(x), N))
    for link in links:
        sound = np.zeros_like(x)
        until(lambda link=link, sound=sound: _placed(link, sound) > 18 * N)  # type: ignore[misc]
        inner = slice(4 * N, 18 * N)
        assert np.abs(sound[inner] - x[inner]).max() < {Coding.F32: 1e-9, Coding.S16: 2e-5}.get(coding, 0.03)
        if link is links[-1]:
            assert (sound[inner] == x[inner]).all()


def _placed(link: RemoteLink, sound: np.ndarray[Any, Any]) -> int:
    """Writes what has come at its position; where the last sound ends."""
    while (came := link.take()) is not None:
        frame = came[0]
        sound[frame.position : frame.end] = frame.audio()[:, 0]
    return int(np.flatnonzero(sound).max(initial=0))


def test_a_format_that_is_none_is_refused_in_one_sentence(studio: Studio) -> None:
    stranger = Stranger(studio.allow())
    until(studio.gateway.exported)
    for wanted, why in (
        ("mp3", "format 'mp3' is not one of f32, s16, opus"),
        (["mp3"], "hello.format: expected text, got ['mp3']"),
    ):
        answer = stranger.ask({**HELLO, "format": wanted})
        assert answer is not None and answer["t"] == "refused" and answer["why"] == why
    stranger.close()


def trouble(link: RemoteLink) -> str:
    until(lambda: link.trouble)
    assert not link.connected and link.take() is None
    return link.trouble


def test_a_key_that_is_not_on_the_allow_list_is_turned_away_in_one_sentence(studio: Studio, listen: Listen) -> None:
    reason = trouble(listen(studio.remote()))
    assert reason.endswith("does not let this host in: its key is not on the allow-list there, or has no role for this")
    until(lambda: studio.gateway.counts["denied"])
    assert studio.laptop.mine()[1].public in studio.gateway.notices[0] and not studio.taps()


def test_a_key_that_is_only_known_as_a_host_is_turned_away(studio: Studio, listen: Listen) -> None:
    assert "does not let this host in" in trouble(listen(studio.allow("host")))


def test_a_key_that_is_allowed_later_gets_in(studio: Studio, listen: Listen, impatient: None) -> None:
    link = listen(studio.remote())
    trouble(link)
    studio.allow()
    until(lambda: link.connected)


def test_a_host_with_another_key_than_expected_is_not_spoken_to(studio: Studio, listen: Listen) -> None:
    studio.allow()
    other = Keys(studio.keys.folder.parent / "other").new("impostor").public
    remote = Remote("127.0.0.1", studio.gateway.port, "studio", other, studio.laptop.mine()[1])
    reason = trouble(listen(remote))
    assert reason.endswith("has another key than 'studio', or does not encrypt, so no connection is made")


def test_without_a_key_nobody_is_heard(studio: Studio, listen: Listen) -> None:
    assert "refuses connections without a key" in trouble(listen(Remote("127.0.0.1", studio.gateway.port)))
    assert not studio.taps() and not studio.gateway.connected


def test_a_host_that_does_not_encrypt_is_not_spoken_to(tmp_path: Path, listen: Listen) -> None:
    studio = Studio(tmp_path, curve=False)
    try:
        assert "or does not encrypt, so no connection is made" in trouble(listen(studio.remote()))
    finally:
        studio.close()


def test_a_host_that_cannot_be_reached_is_said(studio: Studio, listen: Listen) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        assert "cannot be reached" in trouble(listen(studio.remote(taken.getsockname()[1])))


def test_loopback_without_keys_must_be_asked_for_and_may_only_listen(tmp_path: Path, listen: Listen) -> None:
    studio = Studio(tmp_path, curve=False)
    remote = Remote("127.0.0.1", studio.gateway.port)
    link, feed = listen(remote), RemoteFeed(remote, "voice")
    try:
        until(lambda: link.connected)
        studio.play(range(3))
        assert numbers(link, 3) == [0, 1, 2]
        until(lambda: feed.trouble)
        assert "may not play here" in feed.trouble
    finally:
        feed.close()
        studio.close()


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:7700", "*:7700", "192.0.2.1", "eth0:7700", "[::]:7700"])
def test_an_address_that_others_can_reach_needs_keys_when_the_file_is_loaded(address: str) -> None:
    text = f'version: 1\nnodes: {{gateway: {{kind: gateway, listen: "{address}", curve: false}}}}'
    with pytest.raises(ConfigError, match="can be reached from other hosts, so it needs keys") as caught:
        loads(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["", "tcp://", "a b", "http://x", "x:y", "x:99999", "x:1:2", "a/b"])
def test_what_is_no_address_is_said_when_the_file_is_loaded(address: str) -> None:
    with pytest.raises(ConfigError, match="address: expected HOST"):
        loads(f'version: 1\nnodes: {{gateway: {{kind: gateway, listen: "{address}"}}}}')


def test_a_port_in_use_is_said(studio: Studio) -> None:
    with pytest.raises(DeviceError, match=rf"cannot listen on 127.0.0.1:{studio.gateway.port}: the port is in use"):
        Gateway(f"127.0.0.1:{studio.gateway.port}", studio.run, (), keys=studio.keys).open()


def test_an_address_of_another_host_is_said(studio: Studio) -> None:
    with pytest.raises(DeviceError, match=r"cannot listen on 192.0.2.7:7700: this host has no such address"):
        Gateway("192.0.2.7", studio.run, (), keys=studio.keys).open()


def test_names_of_keys_are_looked_up(studio: Studio) -> None:
    found = find_remote("10.0.0.5:99", "studio", "", keys=studio.laptop)
    assert found.endpoint == "tcp://10.0.0.5:99" and found.public == studio.public
    with pytest.raises(KeysError, match="has no key named 'studoi', did you mean 'studio'"):
        find_remote("10.0.0.5", "studoi", "", keys=studio.laptop)


# -- what they may do ----------------------------------------------------------------------------------


def test_what_is_not_exported_is_refused_and_the_sentence_says_what_is(studio: Studio, listen: Listen) -> None:
    assert trouble(listen(studio.allow("control"), "song.out")).endswith(
        "refused: 'song.out' is not exported; exported are mix.out"
    )


def test_exports_can_be_named(tmp_path: Path, listen: Listen) -> None:
    studio = Studio(tmp_path, exports=("song",))
    try:
        assert "exported are song.out" in trouble(listen(studio.allow(), "mix.out"))
    finally:
        studio.close()


@pytest.mark.parametrize("role", ["listen", "play", "control"])
def test_each_operation_needs_its_role_and_the_token_never_leaves(
    studio: Studio, closing: list[Any], role: str
) -> None:
    stranger = Stranger(studio.allow(role))
    closing.append(stranger)
    roles = {name: row.role for name, row in OPERATIONS.items() if row.role is not None}
    for number, (op, least) in enumerate(roles.items()):
        request = {"v": VERSION, "id": number, "op": op}
        answer = stranger.ask({**request, "node": "mix"} if least == "control" else request)
        assert answer is not None and answer["id"] == number
        allowed = least == "listen" or role == "control"
        assert answer["ok"] is allowed and studio.asked[-1:] != [{}]
        assert allowed or answer["error"] == f"'laptop' has the role {role!r}, which does not allow {op!r}"
        assert b"token" not in msgpack.packb(answer)
    asked = {request["op"] for request in studio.asked}
    assert asked == {op for op, least in roles.items() if least == "listen" or role == "control"} - {"ports"}


@pytest.mark.parametrize("op", [name for name, row in OPERATIONS.items() if row.role is None])
def test_an_operation_without_a_role_is_not_for_other_hosts(studio: Studio, closing: list[Any], op: str) -> None:
    stranger = Stranger(studio.allow("control"))
    closing.append(stranger)
    answer = stranger.ask({"v": VERSION, "id": 1, "op": op})
    assert answer is not None and answer["error"] == f"{op!r} is not for other hosts" and not studio.asked


@pytest.mark.parametrize(
    "message",
    [
        {"op": "ready", "node": "mix", "token": "x"},
        {"op": "reply", "node": "mix", "v": VERSION},
        {"op": "nonsense", "v": VERSION},
        {"op": "meters"},
        {"op": "failed", "node": "mix", "v": VERSION, "error": "no"},
        {"op": "meters", "v": VERSION, "node": "mix"},
    ],
)
def test_nobody_outside_speaks_as_a_node(studio: Studio, closing: list[Any], message: dict[str, Any]) -> None:
    stranger = Stranger(studio.allow("control"))
    closing.append(stranger)
    answer = stranger.ask(message)
    assert answer is not None and "is not for other hosts" in answer["error"] and not studio.asked


def test_whoever_is_removed_from_the_address_book_is_gone_within_a_second(studio: Studio, listen: Listen) -> None:
    link = listen(studio.allow())
    until(studio.taps)
    Keys(studio.keys.folder).remove("laptop")
    until(lambda: not studio.taps())
    until(lambda: "laptop is gone (listens to mix.out)" in studio.gateway.notices)
    assert "does not let this host in" in trouble(link) or not link.connected


@pytest.mark.parametrize("between", [True, False])
def test_a_name_that_gets_a_new_key_gives_the_old_one_nothing(
    studio: Studio, closing: list[Any], tmp_path: Path, between: bool
) -> None:
    """Whoever stole the old key is still connected when the owner of the name gets a new one."""
    thief = Stranger(studio.allow("control"))
    closing.append(thief)
    answer = thief.ask({"v": VERSION, "id": 1, "op": "stop"})
    assert answer is not None and answer["ok"]
    book = Keys(studio.keys.folder)
    if between:
        book.remove("laptop")
    book.allow("laptop", Keys(tmp_path / "new").new("laptop").public, "control")
    until(lambda: "laptop is gone (controls)" in studio.gateway.notices)
    answer = thief.ask({"v": VERSION, "id": 2, "op": "stop"})
    assert answer is not None and "which does not allow 'stop'" in answer["error"]
    assert [one["op"] for one in studio.asked if one["op"] != "unsubscribe"] == ["stop"], "what was left inside ends"


def test_an_address_book_that_others_can_read_lets_nobody_in(studio: Studio, listen: Listen) -> None:
    remote = studio.allow()
    (studio.keys.folder / "known.json").chmod(0o644)
    (studio.keys.folder / "known.json").write_text((studio.keys.folder / "known.json").read_text() + " ")
    assert "does not let this host in" in trouble(listen(remote))


messages = st.binary(max_size=80) | st.sampled_from(
    [
        bytes(5000),
        b"A" + bytes(100),
        msgpack.packb([1]),
        msgpack.packb({"t": 5}),
        msgpack.packb({}),
        msgpack.packb({"t": "hello"}),
        msgpack.packb({"t": "hello", "port": "../../x.y"}),
        msgpack.packb({"op": 7}),
        msgpack.packb({"t": "hello", "port": "mix.out", "v": 1, "instance": 1, "window": 1 << 62}),
        msgpack.packb({"t": "time", "t1": "x"}),
        msgpack.packb({"t": "offer", "node": None}),
        pack(frame(1)),
    ]
)


def test_whatever_an_allowed_peer_says_the_gateway_stays_open(studio: Studio, listen: Listen) -> None:
    remote = studio.allow("control")
    link = listen(remote)
    until(lambda: link.connected)

    @settings(max_examples=15)
    @given(st.lists(messages, max_size=8))
    def send(sent: list[bytes]) -> None:
        stranger = Stranger(remote)
        try:
            for message in sent:
                stranger.socket.send(message)
            answer = stranger.ask({"t": "time", "t1": 5})
            assert answer is not None
        finally:
            stranger.close()

    send()
    studio.play(range(5))
    assert numbers(link, 5) == list(range(5))


# -- a network that fails ------------------------------------------------------------------------------


def test_the_clocks_of_two_hosts_are_compared(studio: Studio, listen: Listen, relay: Relay) -> None:
    relay.delay_s = 0.02
    studio.allow()
    link = listen(studio.remote(relay.port))
    until(lambda: link.offset.known)
    assert link.offset.round_trip_ns >= 40_000_000
    assert abs(link.offset.offset_ns) <= link.offset.round_trip_ns / 2, "the same clock"


@pytest.mark.parametrize("fault", ["cut", "vanish"])
def test_a_link_goes_on_after_the_connection_broke_or_hung(
    studio: Studio, listen: Listen, relay: Relay, impatient: None, fault: str
) -> None:
    """With all its window under way: credit that counted up would wait for it forever."""
    studio.allow()
    link = listen(studio.remote(relay.port))
    until(lambda: link.connected)
    studio.play(range(10))
    assert numbers(link, 10) == list(range(10))
    relay.stalled = True
    studio.play(range(10, 10 + 3 * WINDOW_FRAMES))
    until(lambda: studio.sent > 10, str(studio.counts))
    getattr(relay, fault)()
    until(lambda: not link.connected)
    assert link.trouble
    relay.stalled = False
    relay.reopen()
    until(lambda: link.connected)
    studio.play(range(500, 520))
    got = numbers(link, 20)
    assert got[-1] <= 519 and len(set(got)) == 20 and got == sorted(got)
    assert link.reconnects >= 1


def test_a_stalled_listener_holds_up_nobody_and_later_hears_what_is_new(
    studio: Studio, listen: Listen, relay: Relay
) -> None:
    studio.allow()
    slow, quick = listen(studio.remote(relay.port)), listen(studio.remote())
    until(lambda: slow.connected and quick.connected)
    relay.stalled = True
    got: list[int] = []
    for number in range(0, 1000, 20):
        studio.play(range(number, number + 20))
        got += numbers(quick, 20)
    assert got == list(range(1000))
    relay.stalled = False
    later = numbers(slow, WINDOW_FRAMES)
    assert later == list(range(WINDOW_FRAMES)), "the window was under way"
    assert numbers(slow, 25) == list(range(975, 1000)), "behind it nothing older than its queue"


def test_a_peer_that_vanished_is_forgotten_with_its_connection(studio: Studio, closing: list[Any]) -> None:
    """It says nothing any more, and nobody closes the connection: half-open, as TCP leaves it for hours."""
    stranger = Stranger(studio.allow())
    closing.append(stranger)
    until(studio.gateway.exported)
    until(lambda: stranger.socket.send(msgpack.packb(HELLO)) or studio.taps())
    assert len(studio.gateway.acceptor.numbers) == 1
    until(lambda: not studio.taps())
    until(lambda: not studio.gateway.acceptor.numbers)
    assert studio.gateway.counts["silent"] <= 1


# -- feeding -------------------------------------------------------------------------------------------


def test_an_allowed_key_plays_into_a_node_that_waits(studio: Studio, closing: list[Any]) -> None:
    feed = RemoteFeed(studio.allow("play"), "voice")
    closing.append(feed)
    port = FeedPort(studio.run.endpoint("voice", FEED), "the token of this run")
    closing.append(port)
    until(lambda: feed.connected)
    assert port.user == "laptop"
    for start in range(0, 400, 20):
        for number in range(start, start + 20):
            feed.offer(frame(number))
        assert numbers(port, 20) == list(range(start, start + 20))
    until(lambda: not feed.in_flight)
    assert feed.counts["sent"] == feed.counts["offered"] - feed.counts["dropped.nobody"] == 400


def test_frames_that_nobody_can_read_do_not_stop_a_feed(studio: Studio, closing: list[Any]) -> None:
    feed = RemoteFeed(studio.allow("play"), "voice")
    closing.append(feed)
    port = FeedPort(studio.run.endpoint("voice", FEED), "the token of this run")
    closing.append(port)
    until(lambda: feed.connected)
    for number in range(feed_end.WINDOW_FRAMES):
        feed.offer(audio_frame(np.zeros((48, 33), np.float32), number * 48, RATE))
    until(lambda: port.counts["bad"] and not feed.queued and not feed.in_flight)
    feed.offer(frame(500))
    assert numbers(port, 1) == [500]


def test_one_plays_at_a_time_and_the_next_one_is_told_who(studio: Studio, closing: list[Any], impatient: None) -> None:
    remote = studio.allow("play")
    port = FeedPort(studio.run.endpoint("voice", FEED), "the token of this run")
    closing.append(port)
    first = RemoteFeed(remote, "voice")
    until(lambda: first.connected)
    second = RemoteFeed(remote, "voice")
    closing.append(second)
    until(lambda: second.trouble)
    assert second.trouble.endswith("refused: 'laptop' plays here already")
    first.close()
    until(lambda: second.connected)


@pytest.mark.parametrize(
    ("role", "node", "reason"),
    [
        ("listen", "voice", "refused: 'laptop' may not play here"),
        ("play", "mix", "refused: no node 'mix' waits for sound; those that do: voice"),
    ],
)
def test_who_may_not_play_or_not_there_is_told(
    studio: Studio, closing: list[Any], role: str, node: str, reason: str
) -> None:
    feed = RemoteFeed(studio.allow(role), node)
    closing.append(feed)
    until(lambda: feed.trouble)
    assert feed.trouble.endswith(reason)


@pytest.mark.parametrize("fault", ["cut", "vanish"])
def test_a_feed_goes_on_after_the_connection_broke_or_hung(
    studio: Studio, closing: list[Any], relay: Relay, impatient: None, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(feed_receiver, "SILENT_NS", 400_000_000)
    studio.allow("play")
    port = FeedPort(studio.run.endpoint("voice", FEED), "the token of this run")
    closing.append(port)
    feed = RemoteFeed(studio.remote(relay.port), "voice")
    closing.append(feed)
    until(lambda: feed.connected)
    for number in range(10):
        feed.offer(frame(number))
    assert numbers(port, 10) == list(range(10))
    getattr(relay, fault)()
    until(lambda: not feed.connected)
    for number in range(10, 300):
        feed.offer(frame(number))
    relay.reopen()
    until(lambda: feed.connected)
    until(lambda: not feed.queued)
    while port.take() is not None:
        pass
    for number in range(500, 520):
        feed.offer(frame(number))
    got = numbers(port, 20)
    assert got[-1] == 519 or got == sorted(got)
    until(lambda: not feed.in_flight)
    counts = feed.counts
    dropped = sum(amount for name, amount in counts.items() if name.startswith("dropped."))
    lost = counts["dropped.lost"]
    assert counts["offered"] == counts["sent"] + dropped - lost
    assert port.counts["received"] + lost >= counts["sent"] >= port.counts["received"]
