import numpy as np
import pytest

from audio_pipeline.dsp.dll import Dll
from audio_pipeline.errors import ConfigError

RATE, BLOCK = 48_000, 480


def reports(ppm: float, jitter_ms: float, seconds: int, seed: int = 1) -> list[tuple[int, int, float]]:
    """(position, jittery host time, true host time) of a clock that is `ppm` fast, each 10 ms."""
    rng, rate = np.random.default_rng(seed), RATE * (1 + ppm * 1e-6)
    true = [5e9 + k * BLOCK / rate * 1e9 for k in range(seconds * RATE // BLOCK)]
    return [(k * BLOCK, round(t + abs(rng.normal(0, jitter_ms)) * 1e6), t) for k, t in enumerate(true)]


@pytest.mark.parametrize("ppm", [-200.0, 0.0, 200.0])
def test_finds_the_true_rate_of_a_drifting_clock(ppm: float) -> None:
    dll = Dll(RATE)
    for position, host_ns, _ in reports(ppm, jitter_ms=0.5, seconds=60):
        dll.update(position, host_ns)
    assert (dll.rate / RATE - 1) * 1e6 == pytest.approx(ppm, abs=20)  # the jitter is 5 % of a block


def test_removes_most_of_the_jitter() -> None:
    dll, errors = Dll(RATE), []
    for position, host_ns, true in reports(100.0, jitter_ms=2.0, seconds=60):
        dll.update(position, host_ns)
        errors.append(dll.host_ns_at(position) - true)
    settled = np.array(errors[3_000:])
    # callbacks are only ever late: the mean delay (1.6 ms) stays; what moves is less than a tenth of it
    assert settled.std() < 0.15e6
    assert settled.mean() == pytest.approx(2.0e6 * np.sqrt(2 / np.pi), rel=0.1)


def test_is_near_from_the_first_second_on() -> None:
    dll = Dll(RATE)
    for position, host_ns, true in reports(0.0, jitter_ms=0.5, seconds=2):
        dll.update(position, host_ns)
        assert abs(dll.host_ns_at(position) - true) < 2e6


def test_a_jump_is_reported_and_followed_at_once() -> None:
    dll = Dll(RATE)
    assert dll.update(0, 1_000_000_000)
    assert not dll.update(BLOCK, 1_010_000_000)
    assert dll.update(2 * BLOCK, 1_320_000_000)  # the device stood still for 300 ms
    assert dll.host_ns_at(2 * BLOCK) == 1_320_000_000


def test_position_and_time_are_inverse() -> None:
    dll = Dll(RATE)
    for position, host_ns, _ in reports(50.0, jitter_ms=0.2, seconds=5):
        dll.update(position, host_ns)
    assert dll.position_at(dll.host_ns_at(123_456.5)) == pytest.approx(123_456.5, abs=1e-3)


def test_a_repeated_position_changes_nothing() -> None:
    dll = Dll(RATE)
    dll.update(0, 10**9)
    dll.update(BLOCK, 10**9 + 10_000_000)
    before = (dll.rate, dll.host_ns_at(0))
    dll.update(BLOCK, 10**9 + 12_000_000)
    assert (dll.rate, dll.host_ns_at(0)) == before


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="bandwidth below 10 Hz, got 48000, 0"):
        Dll(RATE, 0)
