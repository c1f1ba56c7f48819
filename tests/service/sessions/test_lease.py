"""A lease: paused after half a minute without anybody, ended after its time, whatever the clock on the wall shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.service.session.lease import END_S, PAUSE_S, Lease, Step


def run(lease: Lease, stamps: list[int], step_s: float = 1.0) -> list[tuple[int, Step]]:
    """What it asks for at each second, with the stamp that it sees there."""
    found = []
    for second, stamp in enumerate(stamps):
        step = lease.turn(stamp, second * step_s)
        if step is not None:
            found.append((second, step))
    return found


def test_a_session_without_anybody_is_paused_and_then_ended() -> None:
    steps = run(Lease(END_S, 0.0), [7] * 302)
    assert steps[0] == (int(PAUSE_S), Step.PAUSE)
    assert steps[1] == (int(END_S), Step.END)


def test_a_renewal_resumes_it() -> None:
    stamps = [1] * 40 + [2] * 5
    assert run(Lease(END_S, 0.0), stamps) == [(30, Step.PAUSE), (40, Step.RESUME)]


def test_zero_is_for_ever() -> None:
    assert run(Lease(0.0, 0.0), [1] * 5_000, step_s=100.0) == []


def test_a_lease_shorter_than_the_pause_ends_without_one() -> None:
    assert run(Lease(10.0, 0.0), [1] * 11)[-1] == (10, Step.END)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 100.0)), max_size=200))
def test_it_ends_only_after_its_time_without_a_renewal(turns: list[tuple[int, float]]) -> None:
    lease, now_s, since_s, before = Lease(END_S, 0.0), 0.0, 0.0, None
    paused = False
    for stamp, passed_s in turns:
        now_s += passed_s
        if stamp != before:
            before, since_s = stamp, now_s
        step = lease.turn(stamp, now_s)
        if step is Step.END:
            assert now_s - since_s >= END_S
            return
        if step is Step.PAUSE:
            assert now_s - since_s >= PAUSE_S and not paused
        if step is Step.RESUME:
            assert paused
        paused = {Step.PAUSE: True, Step.RESUME: False}.get(step, paused) if step else paused


def test_a_clock_that_is_set_back_or_forth_changes_nothing() -> None:
    """The stamp is only compared, never subtracted from anything."""
    assert run(Lease(END_S, 0.0), [10**18, 5, 10**17, 5]) == []
