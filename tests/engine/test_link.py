"""Links over real ZeroMQ sockets in one thread: nothing sleeps, a pump polls until what should happen has happened."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.frame import MAX_CHANNELS, Flag, Frame, audio_frame, event_frame, gap_frame
from audio_pipeline.frame_codec import pack
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.limits import IMPATIENT_NS, MAX_TAPS, PROTOCOL, TAP_FRAMES
from audio_pipeline.links.messages import Credit, LinkMessage, Welcome
from audio_pipeline.links.port_specs import InSpec, OutSpec
from audio_pipeline.links.producer import OutPort
from tests.patience import PATIENCE_S

RATE, N = 48_000, 480
TOKEN = "secret"


class Bench:
    """Ports on one context, moved along together."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.context: zmq.Context[Any] = zmq.Context()
        self.outs: list[OutPort] = []
        self.ins: list[InPort] = []
        self.strangers: list[zmq.Socket[bytes]] = []
        self.counts: Counter[str] = Counter()
        self.now_ns = 0
        self._instances = itertools.count(1)

    def out(self, consumers: dict[str, tuple[str, int]] | None = None, *, epoch: int = 1, history: int = 0) -> OutPort:
        spec = OutSpec(
            "out", self.endpoint, 0, RATE, 1, "song", history, {"a": ("block", 100)} if consumers is None else consumers
        )
        port = OutPort(self.context, spec, TOKEN, epoch, lambda name: self.counter(f"out>{name}"))
        self.outs.append(port)
        return port

    def into(
        self,
        name: str = "a",
        *,
        window: int = 5,
        token: str = TOKEN,
        since: int | None = None,
        credit_every: int = 1,
    ) -> InPort:
        spec = InSpec(name, self.endpoint, window, "block", credit_every=credit_every)
        port = InPort(self.context, spec, token, next(self._instances), self.counter(f"in>{name}"))
        port.since = since
        self.ins.append(port)
        return port

    def counter(self, prefix: str) -> Callable[[str, int], None]:
        def count(name: str, amount: int) -> None:
            self.counts[f"{prefix}.{name}"] += amount

        return count

    def pump(self, until: Callable[[], object], *, but: InPort | None = None) -> None:
        """Lets everybody hear and speak until it is so; consumer `but` hangs."""
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, "it never came to that"
            self.now_ns += 100_000_000
            for out in self.outs:
                out.handle()
            for port in self.ins:
                if port is not but:
                    port.handle()
                    port.send_due(self.now_ns)
            zmq.select([port.socket for port in (*self.outs, *self.ins)], [], [], 0.001)

    def drop(self, port: OutPort | InPort) -> None:
        """As `kill -9`: no goodbye."""
        port.close() if isinstance(port, OutPort) else port.socket.close(linger=0)
        (self.outs if isinstance(port, OutPort) else self.ins).remove(port)  # type: ignore[arg-type]

    def stranger(self, identity: bytes | None = None) -> zmq.Socket[bytes]:
        socket = self.context.socket(zmq.DEALER)
        if identity is not None:
            socket.setsockopt(zmq.IDENTITY, identity)
        socket.connect(self.endpoint)
        self.strangers.append(socket)
        return socket

    def close(self) -> None:
        for socket in (*self.strangers, *(port.socket for port in (*self.outs, *self.ins))):
            socket.close(linger=0)
        self.context.term()


@pytest.fixture(params=["ipc", "inproc"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(f"ipc://{tmp_path}/out" if request.param == "ipc" else "inproc://out")
    yield made
    made.close()


@pytest.fixture
def ipc(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(f"ipc://{tmp_path}/out")
    yield made
    made.close()


def frame(number: int, **fields: Any) -> Frame:
    """Frame `number` of a stream: its samples are its number."""
    return audio_frame(np.full((N, 1), number, np.float32), number * N, RATE, **fields)


def offer(out: OutPort, numbers: range, **fields: Any) -> None:
    for number in numbers:
        out.offer(frame(number, seq=out.seq + 1, epoch=out.epoch, **fields))


def taken(port: InPort) -> list[Frame]:
    got = []
    while (one := port.take()) is not None:
        port.used()
        got.append(one)
    return got


def numbers(frames: list[Frame]) -> list[int]:
    return [round(one.position / N) for one in frames]


def collect(bench: Bench, port: InPort, amount: int) -> list[Frame]:
    """Takes until `amount` frames have come."""
    got: list[Frame] = []
    bench.pump(lambda: got.extend(taken(port)) or len(got) >= amount)
    return got


# -- the normal case ---------------------------------------------------------------------------------


def test_frames_arrive_in_order_to_the_bit_and_the_ledger_balances(bench: Bench) -> None:
    out, port = bench.out(), bench.into()
    offer(out, range(50))
    got = collect(bench, port, 50)
    assert numbers(got) == list(range(50)) and [one.seq for one in got] == list(range(1, 51))
    assert all((one.audio() == number).all() for number, one in enumerate(got))
    bench.pump(lambda: out.drained)
    assert bench.counts == {"out>a.offered": 50, "out>a.sent": 50, "in>a.received": 50, "in>a.delivered": 50}


def test_the_welcome_says_what_is_sent(bench: Bench) -> None:
    bench.out(epoch=7)
    port = bench.into()
    bench.pump(lambda: port.welcome)
    assert port.welcome == Welcome(epoch=7, rate=RATE, channels=1, timeline="song", greeting=0)
    assert port.grant.epoch == 7


def test_the_consumer_may_come_first(ipc: Bench) -> None:
    port = ipc.into()
    port.send_due(0)
    offer(ipc.out(), range(3))
    assert numbers(collect(ipc, port, 3)) == [0, 1, 2]


def test_end_and_events_and_gaps_pass(bench: Bench) -> None:
    out, port = bench.out(), bench.into(window=9)
    out.offer(event_frame({"kind": "text", "text": "la"}, 5, RATE, seq=1, epoch=1))
    out.offer(gap_frame(N, 0, RATE, 1, seq=2, epoch=1))
    out.offer(gap_frame(0, N, RATE, 1, seq=3, epoch=1, flags=Flag.END))
    event, gap, end = collect(bench, port, 3)
    assert event.event == {"kind": "text", "text": "la"} and gap.samples == N and end.flags & Flag.END
    bench.pump(lambda: out.drained)


# -- flow --------------------------------------------------------------------------------------------


def test_a_slow_consumer_never_stalls_its_sibling(bench: Bench) -> None:
    out = bench.out({"a": ("drop_oldest", 10), "b": ("drop_oldest", 10)})
    slow, quick = bench.into("a"), bench.into("b")
    bench.pump(lambda: slow.welcome and quick.welcome)
    got: list[Frame] = []
    for number in range(200):
        offer(out, range(number, number + 1))
        bench.pump(lambda wanted=number + 1: got.extend(taken(quick)) or len(got) >= wanted, but=slow)
    assert numbers(got) == list(range(200))


@pytest.mark.parametrize(("policy", "reason"), [("drop_oldest", "oldest"), ("block", "overflow")])
def test_a_stalled_consumer_later_gets_its_window_and_the_newest_of_its_queue(
    bench: Bench, policy: str, reason: str
) -> None:
    """Not a second of old sound from some socket's buffer: the window is all that was under way."""
    out, port = bench.out({"a": (policy, 10)}), bench.into(window=5)
    bench.pump(lambda: port.welcome)
    for number in range(1000):
        offer(out, range(number, number + 1))
        out.handle()
    got = collect(bench, port, 15)
    assert numbers(got) == [*range(5), *range(990, 1000)]
    assert bench.counts[f"out>a.dropped.{reason}"] == 985


def test_the_latest_policy_keeps_nothing_but_the_latest(bench: Bench) -> None:
    out, port = bench.out({"a": ("latest", 10)}), bench.into(window=1)
    bench.pump(lambda: port.welcome)
    offer(out, range(100))
    assert numbers(collect(bench, port, 2)) == [0, 99]


def test_a_full_queue_shows_as_no_room_only_where_it_may_stall(bench: Bench) -> None:
    out = bench.out({"a": ("block", 3), "b": ("drop_oldest", 3)})
    offer(out, range(2))
    assert out.has_capacity and not out.drained
    offer(out, range(2, 3))
    assert not out.has_capacity
    port = bench.into("a")
    bench.pump(lambda: taken(port) and out.has_capacity)


def test_a_consumer_that_will_never_come_stalls_nobody(bench: Bench) -> None:
    out = bench.out({"a.in": ("lossless", 3), "b.in": ("lossless", 3), "bb.in": ("lossless", 3)})
    offer(out, range(9))
    out.dismiss("b")
    out.dismiss("nobody")
    assert [name for name, sub in out.subscriptions.items() if sub.has_capacity] == ["b.in"]


def test_words_that_get_lost_heal_with_the_next(bench: Bench) -> None:
    out, port = bench.out(), bench.into(window=2)
    bench.pump(lambda: port.welcome)
    offer(out, range(6))
    bench.pump(lambda: len(port.queue) == 2)
    taken(port)
    port._changed = False  # the word that would have said so is lost
    assert numbers(collect(bench, port, 4)) == [2, 3, 4, 5]


@pytest.mark.parametrize("credit_every", [1, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 8])
def test_every_window_carries_a_stream_to_its_end_without_a_repeated_word(
    bench: Bench, window: int, credit_every: int
) -> None:
    """No time passes, so no word is repeated: what has to be said is said when it has to be."""
    out, port = bench.out({"a": ("block", 100)}), bench.into(window=window, credit_every=credit_every)
    bench.pump(lambda: port.welcome)
    offer(out, range(50))
    offer(out, range(50, 51), flags=Flag.END)
    got: list[Frame] = []

    def turn() -> bool:
        bench.now_ns -= 100_000_000  # the pump's own step
        got.extend(taken(port))
        return out.drained

    bench.pump(turn)
    assert numbers(got) == list(range(51))


class Words(InPort):
    """A consumer that writes down how far it said it had taken frames."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.credited: list[int] = []

    def _send(self, message: LinkMessage) -> bool:
        if isinstance(message, Credit):
            self.credited.append(message.delivered)
        return super()._send(message)


@pytest.mark.parametrize("burst", [1, 4])
def test_credit_for_three_frames_at_once_never_holds_a_burst_back(bench: Bench, burst: int) -> None:
    """A window is the largest burst and four frames: whatever the consumer keeps to itself, a burst has its place."""
    out = bench.out({"a": ("block", 100)})
    spec = InSpec("a", bench.endpoint, burst + 4, "block", credit_every=3)
    port = Words(bench.context, spec, TOKEN, 1, bench.counter("in>a"))
    bench.ins.append(port)
    bench.pump(lambda: port.welcome)
    bench.pump(lambda: out.subscriptions["a"].window == burst + 4)
    port.credited.clear()
    got: list[Frame] = []

    def turn() -> bool:
        bench.now_ns -= 100_000_000  # the pump's own step: no word is due for having been silent
        got.extend(taken(port))
        return len(got) == out.seq and out.subscriptions["a"].delivered_through >= max(port.credited, default=0)

    for number in range(0, 30 * burst, burst):
        offer(out, range(number, number + burst))
        assert not out.subscriptions["a"].queue, "all of it is under way"
        bench.pump(turn)
        port.send_due(bench.now_ns)
        bench.pump(turn)
    assert numbers(got) == list(range(30 * burst)) and len(port.credited) <= len(got) / 3


def test_a_cancel_empties_queue_and_history(bench: Bench) -> None:
    out = bench.out(history=100 * N)
    offer(out, range(10))
    out.cancel(1)
    offer(out, range(20, 22), generation=1)
    assert numbers(collect(bench, bench.into(since=0), 2)) == [20, 21]
    assert bench.counts["out>a.dropped.cancelled"] == 10


# -- restarts ----------------------------------------------------------------------------------------


def test_a_consumer_that_comes_back_hears_again_from_where_it_wants(bench: Bench) -> None:
    out, port = bench.out(history=100 * N), bench.into()
    offer(out, range(20))
    collect(bench, port, 20)
    bench.drop(port)
    offer(out, range(20, 25))
    got = collect(bench, bench.into(since=15 * N + 1), 10)
    assert numbers(got) == list(range(15, 25)), "the frame that holds the wanted sample comes first"
    assert all(one.flags & Flag.REPLAY for one in got[:5])  # 20 to 24 may have been under way when it died
    assert all((one.audio() == number).all() for one, number in zip(got, range(15, 25), strict=True))


def test_what_was_under_way_to_a_consumer_that_died_comes_again(bench: Bench) -> None:
    out, port = bench.out(history=100 * N), bench.into(window=4)
    offer(out, range(8))
    bench.pump(lambda: len(port.queue) == 4)
    bench.drop(port)
    assert numbers(collect(bench, bench.into(since=2 * N), 6)) == [2, 3, 4, 5, 6, 7]


def test_a_consumer_that_wants_no_past_gets_none(bench: Bench) -> None:
    out, port = bench.out(history=100 * N), bench.into(window=4)
    offer(out, range(8))
    bench.pump(lambda: len(port.queue) == 4)
    bench.drop(port)
    got = collect(bench, bench.into(), 4)
    assert numbers(got) == [4, 5, 6, 7] and not any(one.flags & Flag.REPLAY for one in got)


def test_two_deaths_in_a_row_lose_nothing_of_the_wanted_past(bench: Bench) -> None:
    out, port = bench.out(history=100 * N), bench.into()
    offer(out, range(10))
    collect(bench, port, 10)
    bench.drop(port)
    again = bench.into(since=0, window=3)
    bench.pump(lambda: len(again.queue) == 3)
    bench.drop(again)
    assert numbers(collect(bench, bench.into(since=N), 9)) == list(range(1, 10))


def test_history_holds_what_it_should_and_idleness_fills_no_memory(bench: Bench) -> None:
    out = bench.out(history=10 * N)
    offer(out, range(100))
    for _ in range(1000):
        out.offer(gap_frame(0, 100 * N, RATE, 1, seq=out.seq + 1, epoch=1))
    assert [held.position // N for held in out._history] == list(range(89, 100))


def test_a_producer_that_comes_back_is_heard_at_once(ipc: Bench) -> None:
    """A new incarnation numbers its frames from 1 and knows nobody; with incremental credit this stood still."""
    out, port = ipc.out(), ipc.into(window=3)
    offer(out, range(20))
    collect(ipc, port, 20)
    ipc.drop(out)
    again = ipc.out(epoch=2)
    offer(again, range(30, 50))
    got = collect(ipc, port, 20)
    assert numbers(got) == list(range(30, 50)) and {one.epoch for one in got} == {2}
    ipc.pump(lambda: again.drained)


def test_credit_for_a_dead_producer_is_no_credit_for_its_successor(bench: Bench) -> None:
    out, port = bench.out(epoch=2), bench.into(window=1)
    bench.pump(lambda: port.welcome)
    port.socket.send(msgpack.packb({"t": "credit", "epoch": 1, "delivered": 70, "granted": 90}))
    port.socket.send(msgpack.packb({"t": "credit", "epoch": 2, "delivered": 0, "granted": 1}))
    offer(out, range(5))
    bench.pump(lambda: taken(port))
    assert out.subscriptions["a"].delivered_through <= 1


def test_a_producer_that_comes_back_over_inproc(tmp_path: Path) -> None:
    bench = Bench("inproc://again")
    out, port = bench.out(), bench.into(window=3)
    offer(out, range(5))
    collect(bench, port, 5)
    bench.drop(out)
    offer(bench.out(epoch=2), range(5, 9))
    port.reconnect()
    assert numbers(collect(bench, port, 4)) == [5, 6, 7, 8]
    bench.close()


def test_the_last_words_of_a_dead_producer_do_not_turn_back_the_count(bench: Bench) -> None:
    bench.out()
    port = bench.into()
    bench.pump(lambda: port.welcome)
    port.on_bytes(pack(frame(5, seq=6, epoch=3)))
    port.on_bytes(pack(frame(4, seq=90, epoch=2)))
    taken(port)
    assert (port.grant.epoch, port.grant.delivered_through) == (3, 6)


def cut(bench: Bench, port: InPort, out: OutPort, sent: int) -> None:
    """The connection goes down with what it held, as TCP does; the consumer's process lives on."""
    offer(out, range(sent, sent + 50))
    out.handle()
    port.socket.close(linger=0)
    port.reconnect()


@pytest.mark.parametrize("held", [0, 3])
def test_a_connection_that_takes_the_whole_window_with_it_does_not_stall_the_link(tmp_path: Path, held: int) -> None:
    """The same process greets again: what it never got is lost and counted, what it holds is not, and all flows."""
    bench = Bench(f"ipc://{tmp_path}/cut")
    out, port = bench.out({"a": ("drop_oldest", 20)}), bench.into(window=8)
    bench.pump(lambda: port.welcome)
    offer(out, range(held))
    bench.pump(lambda: len(port.queue) == held)
    cut(bench, port, out, held)
    got = collect(bench, port, held + 20)
    assert numbers(got) == [*range(held), *range(held + 30, held + 50)]
    bench.pump(lambda: out.drained or not out.subscriptions["a"].in_flight)
    counts = bench.counts
    lost = counts["out>a.dropped.lost"]
    assert lost == 8 - held, "the window, without what had arrived"
    assert counts["out>a.offered"] == counts["in>a.delivered"] + lost + counts["out>a.dropped.oldest"]
    bench.close()


def test_a_greeting_that_is_said_twice_loses_nothing(bench: Bench) -> None:
    """The second of two impatient greetings comes when frames are under way already."""
    out, port = bench.out(), bench.into(window=4)
    port.send_due(10**9)
    port.send_due(10**9 + IMPATIENT_NS)
    offer(out, range(10))
    assert numbers(collect(bench, port, 10)) == list(range(10))
    assert not bench.counts["out>a.dropped.lost"]


class Crowded:
    """A socket with more words under way than it takes, for a while."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def send(self, *words: object, **options: object) -> None:
        raise zmq.Again


@pytest.fixture
def tcp() -> Iterator[Bench]:
    """A port that the system has just given out, on this host."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
    made = Bench(f"tcp://127.0.0.1:{port}")
    yield made
    made.close()


def hold_up(bench: Bench, port: InPort) -> None:
    """For a quarter of a second no word goes out."""
    free, at_ns = port.socket, bench.now_ns
    port.socket = Crowded(free)  # type: ignore[assignment]
    for part in range(26):
        port.send_due(at_ns + 110_000_000 + part * 10_000_000)
    port.socket = free


def test_a_full_pipe_is_not_a_lost_connection(bench: Bench) -> None:
    """Catching up with a replay, or a producer that was held up: more words than the pipe takes. Nothing is lost."""
    out, port = bench.out(), bench.into(window=4)
    bench.pump(lambda: port.greeted)
    offer(out, range(3))
    hold_up(bench, port)
    assert port.greeted
    offer(out, range(3, 10))
    assert numbers(collect(bench, port, 10)) == list(range(10))
    assert not bench.counts["out>a.dropped.lost"]


def test_over_tcp_it_may_be_and_what_lies_in_the_socket_is_not_lost(tcp: Bench) -> None:
    out, port = tcp.out(), tcp.into(window=4)
    tcp.pump(lambda: port.greeted)
    offer(out, range(3))
    tcp.pump(lambda: len(port.queue) == 3)
    hold_up(tcp, port)
    assert not port.greeted, "for so long nobody is there"
    assert numbers(taken(port)) == [0, 1, 2]
    offer(out, range(3, 10))
    got: list[Frame] = []
    tcp.pump(lambda: got.extend(taken(port)) or 9 in numbers(got))
    assert balanced(tcp, out, port), "one that was sent before the new greeting was heard is lost for both"


def test_a_frame_that_crosses_a_new_greeting_is_lost_for_both(bench: Bench) -> None:
    """The producer counts it as lost when it hears the greeting, so the consumer may not count it as delivered."""
    out, port = bench.out(), bench.into(window=4)
    bench.pump(lambda: port.greeted)
    offer(out, range(1))
    collect(bench, port, 1)
    port.ungreet()
    offer(out, range(1, 3))  # before the producer hears of it
    bench.pump(lambda: port.greeted)
    offer(out, range(3, 6))
    assert numbers(collect(bench, port, 3)) == [3, 4, 5]
    assert bench.counts["out>a.dropped.lost"] == 2
    assert balanced(bench, out, port)


def balanced(bench: Bench, out: OutPort, port: InPort) -> bool:
    """Nothing under way, and every frame sent is either delivered or lost by name."""
    bench.pump(lambda: not out.subscriptions["a"].in_flight)
    counts = bench.counts
    return counts["out>a.sent"] == counts["in>a.received"] + counts["out>a.dropped.lost"]


def test_a_tap_may_ask_for_a_shorter_queue_not_for_a_longer_one(bench: Bench) -> None:
    out = bench.out()
    for name, queue in ((b"short", 7), (b"long", 10_000)):
        bench.stranger(name).send(hello(queue=queue, window=0))
    bench.pump(lambda: len(out.connected) == 2)
    offer(out, range(500))
    assert [len(out.subscriptions[name].queue) for name in ("short", "long")] == [7, TAP_FRAMES]


# -- strangers ---------------------------------------------------------------------------------------


def hello(**over: Any) -> bytes:
    word = {"t": "hello", "v": PROTOCOL, "token": TOKEN, "stream": 0, "instance": 1, "since": None, "window": 5}
    packed: bytes = msgpack.packb({**word, **over})
    return packed


def answer(bench: Bench, socket: zmq.Socket[bytes]) -> dict[str, Any]:
    bench.pump(lambda: socket.get(zmq.EVENTS) & zmq.POLLIN)
    word: dict[str, Any] = msgpack.unpackb(socket.recv())
    return word


def test_a_wrong_token_is_refused_and_gets_nothing(bench: Bench) -> None:
    out, port = bench.out(), bench.into(token="guess")
    offer(out, range(5))
    bench.pump(lambda: port.refused)
    assert port.refused == "wrong token" and not port.queue and not out.connected


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"v": 99}, "protocol version 99, expected 1"),
        ({"v": None}, "protocol version None, expected 1"),
        ({"token": ""}, "wrong token"),
        ({"token": None}, "hello.token: expected text, got None"),
        ({"token": 5}, "hello.token: expected text, got 5"),
        ({"instance": None}, "hello.instance: expected a whole number >= 0 and < 2^62, got None"),
        ({"token": TOKEN + "x"}, "wrong token"),
        ({"token": "é"}, "wrong token"),
    ],
)
def test_a_wrong_greeting_is_answered_with_the_reason(bench: Bench, over: dict[str, Any], why: str) -> None:
    out = bench.out()
    socket = bench.stranger(b"x")
    socket.send(hello(**over))
    assert answer(bench, socket) == {"t": "refused", "why": why}
    assert list(out.subscriptions) == ["a"]


@pytest.mark.parametrize(
    "over", [{"instance": None}, {"instance": -1}, {"window": "x"}, {"window": True}, {"window": 1 << 63}]
)
def test_a_malformed_greeting_leaves_no_trace(bench: Bench, over: dict[str, Any]) -> None:
    out = bench.out()
    bench.stranger(b"x").send(hello(**over))
    bench.pump(lambda: bench.counts["out>.bad_messages"] == 1)
    assert list(out.subscriptions) == ["a"] and not out.connected


def test_who_does_not_greet_is_asked_who_it_is(bench: Bench) -> None:
    bench.out()
    socket = bench.stranger(b"x")
    socket.send(msgpack.packb({"t": "credit", "epoch": 1, "delivered": 0, "granted": 9}))
    assert answer(bench, socket) == {"t": "who"}


words = st.binary(max_size=80) | st.sampled_from(
    [
        bytes(5000),
        msgpack.packb([1]),
        msgpack.packb({"t": 5}),
        msgpack.packb({}),
        msgpack.packb({"t": "bye"}),
        msgpack.packb({"t": "credit", "epoch": 1}),
        msgpack.packb({"t": "credit", "epoch": 1, "delivered": -1, "granted": 1 << 60}),
    ]
)
identities = st.none() | st.binary(min_size=1, max_size=20).filter(lambda name: name[0] != 0 and name != b"a")


@settings(max_examples=25)
@given(st.lists(words, max_size=8), identities)
def test_garbage_is_counted_and_disturbs_nobody(words: list[bytes], identity: bytes | None) -> None:
    bench = Bench("inproc://garbage")
    try:
        out, port = bench.out(), bench.into()
        socket = bench.stranger(identity)
        for word in words:
            socket.send(word)
        offer(out, range(20))
        assert numbers(collect(bench, port, 20)) == list(range(20))
        assert bench.counts["out>.bad_messages"] <= len(words)
    finally:
        bench.close()


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=100) | st.binary(max_size=100).map(lambda tail: b"APF1" + tail), max_size=8))
def test_a_consumer_counts_garbage_and_goes_on(messages: list[bytes]) -> None:
    bench = Bench("inproc://liar")
    try:
        liar = bench.context.socket(zmq.ROUTER)
        liar.bind(bench.endpoint)
        bench.strangers.append(liar)
        port = bench.into()
        port.send_due(10**9)
        welcome = msgpack.packb({"t": "welcome", "epoch": 1})
        for message in (*messages, pack(frame(2, seq=1, epoch=1)), welcome, *messages, pack(frame(3, seq=2, epoch=1))):
            liar.send_multipart([b"a", message])
        bench.pump(lambda: port.queue)
        assert numbers(taken(port)) == [3], "what came before the welcome was meant for a predecessor"
        assert bench.counts["in>a.bad"] <= 2 * len(messages)
    finally:
        bench.close()


def unreadable(number: int) -> Frame:
    """A frame that can be packed, with more channels than anybody reads."""
    return audio_frame(np.zeros((N, MAX_CHANNELS + 1), np.float32), number * N, RATE)


def test_windows_of_frames_that_nobody_can_read_do_not_stall_a_link(bench: Bench) -> None:
    out, port = bench.out({"a": ("lossless", 20)}), bench.into(window=4)
    bench.pump(lambda: port.greeted)
    for number in range(9):
        out.offer(unreadable(number))
    offer(out, range(9, 12))
    assert numbers(collect(bench, port, 3)) == [9, 10, 11]
    bench.pump(lambda: out.drained)
    assert bench.counts == {
        "out>a.offered": 12,
        "out>a.sent": 12,
        "in>a.received": 12,
        "in>a.delivered": 3,
        "in>a.bad": 9,
        "in>a.dropped.bad": 9,
    }


def test_a_frame_that_nobody_can_read_is_no_credit_for_what_waits_before_it(bench: Bench) -> None:
    out, port = bench.out(), bench.into(window=4)
    bench.pump(lambda: port.greeted)
    offer(out, range(2))
    out.offer(unreadable(2))
    bench.pump(lambda: bench.counts["in>a.bad"] == 1)
    through = [port.grant.delivered_through]
    while port.take() is not None:
        through.append(port.grant.delivered_through)
    assert through == [0, 1, 3], "it goes with the last one before it"


def test_an_unreadable_frame_of_another_epoch_is_no_credit_for_this_one(bench: Bench) -> None:
    bench.out()
    port = bench.into()
    bench.pump(lambda: port.greeted)
    port.on_bytes(pack(replace(unreadable(0), seq=7, epoch=2)))
    assert +bench.counts == {"in>a.bad": 1} and (port.grant.epoch, port.grant.delivered_through) == (1, 0)


# -- taps ------------------------------------------------------------------------------------------


def test_taps_are_served_beside_the_planned_consumers_and_forgotten_when_they_leave(bench: Bench) -> None:
    out, port, tap = bench.out(), bench.into(), bench.into("tap")
    bench.pump(lambda: port.welcome and tap.welcome)
    offer(out, range(4))
    assert numbers(collect(bench, tap, 4)) == numbers(collect(bench, port, 4)) == [0, 1, 2, 3]
    bench.ins.remove(tap)
    tap.socket.send(msgpack.packb({"t": "bye"}))
    bench.pump(lambda: list(out.subscriptions) == ["a"])
    bench.ins.append(tap)


def test_a_tap_cannot_open_a_window_without_end(bench: Bench) -> None:
    out = bench.out()
    bench.stranger(b"greedy").send(hello(window=1 << 60))
    bench.pump(lambda: "greedy" in out.connected)
    offer(out, range(1000))
    greedy = out.subscriptions["greedy"]
    assert len(greedy.in_flight) == len(greedy.queue) == TAP_FRAMES


def test_the_ledger_of_taps_balances_at_the_producer(bench: Bench) -> None:
    """They have no board: what they took, what waits and what they left behind is counted here."""
    out, slow, quick = bench.out({}), bench.into("slow", window=2), bench.into("quick", window=50)
    bench.pump(lambda: slow.welcome and quick.welcome)
    for number in range(TAP_FRAMES + 30):
        offer(out, range(number, number + 1))
    collect(bench, quick, 30)
    bench.pump(lambda: bench.counts["out>taps.delivered"] >= 30, but=slow)

    def balance() -> None:
        queued, in_flight = out.backlog()["taps"]
        lost = sum(count for name, count in bench.counts.items() if name.startswith("out>taps.dropped."))
        assert bench.counts["out>taps.offered"] == bench.counts["out>taps.delivered"] + lost + queued + in_flight

    balance()
    assert bench.counts["out>taps.dropped.oldest"] > 0
    bench.ins.remove(slow)
    slow.close()
    bench.pump(lambda: "slow" not in out.subscriptions)
    balance()
    assert bench.counts["out>taps.dropped.left"] >= TAP_FRAMES


def test_taps_are_limited_and_one_that_broke_off_makes_room(bench: Bench) -> None:
    out = bench.out()
    taps = [bench.stranger(b"tap%d" % number) for number in range(MAX_TAPS)]
    for socket in taps:
        socket.send(hello())
    bench.pump(lambda: len(out.connected) == MAX_TAPS)
    late = bench.stranger(b"late")
    late.send(hello())
    assert answer(bench, late) == {"t": "refused", "why": "more than 64 taps"}
    port = bench.into()
    bench.pump(lambda: port.welcome)
    taps[7].close(linger=0)

    def admitted() -> bool:
        late.send(hello())
        return answer(bench, late)["t"] == "welcome"

    bench.pump(admitted)
    assert "tap7" not in out.subscriptions
