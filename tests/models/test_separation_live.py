"""The separator against a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audio_pipeline.models.separation import tuning
from audio_pipeline.models.separation.batching import Batcher
from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
from audio_pipeline.models.separation.deadlines import Limits
from audio_pipeline.models.separation.grid import ladder_rungs
from audio_pipeline.models.separation.ladder import Ladder, LadderSettings
from audio_pipeline.models.separation.live import Block, Driver
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.tuning import tune
from audio_pipeline.models.separation.types import Array, SeparatorSettings, Window
from audio_pipeline.models.separation.workers import Inline, Seated
from tests.dsp.chunking import noise
from tests.models.fake_model import FakeModel

SPEC = SPLEETER_2STEMS
RATE, STFT, FRAME = SPEC.rate, SPEC.stft, 441
MS = 1_000_000
HOP = 8
SETTINGS = SeparatorSettings("balanced", hop=HOP)
STEP_MS = HOP * STFT.hop / RATE * 1000  # 186 ms between inferences
COMPUTE_MS = 120
SPARE_MS = 10


class Clock:
    now_ns = 0


class Worker:
    """Needs as long for a window as `cost_ms` says at its start."""

    available = True

    def __init__(self, clock: Clock, cost_ms: Callable[[int], float]) -> None:
        self._clock, self._cost_ms, self._model = clock, cost_ms, FakeModel()
        self.last_s = 0.0
        self.done_ns = 0
        self._window: Window | None = None
        self.shapes: set[int] = set()

    @property
    def idle(self) -> bool:
        return self._clock.now_ns >= self.done_ns

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        assert self.idle
        self._window = window
        self.shapes.add(len(window.frames))
        self.last_s = self._cost_ms(self._clock.now_ns) * len(window.frames) / 128 / 1000
        self.done_ns = self._clock.now_ns + round(self.last_s * 1000 * MS)

    def take(self, window: Window) -> Array | None:
        return self._model.step([window], [None])[0][0] if self.has(window) and self.idle else None

    def has(self, window: Window) -> bool:
        return window is self._window

    def wait(self, timeout_s: float) -> None:
        self._clock.now_ns = max(self._clock.now_ns, self.done_ns)

    def reset(self) -> None:
        self._window = None

    def close(self) -> None:
        """Nothing runs."""


class Live:
    """A driver, its clock, and when each block came out."""

    def __init__(
        self, cost_ms: Callable[[int], float], settings: SeparatorSettings = SETTINGS, calm_s: float = 0.0
    ) -> None:
        self.clock = Clock()
        self.worker = Worker(self.clock, cost_ms)
        stream = SeparatorStream(FakeModel(), settings)
        self.latency_ns = round(stream.latency_samples / RATE * 1e9) + COMPUTE_MS * MS
        limits = Limits(self.latency_ns, SPARE_MS * MS, fastest_ns=40 * MS, compute_ns=COMPUTE_MS * MS)
        most_s = COMPUTE_MS / 1000
        ladder = (
            Ladder(ladder_rungs(SPEC, settings), SPEC.frame_s, LadderSettings(calm_s=calm_s), most_s=most_s)
            if calm_s
            else None
        )
        self.driver = Driver(stream, self.worker, limits, ladder)
        self.out: list[tuple[int, Block]] = []  # (when, what)
        self.sent = 0

    def run(self, x: Array, *, deaf_ms: tuple[float, float] = (0, 0)) -> None:
        """Frames of 10 ms as they are captured; the driver is stepped whenever it asks for it."""
        start_ns, first = self.clock.now_ns, self.sent
        for k in range(0, len(x), FRAME):
            end_ns = start_ns + (k + FRAME) * 1_000 * MS // RATE
            self._let_time_pass(end_ns, deaf_ms)
            self.driver.push(x[k : k + FRAME], end_ns)
            self.sent = first + k + FRAME
            self._step(deaf_ms)

    def _let_time_pass(self, end_ns: int, deaf_ms: tuple[float, float]) -> None:
        while True:
            times = [t for t in (self.worker.done_ns, self.driver.deadline_ns()) if t is not None]
            ahead = [t for t in times if self.clock.now_ns < t < end_ns]
            if not ahead:
                break
            self.clock.now_ns = min(ahead)
            self._step(deaf_ms)
        self.clock.now_ns = max(self.clock.now_ns, end_ns)

    def _step(self, deaf_ms: tuple[float, float]) -> None:
        if not deaf_ms[0] * MS <= self.clock.now_ns < deaf_ms[1] * MS:
            self.out += [(self.clock.now_ns, block) for block in self.driver.step(self.clock.now_ns)]

    def dry_at(self) -> list[float]:
        """Positions (s) of the dry blocks."""
        return [block.start / RATE for _, block in self.out if block.dry]

    def check_joined(self) -> None:
        position = 0
        for _, block in self.out:
            assert block.start == position
            position += len(block.sound["vocals"])

    def late_ms(self) -> list[float]:
        """How much later than c(P) + latency each block came, from the second one on."""
        due = [round(b.start / RATE * 1e9) + self.latency_ns for _, b in self.out]
        return [(when - d) / MS for (when, _), d in zip(self.out, due, strict=True)][1:]


def music(seconds: float, seed: int = 1) -> Array:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((round(seconds * RATE), 2)) * 0.1).astype(np.float32)


def joined(out: list[tuple[int, Block]], name: str) -> Array:
    return np.concatenate([block.sound[name] for _, block in out])


def test_in_time_it_is_the_one_shot_result_and_never_late() -> None:
    x, live = music(6), Live(lambda now: 100)
    live.run(x)
    live.check_joined()
    assert live.driver.missed == 0
    assert max(live.late_ms()) <= 0
    y = joined(live.out, "vocals")
    assert len(y) >= len(x) - live.driver.stream.latency_samples - HOP * STFT.hop
    assert np.array_equal(y, separate(FakeModel(), x, SETTINGS)["vocals"][: len(y)])


def test_overload_is_dry_in_time_and_recovers_by_itself() -> None:
    """From 3 to 6 s an inference takes twice the time between two."""
    x, live = music(12), Live(lambda now: 2 * STEP_MS if 3_000 * MS <= now < 6_000 * MS else 100)
    live.run(x)
    live.check_joined()
    assert max(live.late_ms()) <= SPARE_MS + 1e-3  # deadlines are kept whatever happens
    dry = live.dry_at()
    assert len(dry) == live.driver.missed >= 10
    assert 2.0 < min(dry) and max(dry) < 6.5
    silent = [block for _, block in live.out if block.dry]
    assert not any(block.sound["vocals"][STFT.hop :].any() for block in silent)


BUSY_MS = (5_000, 35_000)


def test_misses_stop_within_three_seconds_on_the_way_down_and_it_climbs_again() -> None:
    """For half a minute an inference takes five times as long: 90 ms, at 46 ms between two of them.

    Positions join, nothing is later than was stated, and after the first three seconds nothing is dry.
    """
    busy = range(BUSY_MS[0] * MS, BUSY_MS[1] * MS)
    live = Live(lambda now: 90 if now in busy else 18, SeparatorSettings("balanced", hop=2), calm_s=5)
    live.run(music(60))
    live.check_joined()
    assert live.driver.missed > 0
    assert max(live.late_ms()) <= SPARE_MS + 1e-3
    assert max(live.dry_at()) < 8
    assert live.driver.ladder is not None
    assert live.driver.ladder.at == 0
    assert live.driver.steps >= 2
    sizes = [len(block.sound["vocals"]) // STFT.hop for _, block in live.out]
    assert max(sizes) in (4, 6)
    assert set(sizes[-20:]) == {2}  # back at the top


def test_at_the_foot_of_the_ladder_nothing_is_missed_and_the_mixture_goes_on() -> None:
    """No inference ever comes back in time: the dry song, and now and then another try."""
    settings = SeparatorSettings("balanced", hop=2, residual=True)
    live = Live(lambda now: 2_000 if now > 5_000 * MS else 18, settings, calm_s=5)
    x = music(40)
    live.run(x)
    live.check_joined()
    assert max(live.late_ms()) <= SPARE_MS + 1e-3
    ladder = live.driver.ladder
    assert ladder is not None
    assert live.worker.shapes == {64, 128}
    late = [block for when, block in live.out if when > 12_000 * MS]
    assert all(block.dry for block in late)
    assert live.driver.missed < 60  # at 46 ms between two windows there would have been 750
    assert live.worker._model.steps < 300
    total = joined(live.out, "vocals") + joined(live.out, "accompaniment")
    np.testing.assert_allclose(total, x[: len(total)], atol=1e-6)  # aligned: nothing but the split is lost


def test_a_fixed_ladder_changes_nothing_while_all_is_in_time() -> None:
    x, settings = music(6), SeparatorSettings("balanced", hop=2)
    live = Live(lambda now: 18, settings, calm_s=5)
    live.run(x)
    y = joined(live.out, "vocals")
    assert np.array_equal(y, separate(FakeModel(), x, settings)["vocals"][: len(y)])


def test_a_single_slow_inference_costs_only_the_blocks_it_delayed() -> None:
    x, live = music(8), Live(lambda now: 600 if 3_000 * MS <= now < 3_200 * MS else 100)
    live.run(x)
    assert 1 <= live.driver.missed <= 4
    assert max(live.late_ms()) <= SPARE_MS + 1e-3


def test_after_being_held_up_it_skips_to_live() -> None:
    """The process did not run for a second: what is overdue goes out dry at once, without an inference."""
    x, live = music(8), Live(lambda now: 100)
    live.run(x, deaf_ms=(3_000, 4_000))
    live.check_joined()
    assert 3 <= live.driver.missed <= 6  # 1 s is 5.4 steps
    late = live.late_ms()
    assert max(late[-8:]) <= 0
    model_steps = live.worker._model.steps
    assert model_steps == len(live.out) - live.driver.missed


def test_a_burst_at_the_start_is_worked_off_at_its_own_pace() -> None:
    """A file source hands over its lead at once; stamped as if it had come in time."""
    live, lead = Live(lambda now: 100), music(1.0, seed=2)
    for k in range(0, len(lead), FRAME):
        live.driver.push(lead[k : k + FRAME], -1_000 * MS + (k + FRAME) * 1_000 * MS // RATE)
    live.out += [(0, block) for block in live.driver.step(0)]
    live.sent = len(lead)
    live.run(music(5.0))
    live.check_joined()
    assert live.driver.missed == 0


def test_what_is_replayed_after_a_restart_is_not_recomputed() -> None:
    live, past = Live(lambda now: 100), music(4.0, seed=2)
    live.clock.now_ns = 4_000 * MS
    for k in range(0, len(past), FRAME):
        live.driver.push(past[k : k + FRAME], (k + FRAME) * 1_000 * MS // RATE, replay=True)
        live._step((0, 0))
    assert live.worker._model.steps == 0
    live.sent = len(past)
    live.run(music(4.0))
    live.check_joined()
    assert live.driver.missed == 0
    assert max(live.dry_at()) < 4.0
    assert max(live.late_ms()[len(live.dry_at()) :]) <= 0


def test_reset_starts_anew() -> None:
    x, live = music(3), Live(lambda now: 100)
    live.run(x)
    live.driver.reset()
    live.out = []
    live.run(x)
    assert live.driver.missed == 0
    y = joined(live.out, "accompaniment")
    assert np.array_equal(y, separate(FakeModel(), x, SETTINGS)["accompaniment"][: len(y)])


def test_finish_gives_every_sample() -> None:
    x, live = music(2.5), Live(lambda now: 100)
    live.run(x)
    live.out += [(live.clock.now_ns, block) for block in live.driver.finish(lambda: live.clock.now_ns)]
    live.check_joined()
    assert len(joined(live.out, "vocals")) == len(x)
    assert live.driver.missed == 0


def test_abandon_gives_every_sample_dry() -> None:
    x, live = music(2.5), Live(lambda now: 100)
    live.run(x)
    live.out += [(0, block) for block in live.driver.abandon()]
    live.check_joined()
    assert len(joined(live.out, "vocals")) == len(x)


@pytest.mark.parametrize("size", [1_024, 44_100, 1 << 20])
def test_offline_is_the_one_shot_result(size: int) -> None:
    x, model = music(3), FakeModel()
    driver = Driver(SeparatorStream(model, SETTINGS), Inline(model))
    out: list[tuple[int, Block]] = []
    for k in range(0, len(x), size):
        driver.push(x[k : k + size])
        out += [(0, block) for block in driver.step(0)]
        assert driver.deadline_ns() is None
    out += [(0, block) for block in driver.finish(lambda: 0)]
    whole = separate(FakeModel(), x, SETTINGS)
    for name in ("vocals", "accompaniment"):
        assert np.array_equal(joined(out, name), whole[name])


def test_a_thread_gives_the_same_and_wakes() -> None:
    x, model, wakes = music(3), FakeModel(), []
    batcher = Batcher(model)
    worker = Seated(batcher, "song", lambda: wakes.append(1))
    driver = Driver(SeparatorStream(model, SETTINGS), worker)
    out: list[tuple[int, Block]] = []
    for k in range(0, len(x), 4_410):
        driver.push(x[k : k + 4_410])
        out += [(0, block) for block in driver.step(0)]
    out += [(0, block) for block in driver.finish(lambda: 0)]
    worker.close()
    batcher.close()
    assert np.array_equal(joined(out, "vocals"), separate(FakeModel(), x, SETTINGS)["vocals"])
    assert len(wakes) == model.steps


def test_an_error_in_the_thread_is_raised_where_the_answer_is_taken() -> None:
    class Broken(FakeModel):
        def step(self, *_: object) -> tuple[Array, list[None]]:
            raise ValueError("out of memory")

    batcher = Batcher(Broken())
    worker = Seated(batcher, "song", lambda: None)
    driver = Driver(SeparatorStream(Broken(), SETTINGS), worker)
    driver.push(music(1))
    with pytest.raises(ValueError, match="out of memory"):
        list(driver.finish(lambda: 0))
    worker.close()
    batcher.close()


def test_tuning_keeps_a_given_hop_and_measures_what_it_costs() -> None:
    tuning = tune(FakeModel(), SeparatorSettings("low", hop=4), 4)
    assert tuning.hop == 4
    assert 0 < tuning.fastest_s <= tuning.compute_s < 10
    assert tune(FakeModel(), SeparatorSettings("low")).hop >= 1


@pytest.mark.parametrize(
    ("inference_ms", "cores", "hop"),
    [(22, 2, 2), (25, 2, 4), (33, 2, 4), (44, 2, 4), (90, 2, 8), (25, 16, 2), (1, 2, 1), (10_000, 2, 32)],
)
def test_the_hop_leaves_room_for_the_rest_of_the_graph(
    inference_ms: float, cores: int, hop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """33 ms took 71 % of the time at hop 2 on a quiet machine with two cores, and missed deadlines there."""
    monkeypatch.setattr(tuning, "_inference_times", lambda *_: [inference_ms / 1000] * 9)
    monkeypatch.setattr(tuning, "_frame_time", lambda *_: 0.0005)
    monkeypatch.setattr(tuning, "cores", lambda: cores)
    assert tune(FakeModel(), SeparatorSettings("balanced")).hop == hop


def test_only_a_hop_that_is_chosen_here_is_settled_by_what_is_known() -> None:
    assert tune(FakeModel(), SeparatorSettings("low"), settle=lambda hop: 16).hop == 16
    assert tune(FakeModel(), SeparatorSettings("low"), 4, settle=lambda hop: 16).hop == 4


def burst(live: Live, seconds: float) -> None:
    """A song begins: so much of it at once, the stamps as if it had been sent at its pace."""
    x, start_ns = music(seconds), live.clock.now_ns - round(seconds * 1e9)
    for k in range(0, len(x), FRAME):
        live.driver.push(x[k : k + FRAME], start_ns + (k + FRAME) * 1_000 * MS // RATE)
    live._step((0, 0))


def test_the_first_block_of_a_song_waits_until_the_stream_has_caught_up() -> None:
    """The first two inferences take three times as long, as in the moment of a start; nothing is missed, or dry."""
    settings = SeparatorSettings("balanced", hop=4)
    live = Live(lambda now_ns: 240 if now_ns < 300 * MS else 50, settings)
    burst(live, 0.6)
    live.run(music(10))
    live.check_joined()
    assert live.driver.missed == 0 and live.dry_at() == []
    first = [when for when, block in live.out if when == live.out[0][0]]
    assert len(first) > 1, "they come together"
    assert live.out[0][0] <= 600 * MS + 300 * MS


def test_a_first_block_waits_for_a_slow_machine_no_longer_than_it_may() -> None:
    settings = SeparatorSettings("balanced", hop=4)
    live = Live(lambda now_ns: 92, settings)
    burst(live, 3.0)
    live.run(music(2))
    assert live.out[0][0] == pytest.approx(92 * MS + 600 * MS, abs=10 * MS)


def test_after_a_seek_nothing_waits() -> None:
    live = Live(lambda now_ns: 30, SeparatorSettings("balanced", hop=4))
    live.run(music(3))
    live.driver.reset()
    live.out.clear()
    began = live.clock.now_ns
    burst(live, 0.6)
    live.run(music(1))
    assert live.out[0][0] - began == pytest.approx(30 * MS, abs=10 * MS)


def test_inferences_that_get_slower_are_answered_before_one_is_missed() -> None:
    """From 60 to 170 ms within 20 s, beside 186 ms from one to the next and 130 ms until a deadline."""
    live = Live(lambda now_ns: 60 + 110 * min(now_ns / 20e9, 1), calm_s=10.0)
    live.run(music(30))
    live.check_joined()
    assert live.driver.missed == 0
    assert live.driver.ladder is not None and live.driver.ladder.step == 1  # the short window takes half of it
    assert max(live.late_ms()) <= SPARE_MS


@pytest.mark.parametrize("lost", [True, False])
def test_who_computes_was_gone_is_told_from_a_machine_that_is_busy(lost: bool) -> None:
    """Five seconds without an answer lead down the ladder; where nobody was there to answer, up again at once."""
    live = Live(lambda now_ns: 30 if now_ns < 3_000 * MS else 100_000, calm_s=10.0)
    ladder = live.driver.ladder
    assert ladder is not None
    live.run(noise(3 * RATE))
    assert ladder.step == 0 and not live.dry_at()
    live.run(noise(5 * RATE))
    assert ladder.dry
    live.worker.done_ns = 0  # another one takes its place
    live.worker.reset()
    live.worker._cost_ms = lambda now_ns: 30
    live.worker.available = not lost
    live.run(noise(round(0.1 * RATE)))
    live.worker.available = True
    before = len(live.out)
    live.run(noise(2 * RATE))
    assert ladder.step == 0 if lost else ladder.dry
    after = [not block.dry for _, block in live.out[before:]]
    assert all(after[1:]) if lost else not any(after)
    live.check_joined()
