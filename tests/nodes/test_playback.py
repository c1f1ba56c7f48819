import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audio_pipeline.devices import speaker
from audio_pipeline.errors import DeviceError
from audio_pipeline.frame import Samples, audio_frame, gap_frame
from audio_pipeline.nodes.playback import NODE, Playback, Settings
from tests.nodes.fake import FakeContext, noise, sine

RATE, FRAME = 48_000, 480
BUFFER = 1_440
FADE = 480


def null(ctx: FakeContext, **settings: Any) -> Playback:
    node = NODE(Settings(device="null", **settings))
    node.open(ctx)
    return node


def let_time_pass(node: Playback, ctx: FakeContext, samples: int) -> None:
    """As the engine does: poll at each deadline."""
    end = ctx.now + round(samples * 1e9 / RATE)
    while (deadline := node.deadline_ns()) is not None and deadline <= end:
        ctx.now = max(ctx.now, deadline)
        node.poll(ctx)
    ctx.now = end


def play(node: Playback, ctx: FakeContext, x: Samples, position: int = 0) -> None:
    """Frames that arrive just in time, 10 ms apart."""
    for start in range(0, len(x), FRAME):
        frame = audio_frame(x[start : start + FRAME], position + start, RATE)
        node.process({"in": frame}, ctx)
        let_time_pass(node, ctx, FRAME)


def test_every_sample_is_played_in_order() -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    ctx.advance(0.1)  # position 4,800 is due now
    node = null(ctx)
    play(node, ctx, x, position=4_800)
    node.flush(ctx)
    let_time_pass(node, ctx, 2 * BUFFER)
    frames = ctx.sent["reference"]
    assert frames[0].position == 4_800 - BUFFER
    at_loudspeaker = ctx.emitted("reference")
    assert not at_loudspeaker[:BUFFER].any()
    assert np.array_equal(at_loudspeaker[BUFFER : BUFFER + RATE], x)
    assert ctx.counters["gaps"] == ctx.counters["xruns"] == 0


def test_the_first_frame_waits_for_the_stated_latency_of_its_path() -> None:
    ctx, x = FakeContext(RATE), noise(RATE)
    ctx.due_after_ns = 200_000_000  # the path says 200 ms, this frame was quicker
    node = null(ctx)
    play(node, ctx, x[:FRAME])
    let_time_pass(node, ctx, RATE // 10)
    assert node._speaker.playout.head == pytest.approx(RATE // 10 + FRAME - BUFFER - RATE // 5, abs=FRAME)


def test_heard_position_tells_content_and_time() -> None:
    ctx = FakeContext(RATE)
    node = null(ctx)
    play(node, ctx, noise(RATE), position=96_000)
    position, at_ns = ctx.gauges["heard_position"], ctx.gauges["heard_at_ns"]
    frame = ctx.sent["reference"][0]  # its last sample was heard at captured_ns
    assert position == pytest.approx(frame.end + (at_ns - frame.captured_ns) * RATE / 1e9, abs=1)


def test_the_clock_is_published_ten_times_a_second_and_goes_on_after_a_restart() -> None:
    ctx = FakeContext(RATE)
    ctx.now += 5_000_000_000  # the graph has been running for 5 s
    node = null(ctx)
    play(node, ctx, noise(2 * RATE))
    assert len(ctx.clocks) == pytest.approx(20, abs=1)
    for position, host_ns, rate, _ in ctx.clocks:
        assert position == pytest.approx(ctx.position_at(host_ns), abs=1)
        assert rate == pytest.approx(RATE, rel=1e-6)


def test_missing_frames_are_counted() -> None:
    ctx, x = FakeContext(RATE), noise(2 * RATE)
    node = null(ctx)
    play(node, ctx, x[:RATE])
    let_time_pass(node, ctx, RATE // 10)
    play(node, ctx, x[RATE + RATE // 10 :], RATE + RATE // 10)
    assert ctx.counters["gaps"] == 1
    assert ctx.counters["concealed_samples"] == pytest.approx(RATE // 10, abs=FRAME)
    assert ctx.gauges["longest_gap_samples"] == ctx.counters["concealed_samples"]


def test_gap_frames_are_silence_and_idle_ones_nothing() -> None:
    ctx = FakeContext(RATE)
    node = null(ctx)
    play(node, ctx, noise(RATE // 2))
    for position in range(RATE // 2, RATE, FRAME):
        node.process({"in": gap_frame(FRAME, position, RATE, 2)}, ctx)
        node.process({"in": gap_frame(0, position, RATE, 2)}, ctx)
        let_time_pass(node, ctx, FRAME)
    assert ctx.counters["gaps"] == 0


def test_a_cancel_is_silent_within_10_ms() -> None:
    ctx = FakeContext(RATE)
    node = null(ctx, buffer_ms=200.0)
    play(node, ctx, np.ones((RATE, 2), np.float32) * np.float32(0.5))
    before = len(ctx.emitted("reference"))
    node.reset(-1, "cancel", ctx)
    let_time_pass(node, ctx, RATE // 10)
    after = ctx.emitted("reference")[before:]
    assert after[:FADE].any()
    assert not after[FADE:].any()
    assert ctx.counters["gaps"] == 0


def test_over_full_scale_is_clipped_and_counted_here_only() -> None:
    ctx, x = FakeContext(RATE), sine(RATE, RATE, level=2.0)
    node = null(ctx)
    play(node, ctx, x)
    assert np.abs(ctx.emitted("reference")).max() == 1.0
    assert ctx.counters["overs"] > RATE


def test_offline_nothing_waits_for_a_device() -> None:
    ctx = FakeContext(RATE, live=False)
    node = NODE(Settings())
    node.open(ctx)
    node.process({"in": audio_frame(noise(60 * RATE), 0, RATE)}, ctx)
    assert node.deadline_ns() is None
    node.flush(ctx)
    node.close()


class Card:
    """A sound card that pulls when the test says so, at its own rate."""

    rate, latency_samples, xruns, clipped = 44_100, 882, 0, 0
    opened: list["Card"] = []
    fails: str | None = None

    def __init__(
        self, device: str, rate: int, channels: int, block: int, pull: Callable[..., Samples], **_: object
    ) -> None:
        if Card.fails:
            raise DeviceError(Card.fails)
        self.pull, self.active = pull, True
        Card.opened.append(self)

    def start(self) -> None:
        """Fills a buffer of its own at once."""
        for _ in range(20):
            self.pull(441, 0)

    def close(self) -> None:
        self.active = False


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> type[Card]:
    monkeypatch.setattr(speaker, "OutputDevice", Card)
    monkeypatch.setattr(speaker, "rescan", lambda: None)
    monkeypatch.setattr(Card, "opened", [])
    monkeypatch.setattr(Card, "fails", None)
    return Card


def test_auto_falls_back_to_silence_and_says_so(card: type[Card], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "fails", "this host has no sound output")
    ctx = FakeContext(RATE)
    node = NODE(Settings())
    node.open(ctx)
    assert "no sound is played (this host has no sound output)" in ctx.logs[0]
    assert ctx.gauges["silent"] == 1.0
    play(node, ctx, noise(RATE))
    assert ctx.counters["stream_opens"] == 1
    assert len(ctx.emitted("reference")) > RATE // 2
    with pytest.raises(DeviceError, match="no sound output"):
        NODE(Settings(device="default")).open(ctx)


def test_a_card_of_another_rate_gets_the_sound_in_its_own(card: type[Card]) -> None:
    ctx, x = FakeContext(RATE), sine(RATE, RATE, hz=441)
    node = NODE(Settings())
    node.open(ctx)
    device = card.opened[0]
    assert node.latency().compute >= 882 * RATE // 44_100
    node.process({"in": audio_frame(x, 0, RATE)}, ctx)
    for _ in range(80):
        y = device.pull(441, ctx.now)
        at_loudspeaker = node._speaker.playback_time
        assert at_loudspeaker is not None
        position = at_loudspeaker.position  # of the first sample of y
        seconds = (position / RATE + np.arange(441) / 44_100)[:, None]
        if seconds[0] > 0.01:
            assert y == pytest.approx(0.5 * np.sin(2 * np.pi * 441 * seconds).repeat(2, 1), abs=1e-3)
        node.poll(ctx)
        ctx.now += 10_000_000
    assert position == pytest.approx(RATE * 0.8 - BUFFER, abs=RATE // 50)
    assert ctx.clocks[-1][2] == pytest.approx(RATE, rel=1e-6)  # the graph's rate, not the card's
    assert ctx.gauges["heard_position"] <= position


def back_again(node: Playback, ctx: FakeContext) -> None:
    """Time passes until the card was opened again."""
    for _ in range(1_000):
        if ctx.gauges["device_gone"] == 0.0:
            return
        let_time_pass(node, ctx, RATE // 10)
        for thread in threading.enumerate():
            if thread.name == "reopen":
                thread.join()
    raise AssertionError(ctx.logs)


@pytest.mark.parametrize("name", ["auto", "USB"])
def test_a_card_that_is_pulled_out_is_waited_for_while_the_clock_goes_on(card: type[Card], name: str) -> None:
    ctx, x = FakeContext(RATE), np.full((4 * RATE, 2), 0.5, np.float32)
    node = NODE(Settings(device=name, buffer_ms=100.0))
    node.open(ctx)
    node.process({"in": audio_frame(x[:RATE], 0, RATE)}, ctx)
    for _ in range(50):
        card.opened[0].pull(441, ctx.now)
        ctx.advance(0.01)
        node.poll(ctx)
    card.opened[0].active = False
    let_time_pass(node, ctx, RATE // 5)
    assert ctx.logs == [f"device gone: sound output '{name}' has stopped; silent until it is back"]
    assert (ctx.gauges["device_gone"], ctx.gauges["silent"], ctx.counters["device_losses"]) == (1.0, 1.0, 1)
    sent = len(ctx.sent["reference"])
    let_time_pass(node, ctx, RATE // 5)
    assert len(ctx.sent["reference"]) - sent == pytest.approx(20, abs=2), "what is played is still told"
    back_again(node, ctx)
    assert ctx.logs[1] == f"sound output '{name}' is back" and len(card.opened) == 2
    node.process({"in": audio_frame(x, node._speaker.playout.head or 0, RATE)}, ctx)
    y = np.concatenate([card.opened[1].pull(441, ctx.now)[:, 0] for _ in range(20)])
    assert np.abs(np.diff(y)).max() < 0.01 and y[-1] == pytest.approx(0.5, abs=1e-3)
    for position, host_ns, _, _ in ctx.clocks:
        assert position == pytest.approx(ctx.position_at(host_ns), abs=20)
    node.close()


def test_after_a_restart_a_card_that_is_away_is_waited_for(card: type[Card], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "fails", "this host has no sound output")
    ctx = FakeContext(RATE, incarnation=1)
    node = NODE(Settings(device="USB"))
    node.open(ctx)
    assert ctx.gauges["device_gone"] == 1.0
    let_time_pass(node, ctx, 2 * RATE)
    monkeypatch.setattr(card, "fails", None)
    back_again(node, ctx)
    node.close()


def test_the_clock_goes_straight_on_when_the_device_stood_still(card: type[Card]) -> None:
    ctx = FakeContext(RATE)
    node = NODE(Settings())
    node.open(ctx)
    for pause_s in (0.0, 3.0, 0.0):
        ctx.advance(pause_s)
        for _ in range(50):
            card.opened[0].pull(441, ctx.now)
            node.poll(ctx)
            ctx.advance(0.01)
    assert [clock[3] for clock in ctx.clocks].count(True) == 2  # the first, and the one after the pause
    for position, host_ns, _, _ in ctx.clocks:
        assert position == pytest.approx(ctx.position_at(host_ns), abs=1)


def test_all_cards_of_one_kind_share_a_clock_domain() -> None:
    assert NODE.clock_domain(Settings(device="auto")) == NODE.clock_domain(Settings(device="default"))
    assert NODE.clock_domain(Settings(device="null")) is None
