"""What a player emits: every frame that is owed, and nothing that begins, ends or is left out with a click."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_pipeline.frame import Flag, Frame, audio_frame, gap_frame
from audio_pipeline.gateway.player import CATCH_UP_NS, RemotePlayer

RATE, N, NS = 48_000, 480, 1_000_000_000
FRAME_NS = N * NS // RATE
HZ, LEVEL = 440.0, 0.5
STEEPEST = 2 * np.pi * HZ / RATE * LEVEL
CLICK = 1.08  # a fade of 5 ms adds 7 % to the steepest slope of this sine
BEGIN_NS = 100 * NS


@dataclass
class Node:
    """The context of a node whose clock counts from `BEGIN_NS` on; holds what was emitted, by position."""

    now: int = BEGIN_NS
    rate: int = RATE
    frame_samples: int = N
    emitted: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    flags: dict[int, Flag] = field(default_factory=dict)
    idle: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    cost_ns: int = 0  # how long it takes to emit a frame

    def now_ns(self) -> int:
        return self.now

    def position_at(self, host_ns: int) -> float:
        return (host_ns - BEGIN_NS) * RATE / NS

    def host_ns_at(self, position: float) -> int:
        return BEGIN_NS + round(position * NS / RATE)

    def emit(self, port: str, sound: NDArray[np.float32], position: int, *, flags: Flag, captured_ns: int) -> None:
        assert position not in self.emitted
        self.emitted[position], self.flags[position] = sound[:, 0].copy(), flags
        self.now += self.cost_ns

    def emit_idle(self, port: str, position: int) -> None:
        self.idle.append(position)

    def gauge(self, name: str, value: float) -> None:
        """Not looked at."""

    def count(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    @property
    def line(self) -> NDArray[np.float32]:
        """What a recorder would write: each frame at its position, silence where there is none."""
        line = np.zeros(max(self.emitted) + N, np.float32)
        for position, sound in self.emitted.items():
            line[position : position + N] = sound
        return line


class Stream:
    """A player, the node around it, and another host that sends it a sine."""

    def __init__(self) -> None:
        self.node = Node()
        self.player = RemotePlayer(self.node, 1, 0.0, 250.0)  # type: ignore[arg-type]
        self.sent = 0
        self.epoch = 1
        self.waiting: list[tuple[Frame, int]] = []

    def send(self) -> None:
        at = np.arange(self.sent, self.sent + N)
        sine = (LEVEL * np.sin(2 * np.pi * HZ * at / RATE)).astype(np.float32)[:, None]
        self.waiting.append((audio_frame(sine, self.sent, RATE, epoch=self.epoch), self.node.now))
        self.sent += N

    def run(self, seconds: float, *, sending: bool = True) -> None:
        """A frame comes and the node has its turn, every 10 ms."""
        for _ in range(round(seconds * 100)):
            self.node.now += FRAME_NS
            if sending:
                self.send()
            self.turn()

    def hold_up(self, seconds: float) -> None:
        """Frames go on to come, the node has no turn; then it has one."""
        for _ in range(round(seconds * 100)):
            self.node.now += FRAME_NS
            self.send()
        self.turn()

    def turn(self) -> None:
        self.player.poll(self.node, self)  # type: ignore[arg-type]

    def take(self) -> tuple[Frame, int] | None:
        """As a `FrameSource`."""
        return self.waiting.pop(0) if self.waiting else None

    @property
    def step(self) -> float:
        return float(np.abs(np.diff(self.node.line)).max() / STEEPEST)

    def quiet_ms(self) -> int:
        """How much is silent after the first sound."""
        blocks = np.abs(self.node.line[: len(self.node.line) // 48 * 48].reshape(-1, 48)).max(axis=1) > LEVEL / 100
        return int((~blocks[np.argmax(blocks) :]).sum())


@pytest.mark.parametrize("held_ms", [60, 120, 450])
def test_a_player_that_was_held_up_emits_what_it_owes(held_ms: int) -> None:
    stream = Stream()
    stream.run(3)
    skipped = stream.node.counts["skipped_samples"]
    stream.hold_up(held_ms / 1000)
    stream.run(1)
    assert stream.quiet_ms() == 0 and stream.step < CLICK
    assert stream.node.counts["skipped_samples"] == skipped and not any(list(stream.node.flags.values())[100:])


def test_beyond_half_a_second_it_leaves_that_out_between_two_fades() -> None:
    stream = Stream()
    stream.run(3)
    skipped = stream.node.counts["skipped_samples"]
    stream.hold_up(2)
    stream.run(2)
    left_out = stream.node.counts["skipped_samples"] - skipped
    assert 1.9 * RATE < left_out <= 2 * RATE and CATCH_UP_NS == NS // 2
    assert stream.step < CLICK
    assert stream.quiet_ms() == pytest.approx(left_out / RATE * 1000, abs=20)


def test_what_comes_while_it_catches_up_is_taken_in() -> None:
    """Each frame takes 9 ms to emit: what has come meanwhile is heard, not concealed."""
    stream = Stream()
    stream.run(3)
    stream.node.cost_ns = 9_000_000
    plain = stream.take

    def take() -> tuple[Frame, int] | None:
        while stream.sent * NS // RATE <= stream.node.now - BEGIN_NS:
            stream.send()
        return plain()

    stream.take = take  # type: ignore[method-assign]
    stream.node.now += 60_000_000
    stream.turn()
    assert stream.node.counts.get("underruns", 0) == 0 and stream.quiet_ms() == 0 and stream.step < CLICK


def test_a_sender_that_pauses_is_heard_to_its_end_and_then_idle() -> None:
    stream = Stream()
    stream.run(3)
    stream.waiting.append((gap_frame(0, stream.sent, RATE, 1, epoch=1), stream.node.now))
    stream.run(1, sending=False)
    assert stream.node.counts.get("underruns", 0) == 0 and stream.node.idle and stream.step < CLICK
    sounding = np.flatnonzero(np.abs(stream.node.line) > LEVEL / 100)
    assert (sounding[-1] - sounding[0]) / RATE == pytest.approx(stream.sent / RATE, abs=0.075), "less one skipped delay"
    stream.run(1)
    assert stream.step < CLICK and stream.quiet_ms() > 900


def test_a_stream_that_begins_anew_fades_into_the_next_one() -> None:
    stream = Stream()
    stream.run(3)
    stream.epoch, stream.sent = 2, 1_234_567
    stream.run(2)
    assert stream.step < CLICK and stream.quiet_ms() < 80


def test_a_sender_that_is_gone_is_heard_to_its_end() -> None:
    stream = Stream()
    stream.run(3)
    stream.player.rest()
    stream.run(1, sending=False)
    assert stream.step < CLICK and stream.node.idle and stream.node.counts.get("underruns", 0) == 0


def test_nothing_is_sent_once_nothing_has_come_for_a_second() -> None:
    """So that the loss is seen where the sound is used."""
    stream = Stream()
    stream.run(3)
    stream.run(2, sending=False)
    assert max(stream.node.emitted) / RATE == pytest.approx(4.0, abs=0.05) and not stream.node.idle
    assert stream.step < CLICK and stream.node.counts["underruns"] == 1
