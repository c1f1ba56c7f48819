"""The ladder of modes under a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
from audio_pipeline.models.separation.grid import Rung, ladder_rungs, top_rung, trial_rung
from audio_pipeline.models.separation.ladder import Ladder, LadderSettings
from audio_pipeline.models.separation.types import SeparatorSettings

SPEC = SPLEETER_2STEMS
MODES, FRAME_S = SPEC.modes, SPEC.frame_s
SECOND = 1_000_000_000
RUNGS = (Rung(128, 4, 2), Rung(128, 2, 4), Rung(128, 0, 6), Rung(64, 0, 6))


class Machine:
    """A stream on a ladder, on a machine where an inference of 128 frames takes `cost_s(now_s)`."""

    def __init__(self, cost_s: Callable[[float], float], settings: LadderSettings | None = None) -> None:
        self.ladder, self._cost_s = Ladder(RUNGS, FRAME_S, settings), cost_s
        self.now_s = 0.0
        self.missed: list[float] = []
        self.steps: list[tuple[float, int]] = []  # when, and where to

    def run(self, seconds: float) -> None:
        end = self.now_s + seconds
        while self.now_s < end:
            rung = self.ladder.rung
            self.now_s += rung.hop * FRAME_S
            took = self._cost_s(self.now_s) * rung.window / 128
            late = took > rung.hop * FRAME_S and not self.ladder.dry
            if late:
                self.missed.append(self.now_s)
            now_ns = round(self.now_s * SECOND)
            known = not late and (not self.ladder.dry or self.ladder.probe(now_ns))
            if self.ladder.note(now_ns, missed=late, took_s=took if known else None):
                self.steps.append((self.now_s, self.ladder.step))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hop", [1, 2, 4, 8, 16, 32])
def test_all_rungs_have_one_latency_and_each_is_cheaper(mode: str, hop: int) -> None:
    rungs = ladder_rungs(SPEC, SeparatorSettings(mode, hop))
    top = rungs[0]
    assert (top.window, top.lookahead) == (MODES[mode].window, MODES[mode].lookahead)
    assert {rung.lookahead + rung.hop for rung in rungs} == {top.lookahead + top.hop}
    assert all(rung.lookahead >= 0 for rung in rungs)
    work = [rung.work for rung in rungs]
    assert all(below <= above / 1.5 for above, below in zip(work, work[1:], strict=False))
    assert len(rungs) == 1 if mode == "offline" else len(rungs) >= 2


def test_a_machine_that_keeps_up_stays_at_the_top() -> None:
    machine = Machine(lambda now: 0.02)
    machine.run(600)
    assert not machine.steps
    assert not machine.missed


def test_misses_stop_within_two_seconds_and_the_way_back_is_up() -> None:
    """From 10 to 40 s an inference takes 110 ms: more than two or four frames, less than six."""
    machine = Machine(lambda now: 0.11 if 10 <= now < 40 else 0.02)
    machine.run(120)
    assert [step for _, step in machine.steps] == [1, 2, 1, 0]
    assert machine.steps[1][0] < 12
    assert max(machine.missed) < 12
    assert machine.steps[2][0] > 40
    assert machine.steps[3][0] < 40 + 2 * LadderSettings().calm_s + 4


def test_where_nothing_is_quick_enough_the_dry_sound_is_left() -> None:
    machine = Machine(lambda now: 5.0 if 10 <= now < 40 else 0.02)
    machine.run(300)
    assert [at for _, at in machine.steps[:4]] == [1, 2, 3, 4]
    assert machine.steps[3][0] < 14
    assert machine.ladder.at == 0
    assert not [when for when in machine.missed if when > 14]  # it looks, and waits
    assert machine.steps[4][0] > 40


def test_one_stall_is_no_reason_to_step_down() -> None:
    machine = Machine(lambda now: 0.2 if now % 30 < 0.4 else 0.02)
    machine.run(300)
    assert len(machine.missed) >= 10
    assert not machine.steps


def test_it_steps_down_before_the_first_miss() -> None:
    """An inference takes ever longer, up to 80 ms: more than two frames (46 ms), less than four."""
    machine = Machine(lambda now: min(0.02 + now / 1000, 0.08))
    machine.run(200)
    assert not machine.missed
    assert [step for _, step in machine.steps] == [1, 2], "80 ms are more than 85 % of four frames as well"


def test_answers_that_come_just_in_time_are_a_reason_too() -> None:
    """As after a stall on a machine that catches up slowly: inferences are quick, what waits for them is late."""
    ladder = Ladder(RUNGS, FRAME_S)
    left = [0.9, 0.1, 0.8, 0.1, 0.05]
    moved = [ladder.note(k * SECOND // 20, took_s=0.03, left=share) for k, share in enumerate(left)]
    assert moved == [False, False, False, False, True]
    assert ladder.step == 1


def test_with_half_of_the_promised_time_left_slow_inferences_are_no_reason() -> None:
    """As where a song runs ahead and a spare process starts: what is slow for a second is caught up with."""
    ladder = Ladder(RUNGS, FRAME_S)
    assert not any(ladder.note(k * SECOND // 20, took_s=0.06, left=0.6) for k in range(50))
    assert ladder.note(3 * SECOND, took_s=0.06, left=0.4)


def test_only_misses_make_it_play_the_dry_sound() -> None:
    """Where there is no cheaper rung, inferences that are just in time are better than none."""
    ladder = Ladder(RUNGS, FRAME_S, step=len(RUNGS) - 1)
    assert not any(ladder.note(k * SECOND // 10, took_s=0.135, left=0.05) for k in range(50))
    assert not ladder.dry


@pytest.mark.parametrize(("took_ms", "climbs"), [(20, True), (24, False), (33, False)])
def test_the_trial_above_needs_twice_the_time(took_ms: float, climbs: bool) -> None:
    """Hop 4 is stated and hop 2 tried, where an inference takes less than half of two frames (46 ms)."""
    settings = SeparatorSettings("balanced", hop=4)
    ladder = Ladder(ladder_rungs(SPEC, settings), FRAME_S, trial=trial_rung(SPEC, settings))
    assert (ladder.step, ladder.rung) == (0, top_rung(SPEC, settings))
    moved = [ladder.note(k * SECOND // 10, took_s=took_ms / 1000, left=0.9) for k in range(300)]
    assert any(moved) is climbs
    assert ladder.step == (-1 if climbs else 0)
    assert not moved.index(True) < 100 if climbs else True  # after ten seconds


def test_the_trial_ends_at_the_first_sign() -> None:
    settings = SeparatorSettings("balanced", hop=4)
    ladder = Ladder(ladder_rungs(SPEC, settings), FRAME_S, step=-1, trial=trial_rung(SPEC, settings))
    moved = [ladder.note(k * SECOND // 20, took_s=0.042, left=0.4) for k in range(4)]
    assert moved == [False, False, True, False]
    assert ladder.step == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hop", [1, 2, 4, 8, 16, 32])
def test_a_trial_has_the_latency_of_what_it_is_above(mode: str, hop: int) -> None:
    settings = SeparatorSettings(mode, hop)
    trial, top = trial_rung(SPEC, settings), top_rung(SPEC, settings)
    assert (trial is None) == (mode == "offline" or hop == 1)
    if trial is not None:
        assert trial.lookahead + trial.hop == top.lookahead + top.hop
        assert trial.work == 2 * top.work


def test_misses_now_and_then_are_no_reason_either() -> None:
    machine = Machine(lambda now: 0.1 if now % 1.5 < FRAME_S * 2 else 0.02)
    machine.run(60)
    assert len(machine.missed) >= 30
    assert not machine.steps


def test_it_does_not_climb_where_it_would_not_fit() -> None:
    """80 ms: fits four frames (93 ms), but is above three quarters of them, so that it waits further down."""
    machine = Machine(lambda now: 0.11 if now < 10 else 0.08)
    machine.run(200)
    assert machine.ladder.at == 2
    assert len(machine.steps) == 2


def test_it_does_not_climb_where_an_inference_would_come_too_late() -> None:
    """50 ms on the short window: in time for six frames (139 ms) on the long one, but more than was promised."""
    ladder = Ladder(RUNGS, FRAME_S, most_s=0.08, step=3)
    assert not any(ladder.note(round(now * 0.1 * SECOND), took_s=0.05) for now in range(1_000))
    assert any(ladder.note(round((100 + now * 0.1) * SECOND), took_s=0.027) for now in range(1_000))


def test_a_machine_that_comes_and_goes_is_tried_ever_less_often() -> None:
    """Calm enough to climb, too busy at the top: the pauses double up to their limit."""
    settings = LadderSettings(calm_s=2, calm_most=8)
    ladder = Ladder(RUNGS, FRAME_S, settings)
    now, climbs = 0.0, []
    while now < 300:
        now += 0.1
        at_the_top = ladder.at == 0
        moved = ladder.note(round(now * SECOND), missed=at_the_top, took_s=None if at_the_top else 0.01)
        if moved and ladder.at == 0:
            climbs.append(now)
    pauses = [after - before for before, after in zip(climbs, climbs[1:], strict=False)]
    assert pauses[0] < 6
    assert pauses[-1] == pytest.approx(16, abs=1.5)
    assert all(after > before - 0.05 for before, after in zip(pauses, pauses[1:], strict=False))


def test_after_a_long_good_time_calm_is_short_again() -> None:
    machine = Machine(lambda now: 0.11 if now < 1 or 15 < now < 16 or 200 < now < 201 else 0.02)
    machine.run(300)
    stood = [0, *(at for _, at in machine.steps)]
    downs = [when for (when, at), before in zip(machine.steps, stood, strict=False) if at > before]
    after = [when for when, at in machine.steps if when > 200 and at == 0]
    assert len(downs) >= 3
    assert after[0] - 201 < 2 * LadderSettings().calm_s + 4


def test_a_successor_begins_where_its_predecessor_stood() -> None:
    assert Ladder(RUNGS, FRAME_S, step=2).rung == RUNGS[2]
    assert Ladder(RUNGS, FRAME_S, step=99).dry
    assert Ladder([Rung(128, 0, 1)], FRAME_S, step=1).rung == Rung(128, 0, 1)
