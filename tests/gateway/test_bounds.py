"""What somebody on another host may make us do: each bound by itself, without real time."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Frame, audio_frame, gap_frame
from audio_pipeline.frame_codec import pack
from audio_pipeline.gateway import acceptor, bounds, roles, server
from audio_pipeline.gateway.acceptor import Acceptor
from audio_pipeline.gateway.bounds import Bounds
from audio_pipeline.gateway.budget import MOST_KNOWN, Budget, Budgets
from audio_pipeline.gateway.carrier import CHUNK
from audio_pipeline.gateway.connection import MOST_UNTAKEN, remove_dead
from audio_pipeline.gateway.feed_receiver import WINDOW_FRAMES, FeedReceiver
from audio_pipeline.gateway.frame_bounds import FRAMES, VALUES, FrameBounds
from audio_pipeline.gateway.message_meter import GREETING_BYTES, Meter
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.gateway.router import INSIDE
from audio_pipeline.gateway.session import KEPT, MAX_OF_A_KEY, MAX_SESSIONS, Purpose, SessionKind, Sessions
from audio_pipeline.keys import Keys
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.limits import A_TURN, KEEPALIVE_NS, PROTOCOL
from audio_pipeline.links.message_codec import from_map
from audio_pipeline.links.message_codec import pack as pack_message
from audio_pipeline.links.messages import Credit, Hello, LinkMessage, Still
from audio_pipeline.links.port_specs import InSpec
from tests.gateway.studio import RATE, TOKEN, N, Stranger, Studio, frame, until

MS = 1_000_000


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = Studio(tmp_path)
    yield made
    made.close()


# -- buckets -------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Budget(rate=10, burst=5)
    assert [bucket.take(1, 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [bucket.take(1, 0.1) for _ in range(2)] == [True, False]
    assert bucket.left(1000.0) == 5 and bucket.left(0.0) == 5  # a clock that goes back gives nothing


def test_what_has_happened_already_is_paid_later() -> None:
    bucket = Budget(rate=10, burst=5)
    assert not bucket.spend(25, 0.0)
    assert bucket.left(1.0) < 0 < bucket.left(2.1)


def test_names_have_buckets_of_their_own_and_are_never_too_many() -> None:
    buckets: Budgets[str] = Budgets(1, 1)
    assert buckets.take("a", 1, 0.0) and not buckets.take("a", 1, 0.0) and buckets.take("b", 1, 0.0)
    for number in range(3 * MOST_KNOWN):
        buckets.take(str(number), 0.5, 0.0)
    assert len(buckets._known) == MOST_KNOWN and not buckets.take("a", 1, 0.0), "who has least is remembered"


# -- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1 << 62, (1 << 64) - 1, -1, True, 1.0, None, "5", [5], "x" * 10_000])
def test_a_number_that_cannot_be_reckoned_with_is_no_word(value: Any) -> None:
    with pytest.raises(WireError, match=r"^credit.granted: expected a whole number >= 0 and < 2\^62") as raised:
        from_map({"t": "credit", "delivered": 0, "granted": value})
    assert len(str(raised.value)) < 200
    if value != -1:
        with pytest.raises(WireError, match="^time.t1: expected a whole number"):
            from_map({"t": "time", "t1": value})


# -- frames --------------------------------------------------------------------------------------------


def refusals(frames: list[Frame], channels: int = 2) -> list[str]:
    bounds = FrameBounds(RATE, channels)
    return [bounds.refusal(item, 0.0) for item in frames]


def test_a_frame_of_a_few_bytes_that_stands_for_gigabytes_is_refused() -> None:
    """64 bytes, 134 MB: what it costs is judged, not what it weighs."""
    assert refusals([gap_frame(1 << 20, 0, 1_000, 32), gap_frame(1 << 20, 0, RATE, 2)]) == ["format", "too_long"]


def test_a_second_of_sound_is_taken_and_a_sample_more_is_not() -> None:
    assert refusals([gap_frame(RATE, 0, RATE, 2), gap_frame(RATE + 1, 0, RATE, 2)]) == ["", "too_long"]


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 32), (48_000, 2), (384_000, 32)])
def test_so_many_values_a_second_are_computed_whatever_the_format(rate: int, channels: int) -> None:
    bounds, item = FrameBounds(RATE, channels), gap_frame(rate // 100, 0, rate, channels)
    taken = sum(not bounds.refusal(item, 0.0) for _ in range(1_900))
    assert bounds.cost(item) * taken <= VALUES
    assert taken == 1_900 or bounds.cost(item) * (taken + 1) > VALUES
    assert not bounds.refusal(item, 2.0), "later there is room again"


def test_frames_of_nothing_are_counted_as_well() -> None:
    nothing = gap_frame(0, 0, RATE, 2)
    assert refusals([nothing] * (round(FRAMES) + 1)).count("too_many") == 1


# -- a feed --------------------------------------------------------------------------------------------


class Fed:
    """What a feed receives, by a clock that stands still; what it answers is kept."""

    def __init__(self) -> None:
        self.answers: list[LinkMessage] = []
        self.port = FeedReceiver(TOKEN, lambda sender, message: self.answers.append(message), rate=RATE, channels=2)
        self.now_ns = MS
        self.send({"t": "offer", "v": PROTOCOL, "node": "voice", "instance": 1, "greeting": 0, "token": TOKEN})

    def send(self, message: dict[str, Any] | bytes) -> None:
        self.port.receive(b"singer", message if isinstance(message, bytes) else msgpack.packb(message), self.now_ns)

    def frames(self, numbers: range) -> None:
        for number in numbers:
            self.send(pack(frame(number, seq=number)))

    def credit(self) -> LinkMessage:
        """What the sender is granted once it is due in any case."""
        self.now_ns += KEEPALIVE_NS + MS
        self.port.turn(self.now_ns)
        return self.answers[-1]

    def credited(self) -> int:
        """The number through which the sender is told that its frames were taken."""
        answer = self.credit()
        assert isinstance(answer, Credit)
        return answer.delivered


@pytest.fixture
def fed() -> Fed:
    return Fed()


def test_sockets_of_doors_that_were_killed_are_removed(tmp_path: Path) -> None:
    """A killed process removes nothing: each restart would leave one more."""
    for name in ("~gateway.2-0", "mix.out"):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / name))
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(tmp_path / "~gateway.1-0"))
        alive.listen(1)
        remove_dead(tmp_path, "~gateway.")
        remove_dead(tmp_path, "~gateway.")  # its backlog is full by now, and it lives
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mix.out", "~gateway.1-0"]


def test_a_gateway_removes_what_killed_ones_left(studio: Studio) -> None:
    stale = Path(studio.run.endpoint(INSIDE, "1-0").removeprefix("ipc://"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    gateway = server.Gateway("127.0.0.1:0", studio.run, (), keys=studio.keys)
    gateway.open()
    gateway.close()
    assert not stale.exists()


def test_a_sender_is_held_to_its_window_until_the_node_takes_frames(fed: Fed) -> None:
    fed.frames(range(1, 200))
    assert fed.port.counts["dropped_beyond"] == 199 - WINDOW_FRAMES
    assert fed.credit() == Still(), "nothing was taken, so nothing more may come"
    for number in range(1, 11):
        came = fed.port.take()
        assert came is not None and came[0].seq == number
    assert fed.credit() == Credit(greeting=0, delivered=10, granted=10 + WINDOW_FRAMES)


def test_numbers_may_have_holes_as_large_as_they_like(fed: Fed) -> None:
    """A sender's own queue drops while the way is shut; the window is of frames under way."""
    fed.frames(range(100_000, 100_010))
    while fed.port.take():
        pass
    assert fed.credited() == 100_009 and not fed.port.counts["dropped_beyond"]


def test_what_is_dropped_is_credited_with_what_is_taken_before_it(fed: Fed) -> None:
    fed.frames(range(1, 3))
    fed.send(pack(gap_frame(1 << 20, 0, RATE, 32, seq=3)))
    fed.send(pack(audio_frame(np.zeros((N, 2), np.float32), 0, RATE, seq=4))[:-1])
    assert fed.port.counts["dropped_too_long"] == fed.port.counts["bad"] == 1
    fed.port.take()
    assert fed.credited() == 1
    fed.port.take()
    assert fed.credited() == 4


@pytest.mark.parametrize("seq", [0, (1 << 62) - 1, 1 << 62, (1 << 64) - 1])
def test_after_any_number_the_feed_can_still_answer(fed: Fed, seq: int) -> None:
    message = bytearray(pack(frame(1, seq=1)))
    message[32:40] = seq.to_bytes(8, "little")
    fed.send(bytes(message))
    while fed.port.take():
        pass
    assert isinstance(fed.credit(), Credit | Still) and pack_message(fed.answers[-1])
    fed.frames(range(1, 3))
    assert isinstance(fed.credit(), Credit | Still) and pack_message(fed.answers[-1])


def test_the_same_frame_again_is_dropped(fed: Fed) -> None:
    fed.frames(range(1, 3))
    fed.frames(range(1, 3))
    assert fed.port.counts["dropped_again"] == 2


def test_a_sender_that_greets_for_ever_does_not_fill_the_log(fed: Fed) -> None:
    for greeting in range(1_000):
        fed.send(
            {"t": "offer", "v": PROTOCOL, "node": "voice", "instance": greeting, "greeting": greeting, "token": TOKEN}
        )
        fed.send({"t": "bye"})
    assert len(fed.port.notices) <= 20 and not fed.port.notices.add("one more", 0.0)


# -- a gateway --------------------------------------------------------------------------------------------


def test_a_turn_of_an_output_ends_however_many_words_wait(studio: Studio) -> None:
    """A node whose tap says hello without end goes on with its sound in between."""
    port, calls = studio.out, iter(range(10 * A_TURN))
    studio.close()

    class Flooded:
        def get(self, option: int) -> int:
            return int(zmq.POLLIN)

        def recv_multipart(self, flags: int) -> list[bytes]:
            next(calls)
            return [b"tap", b"nonsense"]

    port.socket = Flooded()  # type: ignore[assignment]
    port.handle()
    assert next(calls) == A_TURN
    studio.close = lambda: None  # type: ignore[method-assign]


def test_a_turn_of_an_input_ends_however_many_words_wait() -> None:
    class Flooded:
        left = 10 * A_TURN

        def get(self, option: int) -> int:
            return int(zmq.POLLIN)

        def recv(self, flags: int) -> bytes:
            self.left -= 1
            return msgpack.packb({"t": "still"})  # type: ignore[no-any-return]

    with zmq.Context() as context:
        port = InPort(context, InSpec("a", "inproc://nobody", 5, "block"), TOKEN, 1, lambda *_: None)
        port.socket.close(linger=0)
        for turn, take in ((1, port.handle), (2, port.receive)):
            port.socket = Flooded()  # type: ignore[assignment]
            assert take() is (True if turn == 1 else None) and port.socket.left == 9 * A_TURN  # type: ignore[attr-defined]


def test_taps_from_other_hosts_get_no_history(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    hellos: list[Hello] = []
    monkeypatch.setattr(studio.out, "_on_hello", lambda name, hello: hellos.append(hello))
    stranger = Stranger(studio.allow())
    until(studio.gateway.exported)
    hello = {"t": "hello", "v": 1, "port": "mix.out", "instance": 1, "window": 9, "since": 0, "greeting": 0}
    until(lambda: hellos or stranger.ask(hello, 100))  # the way inside may not be there at once
    assert hellos[0].since is None and hellos[0].token == TOKEN and hellos[0].port is None
    stranger.close()


def test_a_key_that_says_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds, hello = Bounds(), msgpack.packb({"t": "hello", "port": "mix.out"})
    taken = [bounds.message("listener", hello, 0.0) for _ in range(6_000)]
    assert len([message for message in taken if message]) == 39, "2,000 at once, each worth 50 and 1"
    assert bounds.message("singer", hello, 0.0) and bounds.message("listener", hello, 1.0)
    frames = [bounds.may_send("listener", bytes(4_000), 0.0) for _ in range(6_000)]
    assert 3_000 < frames.count(True) < 4_000 and bounds.may_send("singer", bytes(4_000), 0.0)


def test_long_messages_are_not_unpacked() -> None:
    with pytest.raises(WireError, match="^message of 65537 bytes from another host, expected at most 65536$"):
        Bounds().message("listener", bytes(65_537), 0.0)


def test_the_token_is_read_once(studio: Studio) -> None:
    """A flood of connections may leave no descriptor to read it with."""
    (studio.run.path / "token").unlink()
    remote = studio.allow()
    stranger = Stranger(remote)
    until(studio.gateway.exported)
    hello = {"t": "hello", "v": 1, "port": "mix.out", "instance": 1, "window": 9, "greeting": 0}
    until(lambda: (stranger.ask(hello, 200) or {}).get("t") == "welcome")  # the way inside may not be there at once
    stranger.close()


def test_a_book_that_could_not_be_read_for_a_moment_is_read_again(studio: Studio) -> None:
    studio.allow()
    known = roles.Roles(Keys(studio.keys.folder))
    book = studio.keys.folder / "known.json"
    book.chmod(0o644)
    assert "has mode 0644" in known.reread() and known.unread and not known.keys.known  # type: ignore[union-attr]
    book.chmod(0o600)
    assert not known.changed() and not known.reread() and not known.unread and known.keys.known  # type: ignore[union-attr]


def test_a_listener_cannot_take_the_places_of_those_who_play() -> None:
    with zmq.Context() as context:
        sessions = Sessions(context)
        purpose = Purpose(SessionKind.LISTEN, "mix.out", "listen", "inproc://nobody")

        def enter(user: str, role: str) -> str:
            if not (why := sessions.full(user, role)):
                number = len(sessions.all)
                sessions.enter(bytes([number]), 0, user, Caller(user, role), purpose)
            return why

        assert [bool(enter("greedy", "listen")) for _ in range(MAX_OF_A_KEY + 1)] == [False] * MAX_OF_A_KEY + [True]
        assert "this key has 16 connections already" in enter("greedy", "listen")
        while not enter(f"listener {len(sessions.all)}", "listen"):
            pass
        assert len(sessions.all) == MAX_SESSIONS - KEPT
        assert not enter("singer", "play") and not enter("engineer", "control")
        sessions.close()


# -- connections ---------------------------------------------------------------------------------------


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with room for eight connections."""
    monkeypatch.setattr(server, "connections_here", lambda: 8)


def crowd(port: int, count: int) -> list[socket.socket]:
    """Connections that send nothing."""
    made = []
    for _ in range(count):
        made.append(socket.socket())
        made[-1].setblocking(False)
        made[-1].connect_ex(("127.0.0.1", port))
    return made


def test_however_many_connect_without_a_key_who_has_one_gets_in(narrow: None, studio: Studio) -> None:
    remote, idle = studio.allow(), crowd(studio.gateway.port, 400)
    until(lambda: studio.gateway.acceptor.counts["evicted"] > 50)
    stranger = Stranger(remote)
    answer = stranger.ask({"t": "time", "t1": 1}, 100_000)
    assert answer is not None and answer["t1"] == 1
    assert len(studio.gateway.acceptor.numbers) <= 8
    stranger.close()
    for each in idle:
        each.close()


class Bare:
    """An entrance without its thread, in front of a socket that takes bytes and says nothing."""

    def __init__(self, folder: Path, most: int = 3) -> None:
        self.inside = socket.socket(socket.AF_UNIX)
        self.inside.bind(f"{folder}/inside")
        self.inside.listen()
        self.inside.setblocking(False)
        self.entrance = Acceptor("127.0.0.1", 0, f"{folder}/inside", most)

    def come(self) -> tuple[socket.socket, socket.socket]:
        """One more connection, and its end inside."""
        outside = socket.create_connection(("127.0.0.1", self.entrance.port))
        until(lambda: self.turn() or select.select([self.inside], [], [], 0)[0])
        return outside, self.inside.accept()[0]

    def turn(self) -> None:
        self.entrance.turn(0.001)

    @property
    def numbers(self) -> list[int]:
        return list(self.entrance.numbers)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    made = Bare(tmp_path)
    yield made
    made.entrance.close()
    made.inside.close()


def test_the_oldest_without_a_handshake_makes_room_and_who_has_a_place_stays(bare: Bare) -> None:
    keep = [bare.come() for _ in range(3)]
    first, second, third = bare.numbers
    bare.entrance.claim(first)
    keep.append(bare.come())
    assert second not in bare.numbers and {first, third} < set(bare.numbers)
    for number in bare.numbers:
        bare.entrance.claim(number)
    bare.turn()
    late = socket.create_connection(("127.0.0.1", bare.entrance.port))
    until(lambda: bare.turn() or bare.entrance.counts["refused"])
    assert late.recv(1) == b"" and list(bare.entrance.ended()) == [second]
    for each in (late, *(end for pair in keep for end in pair)):
        each.close()


def test_bytes_go_both_ways_and_the_end_of_one_is_that_of_the_other(bare: Bare) -> None:
    outside, inside = bare.come()
    data = stream(command(bytes(range(256)) * 4_000))
    outside.setblocking(False)
    inside.setblocking(False)
    sent, got = outside.send(data), b""
    while len(got) < sent:
        bare.turn()
        got += _some(inside)
    assert got == data[:sent]
    inside.send(b"answer")
    until(lambda: bare.turn() or _some(outside) == b"answer")
    inside.close()
    until(lambda: bare.turn() or not bare.numbers)
    outside.close()


def stream(*frames: bytes) -> bytes:
    """What one side of a connection says: its greeting, then frames."""
    return bytes(GREETING_BYTES) + b"".join(frames)


def command(body: bytes) -> bytes:
    return b"\x06" + len(body).to_bytes(8, "big") + body


def message(body: bytes) -> bytes:
    return b"\x00" + bytes([len(body)]) + body


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300)), max_size=20), st.integers(1, 40))
def test_messages_are_counted_however_the_bytes_come(frames: list[tuple[bool, int]], piece: int) -> None:
    data = stream(*(message(bytes(size % 200)) if plain else command(bytes(size)) for plain, size in frames))
    meter, ended = Meter(), []
    for at in range(0, len(data), piece):
        ended += meter.push(data[at : at + piece])
    assert ended == [size % 200 for plain, size in frames if plain]


def test_a_message_that_is_too_long_ends_the_connection_at_its_head(bare: Bare) -> None:
    outside, inside = bare.come()
    outside.send(stream(b"\x02" + b"\x7f" + b"\xff" * 7))
    until(lambda: bare.turn() or not bare.numbers)
    outside.close()
    inside.close()


def test_only_so_many_messages_lie_inside_until_they_are_taken(bare: Bare) -> None:
    """A full queue of ZeroMQ's whose peer goes would end the process at the next heartbeat."""
    outside, inside = bare.come()
    inside.setblocking(False)
    outside.setblocking(False)
    outside.send(stream(*[message(bytes(50))] * 2_000))
    got = b""
    for _ in range(50):
        bare.turn()
        got += _some(inside)
    assert MOST_UNTAKEN * 52 <= len(got) <= CHUNK + GREETING_BYTES
    (number,) = bare.numbers
    bare.entrance.acknowledge(number, 10_000)
    bare.turn()
    for _ in range(5):
        bare.turn()
        got += _some(inside)
    assert len(got) > CHUNK
    outside.close()
    inside.close()


def _some(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 20)
    except BlockingIOError:
        return b""


def test_a_connection_that_sends_faster_than_it_may_rests(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(acceptor.time, "monotonic", lambda: now[0])
    outside, inside = bare.come()
    outside.setblocking(False)
    inside.setblocking(False)
    got, rest = 0, stream(*[command(bytes(1 << 20))] * 12)
    for _ in range(2_000):
        try:
            rest = rest[outside.send(rest[: 1 << 16]) :]
        except BlockingIOError:
            pass
        bare.turn()
        got += len(_some(inside))
    assert (4 << 20) <= got < (5 << 20), "its burst, and not a byte more than was read with it"
    now[0] += 1.0
    for _ in range(200):
        bare.turn()
        got += len(_some(inside))
    assert got > (5 << 20)
    outside.close()
    inside.close()


def test_a_peer_that_does_not_read_or_says_nothing_is_ended(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(acceptor.time, "monotonic", lambda: now[0])
    pairs = [bare.come(), bare.come()]
    (_, deaf), (_, silent) = pairs
    deaf.setblocking(False)
    silent.send(b"\x05READY and nothing follows")
    bare.entrance.claim(bare.numbers[0])
    for _ in range(500):
        _try_to_send(deaf)
        bare.turn()
    assert len(bare.numbers) == 2
    now[0] += 6.0
    until(lambda: bare.turn() or not bare.numbers)
    assert bare.entrance.counts == {"unread": 1, "silent": 1}
    for each in (end for pair in pairs for end in pair):
        each.close()


def _try_to_send(end: socket.socket) -> None:
    try:
        end.send(bytes(1 << 16))
    except (BlockingIOError, BrokenPipeError):
        pass


def test_without_a_descriptor_the_oldest_makes_room(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = bare.come()
    bare.turn()

    class Exhausted:
        def accept(self) -> None:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(bare.entrance, "_listener", Exhausted())
    monkeypatch.setattr(bare.entrance, "_selector", Selected(bare.entrance._selector))
    bare.entrance._accept(0.0)
    assert bare.entrance.counts == {"refused": 1, "evicted": 1} and not bare.numbers
    monkeypatch.undo()
    for each in keep:
        each.close()


class Selected:
    """A selector that forgets the stand-in."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def unregister(self, item: Any) -> None:
        if isinstance(item, socket.socket):
            self._real.unregister(item)


@pytest.mark.parametrize(("files", "most"), [(512, 64), (20_000, 128), (150, 16), (-1, 128)])
def test_the_connections_that_descriptors_allow(files: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds.resource, "getrlimit", lambda _: (files, files))
    assert bounds.connections_here() == most
