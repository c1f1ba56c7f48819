import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.playout import FADE_MS, PATIENCE_MS, SLACK_MS, Playout
from tests.dsp.chunking import noise, tone

RATE = 48_000
FADE = RATE * FADE_MS // 1000
BUFFER = 1_440
FRAME = 480


def play(reads: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(reads)


@pytest.mark.parametrize("size", [1, 17, 480, 1_024])
def test_every_sample_comes_in_its_place_bit_for_bit(size: int) -> None:
    x, out = noise(9_600), Playout(2, RATE)
    out.write(5_000, x, BUFFER)
    out.finish()
    y = play([out.read(size) for _ in range(-(-(BUFFER + len(x) + 700) // size))])
    assert not y[:BUFFER].any()
    assert np.array_equal(y[BUFFER : BUFFER + len(x)], x)
    assert not y[BUFFER + len(x) :].any()
    assert (out.gaps, out.concealed_samples) == (0, 0)
    assert out.drained


@given(st.lists(st.integers(1, 700), min_size=30, max_size=60), st.integers(0, 2_000))
def test_any_arrival_in_time_is_played_whole(sizes: list[int], start: int) -> None:
    """Frames of any size: nothing is lost as long as 10 ms more than a read are always there."""
    x, out, written, reads = noise(sum(sizes)), Playout(2, RATE), 0, []
    for size in sizes:
        out.write(start + written, x[written : written + size], BUFFER)
        written += size
        while out.head is not None and start + written - out.head >= 480 + FADE:
            reads.append(out.read(480))
    out.finish()
    reads += [out.read(480) for _ in range(6)]
    y = play(reads)[BUFFER:]
    assert np.array_equal(y[: len(x)], x)
    assert out.gaps == 0


def test_silence_before_anything_arrives_is_no_gap() -> None:
    out = Playout(2, RATE)
    assert not out.read(4_800).any()
    assert out.gaps == 0


def test_a_hole_fades_out_over_real_samples_and_in_again() -> None:
    x, out = np.ones((24_000, 2), np.float32), Playout(2, RATE)
    out.write(0, x[:9_600], 0)
    y = [out.read(480) for _ in range(25)]  # 2,400 samples more than there are
    out.write(12_000, x[12_000:], 0)
    y += [out.read(480) for _ in range(20)]
    level = play(y)[:, 0]
    assert np.all(level[: 9_600 - FADE] == 1)
    assert np.abs(np.diff(level)).max() <= 1 / FADE + 1e-6  # no step larger than that of a 10 ms fade
    assert not level[9_600:12_000].any()
    assert np.all(level[12_000 + FADE : 21_000] == 1)
    assert (out.gaps, out.concealed_samples, out.longest_gap_samples) == (1, 2_400, 2_400)


def test_late_samples_are_counted_and_not_played() -> None:
    out = Playout(2, RATE)
    out.write(0, noise(480), 0)
    out.read(960)
    out.write(480, noise(480), 0)
    assert out.late_samples == 480
    assert not out.read(480).any()


def test_a_burst_after_a_stall_does_not_move_the_anchor() -> None:
    """A second without frames, then all of them at once: the stale ones go, the fresh ones are in time."""
    x, out = noise(4 * RATE), Playout(2, RATE)
    out.write(0, x[: RATE + BUFFER], 0)
    for _ in range(200):
        out.read(480)
    for position in range(RATE + BUFFER, 3 * RATE, FRAME):
        out.write(position, x[position : position + FRAME], BUFFER)
    assert out.head == 2 * RATE
    y = play([out.read(480) for _ in range(50)])
    assert np.array_equal(y[FADE:], x[2 * RATE + FADE : 2 * RATE + 24_000])


def test_frames_that_stay_late_are_followed() -> None:
    """A path that became 100 ms slower is heard again after the patience, from then on without a hole."""
    x, out, late = noise(4 * RATE), Playout(2, RATE), RATE // 10
    out.write(0, x[:FRAME], BUFFER)
    y = []
    for position in range(FRAME, 3 * RATE, FRAME):
        y.append(out.read(FRAME))
        if position >= late:
            out.write(position - late, x[position - late : position - late + FRAME], BUFFER)
    output = play(y)
    assert out.gaps == 1
    assert out.longest_gap_samples <= RATE * (PATIENCE_MS + 150) // 1000
    tail = output[-RATE:]
    at = int(np.argmax([np.array_equal(x[k : k + 480], tail[:480]) for k in range(3 * RATE)]))
    assert np.array_equal(tail, x[at : at + RATE])


def test_a_jump_far_ahead_is_played_soon_and_without_a_click() -> None:
    x, out = tone(RATE, 100, RATE, 2), Playout(2, RATE)
    out.write(0, x, BUFFER)
    y = [out.read(480) for _ in range(50)]
    out.write(60 * RATE, x, BUFFER)  # a minute ahead
    y += [out.read(480) for _ in range(50)]
    output = play(y)
    assert np.abs(np.diff(output[:, 0])).max() < 0.5 * (2 * np.pi * 100 / RATE) + 1 / FADE
    start = 50 * 480 + BUFFER
    assert np.array_equal(output[start + FADE :], x[FADE : 50 * 480 - BUFFER])
    assert out.gaps == 0


def test_delay_left_by_device_dropouts_is_cut_out_again() -> None:
    """The device skipped 100 ms of reads: the sound is 100 ms later, and 10 s after that it is not."""
    x, out = tone(30 * RATE, 440, RATE, 2), Playout(2, RATE)
    written, y = 0, []

    def go(seconds: int) -> None:
        nonlocal written
        for _ in range(seconds * 100):
            out.write(written, x[written : written + FRAME], BUFFER)
            written += FRAME
            y.append(out.read(FRAME))

    go(6)
    for _ in range(10):  # frames keep coming while the device stands still
        out.write(written, x[written : written + FRAME], BUFFER)
        written += FRAME
    go(1)
    assert out.head is not None
    assert written - out.head == BUFFER + 10 * FRAME
    go(11)
    assert written - out.head == BUFFER
    assert out.skipped_samples == 10 * FRAME > RATE * SLACK_MS // 1000
    output = play(y)[BUFFER:]
    assert np.abs(np.diff(output[:, 0])).max() < 0.5 * (2 * np.pi * 440 / RATE) + 1 / FADE
    assert out.gaps == 0


def test_a_cancel_is_silence_within_10_ms_and_no_gap() -> None:
    x, out = np.ones((RATE, 2), np.float32), Playout(2, RATE)
    out.write(0, x, 0)
    out.read(480)
    out.cancel()
    y = play([out.read(480) for _ in range(10)])
    assert np.abs(np.diff(y[:, 0], prepend=1.0)).max() <= 1 / FADE + 1e-6
    assert not y[FADE:].any()
    out.write(5 * RATE, x, BUFFER)
    z = play([out.read(480) for _ in range(10)])
    assert not z[:BUFFER].any()
    assert np.abs(np.diff(z[:, 0])).max() <= 1 / FADE + 1e-6
    assert np.all(z[BUFFER + FADE :] == 1)
    assert out.gaps == 0


def test_delay_that_a_device_adds_while_it_starts_is_no_habit() -> None:
    """It stood still for 300 ms right after the first frame: what was asked for at the first frame is what counts."""
    out, written = Playout(2, RATE), 0
    for stands_still in [False] * 1 + [True] * 30 + [False] * 1100:
        out.write(written, np.full((FRAME, 2), 0.1, np.float32), BUFFER)
        written += FRAME
        if not stands_still:
            out.read(FRAME)
    assert out.head is not None and written - out.head == BUFFER
    assert out.skipped_samples == 30 * FRAME and out.gaps == 0
