from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.clock import ClockLine
from audio_pipeline.worker.pace import MAX_BEHIND_FRAMES, SourcePace, TickPace

RATE, N = 48_000, 480
LINE = ClockLine(0.0, 0, float(RATE))
MS = 1_000_000
rates = st.floats(RATE * 0.999, RATE * 1.001)


def drawn(pace: SourcePace, clock_position: float, n: int = N) -> int:
    """How many frames are due now; they are drawn."""
    count = 0
    while pace.due(clock_position, n):
        pace.position += n
        count += 1
    return count


@given(st.integers(0, 10**9), st.floats(0, 1e6), st.integers(0, 10**9), st.integers(1, 5000))
def test_a_source_sends_its_lead_at_once_and_then_as_the_clock_goes(
    begin: int, lead: float, clock: int, n: int
) -> None:
    pace = SourcePace(begin, lead)
    assert not pace.due(clock + 10**9, n)
    pace.play(clock)
    assert drawn(pace, clock, n) == int(lead / n)
    for later in (n, 2 * n, 10 * n, 1000 * n):
        drawn(pace, clock + later, n)
        assert 0 <= later + lead - (pace.position - begin) < n + 1e-3


@given(rates, st.integers(1, 2000))
def test_a_source_keeps_to_its_clock_not_to_sleeps(rate: float, steps: int) -> None:
    """Woken at each deadline, and late as often as not, it is never off by a frame: nothing adds up."""
    line, pace = ClockLine(0.0, 0, rate), SourcePace(0, 0.0)
    pace.play(0.0)
    now = 0
    for step in range(min(steps, 300)):
        deadline = pace.deadline_ns(line, N)
        assert deadline is not None
        now = max(now, deadline) + (3 * MS if step % 7 == 0 else 0)
        drawn(pace, line.position_at(now) + 1e-6)
    assert abs(pace.position - now * rate / 1e9) <= N


def test_a_paused_source_wakes_only_to_say_so() -> None:
    pace = SourcePace(0, 1e6)
    pace.next_idle_ns = 77
    assert pace.deadline_ns(LINE, N) == 77 and not pace.due(1e12, N)


def test_play_starts_where_the_source_stands() -> None:
    pace = SourcePace(5000, 0.0)
    pace.play(100_000.0)
    assert pace.clock_position(5000) == 100_000 and pace.clock_position(5480) == 100_480


@given(st.integers(0, 10**12), rates, st.sampled_from([48, 441, 480]))
def test_a_mixers_frames_lie_on_the_grid_and_come_when_the_clock_reads_their_end(now: int, rate: float, n: int) -> None:
    line = ClockLine(0.0, 0, rate)
    pace = TickPace(n, line, now, live=True)
    assert pace.position % n == 0 and pace.position <= line.position_at(now) < pace.position + n + 1e-6
    deadline = pace.deadline_ns(line)
    assert not pace.due(line, deadline - 1) and pace.due(line, deadline)
    assert abs(line.position_at(deadline) - pace.position - n) < 0.01


def test_offline_a_mixer_begins_at_the_beginning() -> None:
    assert TickPace(N, LINE, 10**12, live=False).position == 0


@given(st.floats(0, 1000))
def test_a_mixer_that_was_held_up_skips_to_now_or_catches_up_a_little(behind_frames: float) -> None:
    pace = TickPace(N, LINE, 0, live=True)
    now = LINE.host_ns_at(behind_frames * N)
    skipped = pace.skip(LINE, now)
    if behind_frames <= MAX_BEHIND_FRAMES:
        assert skipped == pace.position == 0
    else:
        assert skipped == pace.position and 0 <= LINE.position_at(now) - pace.position < N
        assert pace.skip(LINE, now) == 0 and not pace.due(LINE, now)


def test_before_the_beginning_of_time_the_grid_begins_at_0() -> None:
    assert TickPace(N, ClockLine(0.0, 10**9, RATE), 0, live=True).position == 0
