from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.clock import ClockLine, ClockRecord, MonotonicClock, VirtualClock

lines = st.builds(
    ClockLine, st.floats(0, 1e10).map(round), st.integers(0, 10**15), st.sampled_from([44_100.0, 48_000.4, 8_000.0])
)


@given(lines, st.integers(0, 10**13))
def test_position_and_time_are_inverses(line: ClockLine, later_ns: int) -> None:
    """Within a nanosecond, and the hundredth of a sample that a float64 keeps of a week's position."""
    at = line.host_ns + later_ns
    assert abs(line.host_ns_at(line.position_at(at)) - at) <= 1 + 1e9 / line.rate * 0.01
    assert math.isclose(line.position_at(line.host_ns + 10**9) - line.position, line.rate, rel_tol=1e-6)


def test_the_record_shows_the_newest_line_to_everybody(tmp_path: Path) -> None:
    writer = ClockRecord(tmp_path / "clock", create=True)
    reader = ClockRecord(tmp_path / "clock")
    assert reader.read() is None
    for number in range(3):
        line = ClockLine(number * 480.5, number * 10_000_000, 48_000.25)
        writer.publish(line)
        assert reader.read() == writer.read() == line
    writer.close()
    line = ClockLine(999.0, 1, 44_100.0)
    successor = ClockRecord(tmp_path / "clock")
    successor.publish(line, discont=True)
    assert reader.read() == line
    assert (tmp_path / "clock").stat().st_mode & 0o777 == 0o600
    reader.close()
    successor.close()


def test_a_writer_that_dies_inside_an_update_leaves_the_old_line(tmp_path: Path) -> None:
    """Half a line is never seen; time goes straight on until a successor mends the record."""
    writer = ClockRecord(tmp_path / "clock", create=True)
    reader = ClockRecord(tmp_path / "clock")
    line = ClockLine(480.0, 10_000_000, 48_000.0)
    writer.publish(line)
    assert reader.read() == line
    struct.pack_into("<Qd", writer._map, 0, 3, 1e9)
    assert reader.read() == line
    stranger = ClockRecord(tmp_path / "clock")
    assert stranger.read() is None
    writer.publish(ClockLine(960.0, 20_000_000, 48_000.0))
    assert reader.read() == stranger.read() == ClockLine(960.0, 20_000_000, 48_000.0)
    for record in (writer, reader, stranger):
        record.close()


@pytest.mark.parametrize("clock", [MonotonicClock(), VirtualClock()])
def test_time_never_goes_back(clock: MonotonicClock | VirtualClock) -> None:
    before = clock.now_ns()
    if isinstance(clock, VirtualClock):
        clock.advance_to(before + 5)
        clock.advance_to(before)
        assert clock.now_ns() == before + 5
    assert clock.now_ns() >= before
