import threading
from collections.abc import Callable

import numpy as np
import pytest

from audio_pipeline.devices import microphone
from audio_pipeline.errors import DeviceError
from audio_pipeline.frame import Flag, Samples
from audio_pipeline.nodes.capture import NODE, Capture, Settings
from tests.nodes.fake import FakeContext, noise, sine

RATE, BLOCK = 48_000, 480
ADC_NS = 3_000_000  # between the converter and the callback


class Card:
    """A sound card that hears what the test says."""

    latency_samples = 144
    rate = RATE
    opened: list["Card"] = []

    def __init__(
        self, device: str, rate: int, channels: int, block: int, push: Callable[[Samples, int], None], **_: object
    ) -> None:
        self.push, self.channels, self.active, self.xruns = push, channels, False, 0
        Card.opened.append(self)

    def start(self) -> None:
        self.active = True
        self.push(np.zeros((BLOCK, self.channels), np.float32), 0)

    def close(self) -> None:
        self.active = False


@pytest.fixture(autouse=True)
def card(monkeypatch: pytest.MonkeyPatch) -> type[Card]:
    monkeypatch.setattr(microphone, "InputDevice", Card)
    monkeypatch.setattr(microphone, "rescan", lambda: None)
    monkeypatch.setattr(Card, "opened", [])
    return Card


def opened(ctx: FakeContext) -> tuple[Capture, Card]:
    node = NODE(Settings())
    node.open(ctx)
    ctx.wakes = 0
    return node, Card.opened[-1]


def feed(node: Capture, card: Card, ctx: FakeContext, x: Samples, jitter_ns: int = 0) -> None:
    """Blocks of 10 ms, each polled as it comes."""
    size = card.rate // 100
    rng = np.random.default_rng(1)
    for start in range(0, len(x), size):
        ctx.advance(0.01)
        card.push(x[start : start + size], ctx.now - 10_000_000 - ADC_NS + int(rng.integers(0, jitter_ns + 1)))
        node.poll(ctx)


def test_every_sample_comes_in_order_with_its_time() -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    node, card = opened(ctx)
    feed(node, card, ctx, x)
    assert np.array_equal(ctx.emitted(), x)
    assert ctx.wakes == 100
    for frame in ctx.sent["out"]:
        end_ns = ctx.start_ns - ADC_NS + round((frame.end - ctx.sent["out"][0].position) * 1e9 / RATE)
        assert frame.captured_ns == pytest.approx(end_ns, abs=2)


def test_positions_are_those_of_the_graphs_clock_and_free_of_jitter() -> None:
    ctx = FakeContext(RATE)
    ctx.advance(10.0)
    node, card = opened(ctx)
    feed(node, card, ctx, noise(5 * RATE), jitter_ns=4_000_000)
    assert ctx.sent["out"][0].position == pytest.approx(10 * RATE, abs=RATE // 100)
    assert len(ctx.emitted()) == 5 * RATE  # asserts that the positions join
    late = [frame for frame in ctx.sent["out"][300:]]
    errors = [frame.captured_ns - ctx.host_ns_at(frame.end) for frame in late]
    assert np.std(errors) < 0.4e6  # 4 ms of jitter went in


def test_what_came_before_the_graph_ran_is_left_out() -> None:
    ctx, x = FakeContext(RATE), noise(10 * BLOCK)
    node, card = opened(ctx)
    for start in range(0, len(x), BLOCK):
        ctx.advance(0.01)
        card.push(x[start : start + BLOCK], ctx.now)
    node.poll(ctx)
    assert np.array_equal(ctx.emitted(), x[-BLOCK:])


def test_a_loss_in_the_card_is_concealed_in_the_right_length() -> None:
    """The last samples fade out, the next fade in, within 5 ms; what lies between is marked and counted."""
    ctx, x = FakeContext(RATE), np.full((RATE, 2), 0.5, np.float32)
    ctx.advance(1.0)
    node, card = opened(ctx)
    feed(node, card, ctx, x)
    ctx.advance(0.25)
    card.xruns += 1
    feed(node, card, ctx, x)
    y = ctx.emitted()[:, 0]  # asserts that the positions join
    assert len(y) == pytest.approx(2.25 * RATE, abs=48)
    assert np.abs(np.diff(y)).max() < 0.5 / 200, "no click"
    assert (y == 0).sum() == pytest.approx(0.25 * RATE - 240, abs=48)
    concealed = sum(frame.samples for frame in ctx.sent["out"] if frame.flags & Flag.CONCEALED)
    assert concealed == ctx.counters["concealed_samples"] == pytest.approx(RATE // 4, abs=48)
    assert ctx.counters["xruns"] == 1


def test_a_long_loss_is_a_jump_of_the_right_length() -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    ctx.advance(1.0)
    node, card = opened(ctx)
    feed(node, card, ctx, x)
    ctx.advance(2.25)
    card.xruns += 1
    feed(node, card, ctx, x)
    frames = ctx.sent["out"]
    holes = [right.position - left.end for left, right in zip(frames, frames[1:], strict=False)]
    assert max(holes) == pytest.approx(2.25 * RATE, abs=48)
    assert sum(hole != 0 for hole in holes) == 1
    assert ctx.counters["xruns"] == 1


def test_a_card_of_another_rate_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Card, "rate", 44_100)
    ctx = FakeContext(RATE)
    node, card = opened(ctx)
    feed(node, card, ctx, sine(2 * 44_100, 44_100, hz=441))
    y = ctx.emitted()
    assert len(y) == pytest.approx(2 * RATE, abs=node.latency().compute)
    assert y[4_800:RATE] == pytest.approx(sine(RATE, RATE, hz=441)[4_800:], abs=1e-3)
    first = ctx.sent["out"][0].position
    for frame in ctx.sent["out"]:
        true_ns = ctx.start_ns - ADC_NS + (frame.end - first) * 1e9 / RATE
        assert frame.captured_ns == pytest.approx(true_ns, abs=1e5)


def test_it_can_be_the_clock() -> None:
    ctx = FakeContext(RATE)
    node, card = opened(ctx)
    feed(node, card, ctx, noise(2 * RATE))
    assert len(ctx.clocks) == pytest.approx(20, abs=1)
    for position, host_ns, rate, _ in ctx.clocks:
        assert position == pytest.approx(ctx.position_at(host_ns), abs=1)
        assert rate == pytest.approx(RATE, rel=1e-6)


def live(node: Capture, ctx: FakeContext, seconds: float) -> None:
    """As the engine does: poll at each deadline."""
    end = ctx.now + round(seconds * 1e9)
    while (deadline := node.deadline_ns()) is not None and deadline <= end:
        ctx.now = max(ctx.now, deadline)
        node.poll(ctx)
    ctx.now = end


def test_a_card_that_is_pulled_out_is_silence_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), np.full((RATE, 2), 0.5, np.float32)
    ctx.advance(3.0)
    node, card = opened(ctx)
    feed(node, card, ctx, x)
    card.active = False
    live(node, ctx, 0.9)
    assert ctx.gauges["device_gone"] == 1.0 and ctx.counters["device_losses"] == 1
    assert ctx.logs == ["device gone: sound input 'default' has stopped; silent until it is back"]
    for _ in range(1_000):
        if ctx.gauges["device_gone"] == 0.0:
            break
        live(node, ctx, 0.1)
        for thread in threading.enumerate():
            if thread.name == "reopen":
                thread.join()
    assert ctx.logs[1] == "sound input 'default' is back"
    feed(node, Card.opened[-1], ctx, x)
    y = ctx.emitted()[:, 0]  # asserts that the positions join
    now = ctx.position_at(ctx.now) - ctx.sent["out"][0].position
    assert len(y) == pytest.approx(now, abs=3 * BLOCK), "silence takes as long as the card was away"
    assert np.abs(np.diff(y)).max() < 0.5 / 200 and np.all(y[-RATE // 2 :] == 0.5)
    joined = [frame for frame in ctx.sent["out"] if frame.flags & Flag.CONCEALED]
    assert joined, "what lies between the silence and the first block of the card"
    for frame in joined:
        assert frame.captured_ns == pytest.approx(ctx.host_ns_at(frame.end), abs=20_000_000)
    node.close()


def test_a_card_that_is_not_there_is_an_error_at_first_and_waited_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise DeviceError("this host has no sound input")

    monkeypatch.setattr(microphone, "InputDevice", none)
    with pytest.raises(DeviceError, match="no sound input"):
        NODE(Settings()).open(FakeContext(RATE))
    ctx = FakeContext(RATE, incarnation=1)
    node = NODE(Settings())
    node.open(ctx)
    live(node, ctx, 0.5)
    assert len(ctx.emitted()) > RATE // 3 and not ctx.emitted().any()
    assert ctx.gauges["device_gone"] == 1.0
    node.close()


@pytest.mark.parametrize("lie_ns", [700_000_000, -10_000_000])
def test_times_that_cannot_be_are_replaced_by_the_stated_latency(lie_ns: int) -> None:
    """PulseAudio says 700 ms ago at first, and later that samples were heard that are still to come."""
    ctx = FakeContext(RATE)
    ctx.advance(5.0)
    node, card = opened(ctx)
    for _ in range(100):
        ctx.advance(0.01)
        card.push(noise(BLOCK), ctx.now - lie_ns)
        node.poll(ctx)
        age_ns = ctx.now - ctx.sent["out"][-1].captured_ns
        assert -1_000 <= age_ns <= card.latency_samples * 1e9 / RATE + 1_000
