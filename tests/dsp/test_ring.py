from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.ring import PositionRing
from audio_pipeline.errors import ConfigError


def ramp(position: int, n: int) -> np.ndarray:
    """Samples that carry their own position, one higher so that none of them is 0."""
    p = np.arange(position, position + n, dtype=np.float32) + 1
    return np.stack([p, -p], axis=1)


def test_reads_back_what_was_written_across_the_wrap() -> None:
    ring = PositionRing(2, 100)
    for position in range(0, 1000, 30):
        ring.write(position, ramp(position, 30))
        ring.discard_before(position - 20)
    assert (ring.floor, ring.end) == (970, 1020)
    np.testing.assert_array_equal(ring.read(970, 50), ramp(970, 50))
    assert ring.run(970) == 50 and ring.run(1019) == 1 and ring.run(1020) == 0


def test_hole_reads_as_silence_and_ends_the_run() -> None:
    ring = PositionRing(2, 100)
    ring.write(0, ramp(0, 10))
    ring.write(20, ramp(20, 10))
    assert (ring.run(0), ring.run(10), ring.run(20)) == (10, 0, 10)
    assert not ring.read(10, 10).any()
    ring.write(10, ramp(10, 10))
    assert ring.run(0) == 30
    np.testing.assert_array_equal(ring.read(0, 30), ramp(0, 30))


def test_later_write_wins() -> None:
    ring = PositionRing(1, 100)
    ring.write(0, np.ones((50, 1), np.float32))
    ring.write(20, np.full((10, 1), 2, np.float32))
    assert ring.read(0, 50)[:, 0].tolist() == [1.0] * 20 + [2.0] * 10 + [1.0] * 20


def test_late_samples_are_counted_and_ignored() -> None:
    ring = PositionRing(2, 100)
    ring.write(0, ramp(0, 50))
    ring.discard_before(40)
    assert ring.write(30, ramp(30, 30)) == (10, 0)
    assert ring.write(0, ramp(0, 40)) == (40, 0)
    assert not ring.read(30, 10).any()
    np.testing.assert_array_equal(ring.read(40, 20), ramp(40, 20))


def test_overflow_pushes_the_oldest_out() -> None:
    ring = PositionRing(2, 100)
    ring.write(0, ramp(0, 90))
    assert ring.write(90, ramp(90, 40)) == (0, 30)
    assert (ring.floor, ring.end) == (30, 130)
    assert ring.write(200, ramp(200, 10)) == (0, 80)  # 30..110: the hole behind 130 costs nothing
    np.testing.assert_array_equal(ring.read(110, 20), ramp(110, 20))


def test_block_larger_than_the_ring_keeps_its_end() -> None:
    ring = PositionRing(2, 16)
    assert ring.write(5, ramp(5, 100)) == (0, 84)
    np.testing.assert_array_equal(ring.read(89, 16), ramp(89, 16))


def test_clear_is_as_new() -> None:
    ring = PositionRing(2, 100)
    ring.write(500, ramp(500, 10))
    ring.clear()
    assert (ring.floor, ring.end, ring.run(500)) == (0, 0, 0)
    assert not ring.read(500, 10).any()
    ring.clear(floor=70)
    assert ring.write(60, ramp(60, 20)) == (10, 0)


def test_empty_write_and_read_change_nothing() -> None:
    ring = PositionRing(2, 100)
    assert ring.write(50, ramp(50, 0)) == (0, 0)
    assert (ring.floor, ring.end) == (0, 0)
    assert ring.read(0, 0).shape == (0, 2)


def test_far_future_is_within_reach() -> None:
    ring = PositionRing(1, 480)
    week = 7 * 24 * 3600 * 48000
    ring.write(week, np.ones((10, 1), np.float32))
    assert ring.floor == week + 10 - 480 and ring.run(week) == 10


@pytest.mark.parametrize(("channels", "capacity"), [(0, 10), (2, 0)])
def test_refuses_nothing(channels: int, capacity: int) -> None:
    with pytest.raises(ConfigError, match="at least 1 channel and 1 sample"):
        PositionRing(channels, capacity)


operations = st.lists(
    st.tuples(st.sampled_from(["write", "discard"]), st.integers(0, 90), st.integers(0, 40)), max_size=30
)


@given(operations)
def test_agrees_with_a_dictionary(steps: list[tuple[str, int, int]]) -> None:
    """The model: position -> value, a floor, and a capacity from the end."""
    ring, model, floor = PositionRing(1, 32), dict[int, float](), 0
    for k, (what, position, n) in enumerate(steps):
        if what == "discard":
            ring.discard_before(position)
            floor = max(floor, position)
            model = {p: v for p, v in model.items() if p >= floor}
            continue
        late = min(n, max(0, floor - position))
        result = ring.write(position, np.full((n, 1), k + 1, np.float32))
        kept = {p: k + 1.0 for p in range(max(position, floor), position + n)}
        before = {**model, **kept}
        if kept:
            floor = max(floor, position + n - 32)
        model = {p: v for p, v in before.items() if p >= floor}
        assert result == (late, len(before) - len(model))
    assert ring.floor == floor
    assert ring.end == max(model, default=floor - 1) + 1
    assert ring.read(0, 140)[:, 0].tolist() == [model.get(p, 0.0) for p in range(140)]
    for p in range(0, 140, 7):
        assert ring.run(p) == next(i for i in range(200) if p + i not in model)
