"""The jitter buffer under a virtual network: how much delay it takes, what is heard, and how it follows a clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.clock_offset import ClockOffset
from audio_pipeline.dsp.jitter import SHRINK, JitterTarget
from audio_pipeline.dsp.jitter_buffer import JitterBuffer

RATE, N = 48_000, 480
FRAME_S = N / RATE
FADE = RATE * 5 // 1000
HZ, LEVEL = 440.0, 0.5
STEEPEST = 2 * np.pi * HZ / RATE * LEVEL  # the most by which two neighbours of the sine differ
CLICK = 1.08  # a fade of 5 ms adds 7 % to the steepest slope of this sine; a cut would be 30 times as steep
START_S = 5.0  # of this host's clock when the other side begins
FLOOR_MS = 1000 * (N + 32) / RATE + 3  # a frame, what the interpolation looks ahead, and what is spare


@dataclass
class Run:
    """What a run heard: sound, how many samples of each block were made up, and the delay aimed at."""

    buffer: JitterBuffer
    sound: np.ndarray
    concealed: np.ndarray
    target_ms: np.ndarray


def network(
    seconds: float,
    jitter_s: Callable[[np.random.Generator], float],
    *,
    ppm: float = 0.0,
    stalls: Sequence[tuple[float, float]] = (),
    most_ms: float = 250.0,
    seed: int = 1,
) -> Run:
    """A sine sent in frames over a way that keeps their order, as TCP does, read at each tick of this host's clock."""
    rng, buffer = np.random.default_rng(seed), JitterBuffer(1, RATE, N, least_ms=0, most_ms=most_ms)
    last, frames = 0.0, []
    for i in range(int(seconds / FRAME_S)):
        at = (i + 1) * FRAME_S / (1 + ppm * 1e-6) + 0.02 + jitter_s(rng)
        at = next((end for start, end in stalls if start <= at < end), at)
        last = max(last, at)
        frames.append((last + START_S, i))
    sound, concealed, targets = [], [], []
    for tick in range(int(seconds / FRAME_S)):
        now_s = (tick + 1) * FRAME_S + START_S
        while frames and frames[0][0] <= now_s:
            arrival_s, i = frames.pop(0)
            t = np.arange(i * N, (i + 1) * N) / RATE
            buffer.push(i * N, (LEVEL * np.sin(2 * np.pi * HZ * t))[:, None].astype(np.float32), round(arrival_s * 1e9))
        block, missing = buffer.pull(N, round(now_s * 1e9))
        sound.append(block[:, 0])
        concealed.append(missing)
        targets.append(buffer.target.target_s * 1000)
    return Run(buffer, np.concatenate(sound), np.array(concealed), np.array(targets))


def even(rng: np.random.Generator) -> float:
    return float(rng.uniform(-0.01, 0.01))


def quiet(rng: np.random.Generator) -> float:
    return 0.0


def steps(run: Run) -> float:
    """The largest step between neighbours, as a multiple of the sine's own: 1 is no click."""
    return float(np.abs(np.diff(run.sound)).max() / STEEPEST)


@pytest.mark.parametrize(("jitter", "needed_ms"), [(quiet, 0.0), (even, 20.0)])
def test_the_delay_goes_to_what_the_jitter_needs_and_nothing_is_missing(
    jitter: Callable[[np.random.Generator], float], needed_ms: float
) -> None:
    run = network(70, jitter)
    assert run.target_ms[-1] == pytest.approx(needed_ms + FLOOR_MS, abs=1.0)
    assert run.buffer.underruns == 0 and not run.concealed[100:].any() and steps(run) < CLICK


@pytest.mark.parametrize("ppm", [pytest.param(-200, marks=pytest.mark.long), 200])
def test_the_other_hosts_clock_is_followed_without_a_loss(ppm: int) -> None:
    run = network(120, even, ppm=ppm)
    assert not run.concealed[100:].any() and run.buffer.underruns == 0 and run.buffer.late_samples == 0
    assert run.buffer.ppm == pytest.approx(ppm, abs=20) and steps(run) < CLICK


def test_a_hiccup_makes_the_delay_grow_at_once_and_it_goes_back_later() -> None:
    """120 ms are within what may be held: the sound stands still for what was missing, and nothing is left out."""
    run = network(60, even, stalls=[(20, 20.12)])
    before, after = run.target_ms[1990], run.target_ms[2100]
    assert run.buffer.underruns == 1 and run.buffer.outages == 0
    assert after >= 100 > before and run.target_ms[-1] < 50
    silent_s = run.concealed[1900:2300].sum() / RATE
    assert silent_s < 0.12 and not run.concealed[2300:].any()
    assert steps(run) < CLICK, "all fades, no click"


def test_a_hiccup_like_the_last_one_is_not_heard_any_more() -> None:
    run = network(40, even, stalls=[(20, 20.12), (25, 25.11)])
    assert run.buffer.underruns == 1 and not run.concealed[2300:].any()


def test_an_outage_leaves_out_what_came_too_late_and_goes_on_as_before() -> None:
    run = network(40, even, stalls=[(20, 21)])
    assert run.buffer.outages == 1 and run.buffer.underruns == 1
    silent_s = run.concealed[1900:].sum() / RATE
    assert 0.9 < silent_s < 1.05, "as long as it took, and a few frames"
    assert run.target_ms[2200] == pytest.approx(run.target_ms[1990], abs=0.1), "no buffer would have held it"
    assert not run.concealed[2120:].any() and steps(run) < CLICK


@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(1.2, 3), st.floats(0.001, 0.02))
def test_whatever_the_way_does_there_is_no_click_and_the_delay_stays_in_bounds(
    seed: int, tail: float, scale: float
) -> None:
    run = network(12, lambda rng: min(float(rng.pareto(tail)) * scale, 1.5), seed=seed)
    assert run.target_ms.max() <= 250 and run.target_ms.min() >= FLOOR_MS - 0.1
    assert steps(run) < 2.1, "what fades out may lie under what fades in"
    assert np.abs(run.sound).max() <= 2 * LEVEL and len(run.sound) == 12 * RATE


@pytest.mark.parametrize("block", [1, 17, 480, 1024])
def test_the_length_of_what_is_asked_for_does_not_change_what_is_heard(block: int) -> None:
    """To 2 %, a third of a millisecond of a sine of 50 Hz: longer blocks look at the target less often."""

    def pulled(n: int) -> np.ndarray:
        buffer = JitterBuffer(1, RATE, N, least_ms=0, most_ms=250)
        t = np.arange(2 * RATE) / RATE
        x = (LEVEL * np.sin(2 * np.pi * 50 * t))[:, None].astype(np.float32)
        for i in range(200):
            buffer.push(i * N, x[i * N : (i + 1) * N], round((START_S + (i + 1) * FRAME_S) * 1e9))
        ends = range(n, RATE, n)
        return np.concatenate([buffer.pull(n, round((START_S + 0.5 + end / RATE) * 1e9))[0][:, 0] for end in ends])

    whole, cut = pulled(480), pulled(block)
    n = min(len(whole), len(cut))
    late = slice(n // 2, n)
    assert np.abs(whole[late] - cut[late]).max() < 0.02 * LEVEL


def test_silence_before_the_first_frame_and_after_a_new_timeline() -> None:
    buffer = JitterBuffer(2, RATE, N, least_ms=0, most_ms=250)
    block, missing = buffer.pull(N, 10**9)
    assert not block.any() and missing == N and not buffer.playing
    for i in range(50):
        buffer.push(i * N, np.ones((N, 2), np.float32), 10**9 + i * 10_000_000)
    assert buffer.pull(N, 10**9 + 400_000_000)[0].any()
    buffer.clear()
    fading = buffer.pull(N, 10**9 + 410_000_000)[0][:, 0]
    assert (np.diff(fading) <= 0).all() and not fading[FADE:].any(), "what sounded fades out within 5 ms"
    assert not buffer.pull(N, 10**9 + 420_000_000)[0].any() and not buffer.sounding


# -- the target alone ----------------------------------------------------------------------------------


def fed(target: JitterTarget, delays_s: Sequence[float], start: int = 0) -> JitterTarget:
    for i, delay in enumerate(delays_s, start):
        target.arrived(i * FRAME_S, i * FRAME_S + delay)
    return target


def test_jitter_is_that_of_rfc_3550() -> None:
    """Delays that go up and down by 8 ms: |D| is 8 ms throughout, and J goes to it by a sixteenth a frame."""
    target = fed(JitterTarget(0.01, 0, 0.25, 0.06), [0.02, 0.028] * 100)
    assert target.jitter_s == pytest.approx(0.008, rel=1e-3)


def test_the_target_falls_slowly_and_never_below_the_least() -> None:
    target = fed(JitterTarget(0.01, 0.03, 0.25, 0.06), [0.02] * 500)
    target.ran_dry(0.06, 5.0)
    target = fed(target, [0.02] * 1000, 500)
    assert target.target_s == 0.06, "held for what the underrun has shown"
    target = fed(target, [0.02] * 1000, 1500)
    assert target.target_s == pytest.approx(0.06 - SHRINK * 9.5, abs=0.002)
    assert fed(target, [0.02] * 3000, 2500).target_s == 0.03


def test_another_way_through_the_network_is_taken_for_what_it_is_after_a_second() -> None:
    target = fed(JitterTarget(0.01, 0, 0.25, 0.06), [0.02] * 500)
    assert fed(target, [0.9] * 90, 500).base_s == pytest.approx(0.02)
    assert fed(target, [0.9] * 30, 590).base_s == pytest.approx(0.9)


# -- the clocks of two hosts ---------------------------------------------------------------------------


@given(st.integers(-(10**15), 10**15), st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1))
def test_the_offset_is_right_to_half_of_the_quickest_round_trip(offset: int, ways: list[tuple[int, int]]) -> None:
    clock = ClockOffset()
    now = 10**12
    for there, back in ways:
        received = now + there + offset
        clock.add(now, received, received + 1_000, now + there + 1_000 + back)
        now += 10**9
    assert abs(clock.offset_ns - offset) <= clock.round_trip_ns / 2 + 1
    assert abs(clock.here(now + offset) - now) <= clock.round_trip_ns / 2 + 1


def test_exchanges_that_cannot_have_been_are_ignored() -> None:
    clock = ClockOffset()
    clock.add(100, 50, 40, 120)
    clock.add(100, 50, 60, 90)
    clock.add(100, 50, 90, 120)
    assert not clock.known and clock.offset_ns == clock.round_trip_ns == 0
