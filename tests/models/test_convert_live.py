"""A converter against the clock: late blocks are replaced and counted, never queued, and nothing is lost."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from audio_pipeline.models.convert.blocks import BlockConverter
from audio_pipeline.models.convert.live import Deadline, Driver, Made
from audio_pipeline.models.convert.mix import Mix
from tests.dsp.chunking import noise

RATE = 16_000
FRAME = RATE // 100
NS = 1_000_000_000


class Halved:
    """Half as loud, so that it can be told from what came in."""

    rate = RATE

    def convert(self, x: np.ndarray, start: int) -> np.ndarray:
        return x * 0.5

    def reset(self) -> None:
        """Keeps nothing."""


class Slow:
    """A pool whose one thread answers when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future, object, tuple]] = []

    def submit(self, function, /, *args):
        self.jobs.append((Future(), function, args))
        return self.jobs[-1][0]

    def work(self) -> None:
        future, function, args = self.jobs.pop(0)
        future.set_result(function(*args))


def _driver(pool: Slow, allowed_s: float = 0.15) -> Driver:
    return Driver(BlockConverter(Halved(), RATE), Deadline(round(allowed_s * NS), pool, lambda: None))


def _play(driver: Driver, x: np.ndarray, answer) -> list[Made]:
    made = []
    for i in range(0, len(x), FRAME):
        now = (i + FRAME) * NS // RATE
        driver.push(x[i : i + FRAME], now)
        made += driver.step(now)
        answer(now)
        made += driver.step(now)
    return made


def test_blocks_that_are_ready_are_converted() -> None:
    pool, x = Slow(), noise(RATE, 1)[:, 0]
    driver = _driver(pool)
    made = _play(driver, x, lambda now: pool.jobs and pool.work())
    y = np.concatenate([one.wet for one in made])
    assert driver.missed == 0 and y == pytest.approx(x[: len(y)] / 2)
    assert [one.start for one in made] == [i * 800 for i in range(len(made))]


def test_blocks_of_a_pool_that_never_answers_go_out_as_they_came_and_in_time() -> None:
    pool, x = Slow(), noise(RATE, 1)[:, 0]
    driver = _driver(pool)
    made = _play(driver, x, lambda now: None)
    y = np.concatenate([one.wet for one in made])
    assert np.array_equal(y, x[: len(y)]) and all(one.missed for one in made)
    assert driver.missed == len(made) >= 16
    assert len(x) - len(y) <= round(0.15 * RATE) + 800 + FRAME, "nothing waits for longer than was allowed"
    assert len(pool.jobs) == 1, "nothing is queued behind the one under way"


def test_after_a_hang_conversion_goes_on_at_once_and_old_answers_are_left_aside() -> None:
    pool, x = Slow(), noise(2 * RATE, 1)[:, 0]
    driver = _driver(pool)
    made = _play(driver, x, lambda now: pool.jobs and not 0.5 * NS < now < 1.0 * NS and pool.work())
    late = [one.start / RATE for one in made if one.missed]
    assert late and 0.3 < min(late) and max(late) < 1.0
    assert driver.missed == len(late)
    assert not any(one.missed for one in made[-10:])


def test_the_deadline_is_the_captured_time_and_what_is_allowed() -> None:
    driver = _driver(Slow())
    assert driver.deadline_ns() is None
    driver.push(np.zeros(RATE, np.float32), 5 * NS)
    assert driver.deadline_ns() == 4 * NS + round(0.15 * NS), "sample 0 was captured a second before the newest"


def test_replayed_sound_is_not_counted_as_missed() -> None:
    driver = _driver(Slow())
    driver.push(np.zeros(RATE // 2, np.float32), NS, replay=True)
    assert list(driver.step(10 * NS)) and driver.missed == 0


@pytest.mark.parametrize("way", ["finish", "abandon"])
def test_every_sample_comes_out_at_the_end(way: str) -> None:
    driver, x = Driver(BlockConverter(Halved(), RATE)), noise(10_007, 1)[:, 0]
    driver.push(x)
    made = [*driver.step(0)]
    made += driver.finish(lambda: 0) if way == "finish" else driver.abandon()
    assert sum(len(one.wet) for one in made) == len(x)
    driver.reset()
    driver.push(x)
    again = [*driver.step(0), *driver.finish(lambda: 0)]
    assert np.concatenate([one.wet for one in again]) == pytest.approx(x / 2)


def test_a_failing_converter_says_so() -> None:
    class Broken(Halved):
        def convert(self, x: np.ndarray, start: int) -> np.ndarray:
            raise ValueError("no voice")

    driver = Driver(BlockConverter(Broken(), RATE))
    driver.push(np.zeros(RATE, np.float32))
    with pytest.raises(ValueError, match="no voice"):
        list(driver.step(0))


def _made(level: float, *, missed: bool = False) -> Made:
    dry = np.full(1_000, 0.5, np.float32)
    return Made(0, dry, np.full(800, level, np.float32), missed)


def test_bypass_is_the_own_voice_after_a_ramp_and_back() -> None:
    mix = Mix(RATE, bypass=False, gain_db=0.0, gate_db=-120.0)
    assert (mix.process(_made(0.1)) == np.float32(0.1)).all()
    mix.bypass(True)
    y = mix.process(_made(0.1))[:, 0]
    assert y[0] < 0.11 and y[320:] == pytest.approx(0.5) and np.abs(np.diff(y)).max() < 0.4 / 300
    mix.bypass(False)
    assert mix.process(_made(0.1))[-1, 0] == pytest.approx(0.1)


def test_what_was_late_can_be_silent() -> None:
    mix = Mix(RATE, bypass=False, gain_db=0.0, gate_db=-120.0, late="silence")
    mix.process(_made(0.1))
    assert not mix.process(_made(0.5, missed=True))[320:].any()
    assert mix.process(_made(0.1))[-1, 0] == pytest.approx(0.1)


def test_gain_and_gate() -> None:
    mix = Mix(RATE, bypass=False, gain_db=-20.0, gate_db=-120.0)
    assert mix.process(_made(1.0)) == pytest.approx(0.1)
    mix.gate(0.0)
    for _ in range(6):
        y = mix.process(_made(1.0))
    assert not y[-100:].any(), "half of full scale is below 0 dBFS"
    mix.gate(-120.0)
    mix.gain(0.0)
    assert mix.process(_made(1.0))[-1, 0] == pytest.approx(1.0)
