"""The jitter buffer over recorded arrivals: what a feed's first seconds cost, and that nothing of it is a click.

Each file in `arrivals` is a real feed on a machine with two busy cores, one frame a line: microseconds since the first
frame came, position of its first sample, samples. `loopback`: a file to a `remote_mic`. `lead`: the same behind a node
with 0.65 s of latency, so that it begins with a burst. `failing_network`: a `remote_in` through a relay with
20 ms +- 10 ms, a stall of a second, a cut of two and a connection that hangs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_pipeline.dsp.jitter_buffer import JitterBuffer

LOGS = Path(__file__).with_name("arrivals")
RATE, N = 48_000, 480
HZ, LEVEL = 440.0, 0.5
STEEPEST = 2 * np.pi * HZ / RATE * LEVEL  # the most by which two neighbours of the sine differ
CLICK = 1.08  # a fade of 5 ms adds 7 % to the steepest slope of this sine; a cut would be 30 times as steep
FLOOR_MS = 1000 * (N + 32) / RATE + 3  # a frame, what the interpolation looks ahead, and what is spare
SETTLED_S = 3.0
START_NS = 5_000_000_000
Arrival = tuple[float, int, int]  # s, position, samples


def recorded(name: str) -> list[Arrival]:
    rows = (line.split() for line in (LOGS / f"{name}.txt").read_text().splitlines())
    return [(int(us) / 1e6, int(position), int(samples)) for us, position, samples in rows]


@dataclass
class Played:
    """What came out, and how the buffer was at each block."""

    buffer: JitterBuffer
    sound: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    time_s: list[float] = field(default_factory=list)
    target_ms: list[float] = field(default_factory=list)
    delay_ms: list[float] = field(default_factory=list)
    ppm: list[float] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)

    def since(self, values: Sequence[float], seconds: float) -> NDArray[np.float64]:
        return np.array(values)[np.array(self.time_s) >= seconds]

    @property
    def step(self) -> float:
        """The largest step between neighbours, as a multiple of the sine's own."""
        return float(np.abs(np.diff(self.sound)).max() / STEEPEST)


def tone(position: int, samples: int) -> NDArray[np.float32]:
    at = np.arange(position, position + samples)
    return (LEVEL * np.sin(2 * np.pi * HZ * at / RATE))[:, None].astype(np.float32)


def play(arrivals: Sequence[Arrival], block: int = N) -> Played:
    """The arrivals, read at each tick of this host's clock."""
    played = Played(JitterBuffer(1, RATE, N, least_ms=0, most_ms=250))
    buffer, blocks, coming = played.buffer, [], list(reversed(arrivals))
    for tick in range(int(arrivals[-1][0] * RATE / block)):
        now_s = (tick + 1) * block / RATE
        while coming and coming[-1][0] <= now_s:
            came_s, position, samples = coming.pop()
            buffer.push(position, tone(position, samples), START_NS + round(came_s * 1e9))
        blocks.append(buffer.pull(block, START_NS + round(now_s * 1e9))[0][:, 0])
        played.time_s.append(now_s)
        played.target_ms.append(buffer.target.target_s * 1e3)
        played.delay_ms.append(buffer.delay_s * 1e3)
        played.ppm.append(buffer.ppm)
        played.skipped.append(buffer.skipped_samples)
    played.sound = np.concatenate(blocks)
    return played


def lateness_ms(arrivals: Sequence[Arrival], since_s: float) -> float:
    """By how much the latest frame from then on came later than the quickest of all."""
    delays = [(came_s, came_s - (position + samples) / RATE) for came_s, position, samples in arrivals]
    return 1000 * (max(d for came_s, d in delays if came_s >= since_s) - min(d for _, d in delays))


@pytest.mark.parametrize("name", ["loopback", "lead", "failing_network"])
def test_no_start_skip_or_return_of_a_recorded_feed_is_a_click(name: str) -> None:
    assert play(recorded(name)).step < CLICK


@pytest.mark.parametrize("name", ["loopback", "lead", "failing_network"])
def test_a_step_of_the_network_is_not_taken_for_a_drift_of_the_clock(name: str) -> None:
    """Both ends of each recording had one clock: their speeds do not differ."""
    assert np.abs(play(recorded(name)).ppm).max() < 100


@pytest.mark.parametrize("name", ["loopback", "lead"])
def test_a_recorded_feed_has_no_more_delay_after_three_seconds_than_its_lateness_needs(name: str) -> None:
    arrivals = recorded(name)
    played = play(arrivals)
    needed_ms = lateness_ms([a for a in arrivals if a[0] > 0.5], 0.5) + FLOOR_MS
    assert max(played.since(played.target_ms, SETTLED_S)) < needed_ms + 15, "what an underrun shows is known to a block"
    assert max(played.since(played.delay_ms, 0.5)) < needed_ms + 15


# -- made arrivals -------------------------------------------------------------------------------------


def steady(seconds: float, jitter_ms: float, *, start_s: float = 0.0, first: int = 0, seed: int = 1) -> list[Arrival]:
    """Frames in order, each up to `jitter_ms` later than the way takes."""
    rng, last, frames = np.random.default_rng(seed), 0.0, []
    for i in range(int(seconds * RATE / N)):
        last = max(last, start_s + i * N / RATE + float(rng.uniform(0, jitter_ms / 1000)))
        frames.append((last, (first + i) * N, N))
    return frames


def bursts(pieces: Sequence[tuple[float, int]]) -> Iterator[Arrival]:
    """(s, frames) at once, one behind the other."""
    first = 0
    for at_s, frames in pieces:
        yield from ((at_s, (first + i) * N, N) for i in range(frames))
        first += frames


BURSTS = {
    "one": [(0.0, 50)],
    "in pieces": [(0.0, 5), (0.04, 20), (0.06, 3), (0.13, 40)],
    "short": [(0.0, 3)],
    "faster than made": [(0.008 * i, 1) for i in range(60)],
    "slightly faster than made": [(0.0099 * i, 1) for i in range(90)],
}


@pytest.mark.parametrize("jitter_ms", [1.0, 5.0])
@pytest.mark.parametrize("pieces", BURSTS.values(), ids=BURSTS.keys())
def test_a_burst_at_the_start_is_no_jitter(pieces: list[tuple[float, int]], jitter_ms: float) -> None:
    """Within three seconds the delay is what the jitter needs, the clock is left alone, and nothing is heard of it."""
    burst = list(bursts(pieces))
    start_s = burst[-1][0] + N / RATE
    played = play([*burst, *steady(12, jitter_ms, start_s=start_s, first=len(burst))])
    for values in (played.target_ms, played.delay_ms):
        assert max(played.since(values, SETTLED_S)) < jitter_ms + FLOOR_MS + 6, "5 ms too much are given back slowly"
    assert max(played.since(played.target_ms, 0.2)) <= 75, "what waited at the sender never counts"
    assert played.step < CLICK and np.abs(played.ppm).max() < 50
    assert played.buffer.underruns <= 1 and len(set(played.since(played.skipped, SETTLED_S))) == 1


def test_jitter_that_is_there_from_the_start_is_kept() -> None:
    played = play(steady(12, 40.0))
    assert min(played.since(played.target_ms, SETTLED_S)) > 40 and played.buffer.underruns == 0


def test_a_feeder_that_sends_silence_first_settles_before_it_has_something_to_send() -> None:
    """A microphone that opens after two seconds comes by its own clock, 30 ms later than the silence before it."""
    silence = steady(2.0, 2.0)
    sound = steady(10, 2.0, start_s=2.03, first=len(silence), seed=2)
    played = play([*silence, *sound])
    assert max(played.since(played.delay_ms, SETTLED_S)) < 30 + 2 + FLOOR_MS + 15
    assert played.step < CLICK and np.abs(played.ppm).max() < 100


def test_frames_that_were_lost_take_the_time_that_they_last() -> None:
    """Where the delay is longer than a hole, what comes behind it is there already: nothing is waited for."""
    frames = steady(6, 30.0)
    del frames[400:403]
    played = play(frames)
    quiet = np.abs(played.sound[3 * RATE :].reshape(-1, 48)).max(axis=1) < LEVEL / 100
    assert 20 <= quiet.sum() <= 42, "ms, of 30 that were lost, between two fades, to a block"
    assert played.buffer.outages == 0 and played.step < CLICK
    assert max(played.since(played.target_ms, SETTLED_S)) < 30 + FLOOR_MS + 1


@pytest.mark.parametrize("block", [120, 240, 960])
def test_a_burst_settles_at_the_same_place_for_any_block(block: int) -> None:
    burst = list(bursts(BURSTS["in pieces"]))
    arrivals = [*burst, *steady(6, 2.0, start_s=burst[-1][0] + N / RATE, first=len(burst))]
    assert play(arrivals, block).delay_ms[-1] == pytest.approx(play(arrivals).delay_ms[-1], abs=0.1)


def test_what_stood_still_comes_back_with_the_delay_that_is_needed() -> None:
    """Frames that are 80 ms late, and then 70: the sound waits once, until the delay is long enough for both."""
    late_s = {500: 0.08, 540: 0.07}
    frames = [(came_s + late_s.get(i, 0.0), *rest) for i, (came_s, *rest) in enumerate(steady(8, 2.0))]
    frames = [(max(a[0] for a in frames[max(i - 20, 0) : i + 1]), *frame[1:]) for i, frame in enumerate(frames)]
    played = play(frames)
    assert played.buffer.underruns == 1 and played.buffer.outages == 0 and played.step < CLICK
    assert np.abs(played.sound[-RATE:]).max() > LEVEL / 2
