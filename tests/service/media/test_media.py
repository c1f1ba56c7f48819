"""The media process in front of a pipeline: sound both ways, and peers that behave as they like."""

from __future__ import annotations

import array
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.frame import Flag, audio_frame
from audio_pipeline.frame_codec import HEADER, pack, parse
from audio_pipeline.gateway.feed_port import FeedPort
from audio_pipeline.gateway.session import FEED
from audio_pipeline.links.limits import TAP_FRAMES
from audio_pipeline.service.media.admission import OF_A_USER
from audio_pipeline.service.media.handover import NAME, Drain, Ended, Handover, order
from audio_pipeline.service.media.websocket import MAX_BYTES
from tests.gateway.studio import RATE, TOKEN, N
from tests.service.media.browser import Browser, until
from tests.service.media.stage import Stage

HELLO = {"t": "hello", "v": 1, "stream": 1, "port": "mix.out", "format": "s16", "window": 12, "instance": 7}
OFFER = {"t": "offer", "v": 1, "stream": 2, "node": "voice", "format": "s16", "instance": 9, "greeting": 0}
S = 10**9


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def listening(stage: Stage, browser: Browser, **fields: object) -> Browser:
    browser.say(**{**HELLO, **fields})
    browser.await_message("welcome", stage.turn)
    return browser


def credit(browser: Browser, through: int, window: int = 12) -> None:
    browser.say(t="credit", stream=1, epoch=1, delivered=through, granted=through + window)


def numbers(browser: Browser) -> list[int]:
    return [parse(frame).seq for frame in browser.frames]


def coded(number: int) -> bytes:
    """A frame of a microphone: s16, as a browser sends it."""
    head = list(HEADER.unpack_from(pack(audio_frame(np.zeros((N, 1), np.float32), number * N, RATE, seq=number + 1))))
    head[3], head[7], head[10], head[11] = 2, 2 * N, 1, 2
    return HEADER.pack(*head) + np.full(N, 1_000 * number, "<i2").tobytes()


def test_a_browser_listens_as_far_as_it_grants(stage: Stage) -> None:
    browser = listening(stage, stage.browser())
    stage.studio.play(range(20))
    stage.until(lambda: len(browser.frames) == 12)
    credit(browser, 12)
    stage.until(lambda: len(browser.frames) == 20)
    assert numbers(browser) == list(range(1, 21))
    assert {HEADER.unpack_from(frame)[11] for frame in browser.frames} == {1}
    assert {len(frame) for frame in browser.frames} == {HEADER.size + 2 * N * 2}, "s16"


def test_what_is_sent_is_what_was_played(stage: Stage) -> None:
    browser = listening(stage, stage.browser())
    x = np.linspace(-1, 1, 2 * N).reshape(N, 2).astype(np.float32)
    stage.studio.send([audio_frame(x, 0, RATE)])
    stage.until(lambda: browser.frames)
    assert np.abs(parse(browser.frames[0]).audio() - x).max() <= 0.5 / 32_768 + 1 / 32_768, "half a step, and the top"


def test_a_browser_feeds_a_node(stage: Stage) -> None:
    port = FeedPort(stage.studio.run.endpoint("voice", FEED), TOKEN, rate=RATE, channels=2)
    try:
        browser = stage.browser()
        browser.say(**OFFER)
        welcome = browser.await_message("welcome", stage.turn)
        assert (welcome["stream"], welcome["window"], welcome["rate"], welcome["channels"]) == (2, 50, RATE, 2)
        for number in range(5):
            browser.binary(coded(number))
        came = []
        stage.until(lambda: came.extend(filter(None, [port.take()])) or len(came) == 5)
        assert [frame.audio()[0, 0] for frame, _ in came] == pytest.approx([n * 1_000 / 32_768 for n in range(5)])
        assert browser.await_message("credit", stage.turn, delivered=5)["stream"] == 2
        assert port.user == "Ann"
        second = stage.browser(name="Bob")
        second.say(**{**OFFER, "instance": 10})
        assert second.await_message("refused", stage.turn)["code"] == "busy"
    finally:
        port.close()


@pytest.mark.parametrize(
    ("message", "role", "code"),
    [
        (OFFER, "listen", "denied"),
        ({**OFFER, "node": "mix"}, "play", "denied"),
        ({**HELLO, "port": "../../x.out"}, "control", "denied"),
        ({**HELLO, "format": "mp3"}, "control", "format"),
        ({**HELLO, "v": 2}, "control", "bad"),
    ],
)
def test_the_policy_of_the_gateway_decides(stage: Stage, message: dict[str, object], role: str, code: str) -> None:
    browser = stage.browser(role=role)
    browser.say(**message)
    refused = browser.await_message("refused", stage.turn)
    assert (refused["code"], refused["stream"]) == (code, message["stream"]) and refused["why"]


def test_it_says_what_time_it_is_here(stage: Stage) -> None:
    browser = stage.browser()
    browser.say(t="time", t1=-5)
    answer = browser.await_message("time", stage.turn)
    assert answer["t1"] == -5 and answer["t2"] <= answer["t3"]


def test_a_reader_that_stalls_hears_nothing_old(tmp_path: Path) -> None:
    """Three seconds pass while it takes nothing: what waited for it comes without its sound, what follows with it."""
    later = [0]
    stage = Stage(tmp_path, clock=lambda: time.monotonic_ns() + later[0])
    try:
        browser = listening(stage, stage.browser(), window=TAP_FRAMES)
        stalled = next(iter(stage.media._connections.values()))
        stalled.websocket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        stage.studio.play(range(60))
        until(lambda: (stage.media.turn(1), len(stalled.outbox))[1] + stalled.outbox.stale > 20)
        later[0] = 3 * S
        stage.until(lambda: len(browser.frames) == 60)
        credit(browser, 60)
        stage.studio.play(range(60, 70))
        stage.until(lambda: len(browser.frames) == 70)
        assert numbers(browser) == list(range(1, 71)), "each is there to be credited"
        silent = [bool(HEADER.unpack_from(frame)[8] & Flag.GAP) for frame in browser.frames]
        assert sum(silent) > 20 and sum(silent) == stalled.outbox.stale
        assert not any(silent[60:]), "what is played after it is heard"
    finally:
        stage.close()


def test_rubbish_of_one_changes_nothing_for_another(stage: Stage) -> None:
    good, bad = listening(stage, stage.browser()), stage.browser(name="Bob")
    for message in (b"APF1", b"x" * 500, b"", bytes(64), coded(1)[:40]):
        bad.binary(message)
        assert bad.await_message("refused", stage.turn)["code"] == "bad"
    stage.studio.play(range(5))
    stage.until(lambda: len(good.frames) == 5)


def test_a_message_in_fragments_is_a_message(stage: Stage) -> None:
    browser = stage.browser()
    text = json.dumps({"t": "time", "t1": 7}).encode()
    browser.protocol.send_text(text[:5], fin=False)
    browser.protocol.send_ping(b"between")
    browser.protocol.send_continuation(text[5:9], fin=False)
    browser.protocol.send_continuation(text[9:], fin=True)
    browser.flush()
    assert browser.await_message("time", stage.turn)["t1"] == 7


@pytest.mark.parametrize(
    ("data", "closed"),
    [
        (b"\x81\x02{}", "1002"),  # not masked
        (b"\x83\x80\0\0\0\0", "1002"),  # opcode 3
        (b"\xc1\x80\0\0\0\0", "1002"),  # a reserved bit: nothing was compressed by agreement
        (b"\x80\x80\0\0\0\0", "1002"),  # goes on with what never began
        (b"\x82\xff" + (MAX_BYTES + 1).to_bytes(8, "big") + bytes(4), "1009"),
        (b"\x81\xfe" + (5_000).to_bytes(2, "big") + bytes(4) + b"x" * 5_000, "1009 text of 5000 bytes"),
        (b"\x81\x81\0\0\0\0\xff", "1007"),
    ],
)
def test_what_breaks_the_rules_of_websockets_is_closed_with_the_reason(stage: Stage, data: bytes, closed: str) -> None:
    good, browser = stage.browser(name="Bob"), stage.browser()
    browser.raw(data)
    stage.until(lambda: browser.protocol.close_code is not None)
    assert browser.closed.startswith(closed)
    good.say(t="time", t1=1)
    good.await_message("time", stage.turn)


def test_a_close_is_answered_and_its_streams_are_gone(stage: Stage) -> None:
    browser = listening(stage, stage.browser())
    stage.until(stage.studio.taps)
    browser.protocol.send_close(1000, "")
    browser.flush()
    stage.until(lambda: browser.protocol.close_code is not None)
    assert browser.closed.startswith("1000")
    browser.close()
    stage.browsers.remove(browser)
    stage.until(lambda: not stage.studio.taps() and not stage.media._connections)


def test_one_that_falls_silent_is_closed(stage: Stage) -> None:
    browser = listening(stage, stage.browser())
    (backend,) = stage.media._backends.values()
    backend.review(backend.sessions.all[0].active_s + 6)
    stage.until(lambda: browser.protocol.close_code is not None)
    assert browser.closed == "1008 nothing came for 5 s"
    stage.until(lambda: not stage.studio.taps())


def test_there_are_so_many_connections_of_a_user(stage: Stage) -> None:
    for _ in range(OF_A_USER):
        stage.browser()
    refused = stage.arrive()
    stage.until(lambda: refused.is_gone)
    assert "429" in str(refused.protocol.handshake_exc)
    stage.browser(name="Bob")


@pytest.mark.parametrize(
    ("handed", "subprotocol", "status"), [({"run": "/nowhere"}, "apf1", "503"), ({}, "other", "400")]
)
def test_a_handshake_that_leads_nowhere_is_answered(
    stage: Stage, handed: dict[str, str], subprotocol: str, status: str
) -> None:
    ours, theirs = socket.socketpair()
    browser = Browser(ours, subprotocol=subprotocol)
    browser.hand_over(stage.folder, theirs, **{"run": str(stage.studio.run.path), **handed})
    stage.browsers.append(browser)
    stage.until(lambda: browser.is_gone)
    assert status in str(browser.protocol.handshake_exc)


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\n", b"\0" * 3_000, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_any_head_at_all_is_survived(stage: Stage, head: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stage.hand(theirs, head)
        stage.until(lambda: stage.media.stats.counts["handshake_refused"] == 1)
    stage.browser()


def test_handover_messages_that_are_wrong_are_counted_and_their_descriptors_closed(stage: Stage) -> None:
    stage.browser()
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as giver, open(os.devnull, encoding="utf-8") as file:
        giver.connect(str(stage.folder / NAME))
        for body, amount in ((b"rubbish", 1), (b"\x80", 0), (b"\x80", 3), (b"\xc0", 1), (b"x" * 1_000, 20)):
            files = array.array("i", [file.fileno()] * amount)
            giver.sendmsg([body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)] if amount else [])
        stage.until(lambda: stage.media._handover.counts["handover_bad"] == 5)
    stage.until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    stage.browser()


def test_a_session_that_ends_closes_its_own_connections(stage: Stage) -> None:
    one, other = stage.browser(session="one"), stage.browser(session="two")
    order(stage.folder, Drain(v=1, leaving_in_s=3, session="two"))
    assert other.await_message("leaving", stage.turn)["in_s"] == 3
    order(stage.folder, Ended(v=1, ended="one"))
    stage.until(lambda: one.protocol.close_code is not None)
    assert one.closed == "1001 the session has ended" and other.protocol.close_code is None


def test_what_it_counts_lies_in_the_folder(stage: Stage) -> None:
    browser = listening(stage, stage.browser())
    browser.say(t="audible", stream=1, position=480, at=1, buffer_ms=21, underruns=3)
    stage.studio.play(range(5))
    stage.until(lambda: len(browser.frames) == 5)
    stage.media._review_ns = 0
    stage.turn()
    found = json.loads((stage.folder / "media.json").read_text())
    assert (found["connections"], found["streams"]) == (1, {"listen": 1})
    assert found["audible"] == {"reports": 1, "underruns": 3, "buffer_ms": [21.0]}
    assert found["counts"]["handover"] == 1 and found["counts"]["bytes_out"] > 5 * 4 * N
    assert (stage.folder / "media.json").stat().st_mode & 0o777 == 0o600


def test_whoever_has_a_stream_renews_the_lease_of_the_session(tmp_path: Path) -> None:
    lease, ahead = tmp_path / "lease", [0]
    lease.touch()
    os.utime(lease, ns=(1, 1))
    stage = Stage(tmp_path, clock=lambda: time.monotonic_ns() + ahead[0])
    try:
        silent = stage.browser(name="Bob", lease=str(lease))
        ahead[0] += 6 * S
        stage.turn()
        assert lease.stat().st_mtime_ns == 1, "a connection without a stream holds nothing"
        assert silent in stage.browsers
        listening(stage, stage.browser(lease=str(lease)))
        ahead[0] += 6 * S
        stage.turn()
        assert lease.stat().st_mtime_ns > 1
    finally:
        stage.close()


def test_without_descriptors_what_waits_is_turned_away_and_the_next_one_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    handover, refuse, true_accept = Handover(tmp_path / "folder"), [True], socket.socket.accept

    def accept(listener: socket.socket) -> tuple[socket.socket, object]:
        if refuse.pop() if refuse else False:
            raise OSError(errno.EMFILE, "Too many open files")
        return true_accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accept)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as giver:
            giver.connect(str(tmp_path / "folder" / NAME))
            handover.serve(lambda taken: None)
            assert giver.recv(1) == b"", "its end is closed, so nothing waits any more"
            assert handover.counts["handover_failed"] == 1
        orders: list[object] = []
        order(tmp_path / "folder", Ended(v=1, ended="one"))
        for _ in range(3):
            handover.serve(orders.append)
        assert orders == [Ended(v=1, ended="one")]
    finally:
        handover.close()
