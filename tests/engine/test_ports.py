from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, Frame, Samples, audio_frame, gap_frame
from audio_pipeline.links.framer import Framer
from audio_pipeline.links.ports import MAX_HOLE_S, Continuity, Converter
from tests.engine.graphs import noise

RATE = 48_000
chunkings = st.lists(st.integers(1, 1500), min_size=1, max_size=5)


def frames(x: Samples, start: int, rate: int, chunks: list[int], *, end: bool = True, **fields: Any) -> list[Frame]:
    """`x` cut into frames; the last is followed by an END."""
    found, position = [], start
    while position < start + len(x):
        n = chunks[len(found) % len(chunks)]
        found.append(audio_frame(x[position - start : position - start + n], position, rate, **fields))
        position = found[-1].end
    return found + ([gap_frame(0, position, rate, x.shape[1], flags=Flag.END)] if end else [])


def joined(found: list[Frame]) -> tuple[int, Samples]:
    """First position and samples of frames that must be neighbours."""
    sound = [frame for frame in found if frame.samples]
    for before, after in zip(sound, sound[1:], strict=False):
        assert after.position == before.end
    return sound[0].position, np.concatenate([frame.audio() for frame in sound])


# -- conversion --------------------------------------------------------------------------------------


@given(st.sampled_from([44_100, 22_050, 16_000, 96_000, 11_025]), st.integers(0, 1000), chunkings)
def test_conversion_in_any_chunks_from_any_start_keeps_positions_exact(
    rate: int, start: int, chunks: list[int]
) -> None:
    """From the first whole output position on it is the conversion of everything from there, to the bit."""
    x = noise(start, 6000)
    converter = Converter(RATE, None)
    position, y = joined([converter.convert(frame) for frame in frames(x, start, rate, chunks)])
    whole = StreamResampler(rate, RATE, 2)
    first = whole.next_start(start)
    want = np.concatenate([whole.process(x[first - start :]), whole.flush()])
    assert position == whole.map_position(first) and first - start < whole.step_samples
    np.testing.assert_array_equal(y, want)


def test_frames_at_the_right_rate_pass_untouched() -> None:
    frame = audio_frame(noise(0, 480), 7, RATE, seq=3, captured_ns=5)
    assert Converter(RATE, None).convert(frame) is frame
    assert Converter(RATE, 2).convert(frame) is frame


@pytest.mark.parametrize(("channels", "wanted"), [(1, 2), (2, 1), (6, 2)])
def test_channels_are_converted_and_gaps_stay_gaps(channels: int, wanted: int) -> None:
    converter = Converter(RATE, wanted)
    made = converter.convert(audio_frame(np.ones((480, channels), np.float32), 0, RATE))
    assert made.audio().shape == (480, wanted)
    gap = converter.convert(gap_frame(480, 480, RATE, channels))
    assert gap.data is None and (gap.samples, gap.channels) == (480, wanted)


def test_a_jump_starts_the_filter_anew_and_nothing_of_before_rings_on() -> None:
    converter = Converter(RATE, None)
    for frame in frames(np.ones((4410, 1), np.float32), 0, 44_100, [441], end=False):
        converter.convert(frame)
    silent = np.zeros((4410, 1), np.float32)
    y = [converter.convert(frame) for frame in frames(silent, 100_000, 44_100, [441])]
    position, found = joined(y)
    assert not found.any() and position == -(-100_107 * RATE // 44_100)  # the next multiple of 147 after 100 000


def test_the_age_of_a_sample_is_kept_through_the_filter() -> None:
    """`captured_ns` belongs to the newest sample that comes out, not to the one that went in."""
    converter = Converter(RATE, None)
    for frame in frames(noise(0, 44_100), 0, 44_100, [441, 100], end=False):
        made = converter.convert(replace(frame, captured_ns=10**9 + round(frame.end / 44_100 * 1e9)))
        assert abs(made.captured_ns - 10**9 - made.end / RATE * 1e9) < 2
    assert converter.convert(audio_frame(noise(0, 441), 44_100, 44_100)).captured_ns == 0, "unknown stays unknown"


def test_marks_wait_for_their_sound() -> None:
    converter = Converter(RATE, None)
    first = converter.convert(audio_frame(noise(0, 10), 0, 16_000, flags=Flag.SEGMENT_START))
    later = [converter.convert(audio_frame(noise(0, 10), at, 16_000)) for at in range(10, 2000, 10)]
    assert first.samples == 0, "nothing comes out of the filter yet"
    marked = [frame for frame in later if frame.samples and frame.flags & Flag.SEGMENT_START]
    assert len(marked) == 1 and marked[0] is next(frame for frame in later if frame.samples)


def test_an_end_without_sound_and_idleness_are_mapped() -> None:
    converter = Converter(RATE, None)
    assert converter.convert(gap_frame(0, 441, 44_100, 2)).position == 480
    end = converter.convert(gap_frame(0, 44_100, 44_100, 2, flags=Flag.END))
    assert (end.position, end.samples, end.rate) == (48_000, 0, RATE) and end.flags & Flag.END


pieces_of = st.tuples(st.integers(0, 3000), st.integers(0, 400), st.sampled_from([8_000, 44_100]), st.integers(1, 3))


@given(st.lists(pieces_of, max_size=8))
def test_any_sequence_of_frames_is_converted_without_a_crash(pieces: list[tuple[int, int, int, int]]) -> None:
    converter = Converter(RATE, None)
    for position, n, rate, channels in pieces:
        made = converter.convert(audio_frame(np.ones((n, channels), np.float32), position, rate))
        assert made.rate == RATE and made.audio().shape == (made.samples, channels)


# -- continuity --------------------------------------------------------------------------------------


def repaired(*found: Frame) -> list[Frame]:
    continuity = Continuity()
    return [whole for frame in found for whole in continuity.repair(frame)]


@given(st.sets(st.integers(0, 29)), st.lists(st.integers(0, 29), max_size=10))
def test_whatever_is_lost_or_repeated_the_stream_is_whole(lost: set[int], repeated: list[int]) -> None:
    """Lost frames become marked gaps of their length, what came before is not heard twice."""
    x = noise(0, 30 * 480)
    sent = frames(x, 0, RATE, [480])
    for number in sorted(repeated):
        sent.insert(number + 1, sent[number])
    sent = [frame for frame in sent if frame.position // 480 not in lost - {0}]
    got = repaired(*sent)
    position, y = joined(got)
    assert (position, len(y)) == (0, 30 * 480)
    gone = [number for number in range(1, 30) if number in lost]
    back = [number for number in range(1, 30) if number - 1 in gone and number not in gone]
    for number in set(range(30)) - {*gone, *back}:
        span = slice(number * 480, (number + 1) * 480)
        np.testing.assert_array_equal(y[span], x[span])
    assert {p // 480 for f in got if f.flags & Flag.CONCEALED for p in range(f.position, f.end, 480)} == lost - {0}


def test_a_loss_fades_out_and_in_and_does_not_click() -> None:
    """A tone with 30 ms missing: no step larger than the tone's own plus the fade's, and silence between."""
    x = np.sin(2 * np.pi * 440 / RATE * np.arange(7 * 480))[:, None].astype(np.float32)
    sent = [frame for frame in frames(x, 0, RATE, [480], end=False) if frame.position // 480 not in (2, 3, 4)]
    y = joined(repaired(*sent))[1][:, 0]
    assert np.abs(np.diff(y)).max() <= 2 * np.pi * 440 / RATE + 1 / 480
    assert not y[3 * 480 : 5 * 480].any()
    np.testing.assert_array_equal(y[6 * 480 :], x[6 * 480 :, 0])


def test_overlaps_are_trimmed_to_the_sample() -> None:
    x = noise(0, 2000)
    got = repaired(
        audio_frame(x[:700], 0, RATE), audio_frame(x[500:1500], 500, RATE), audio_frame(x[1400:], 1400, RATE)
    )
    np.testing.assert_array_equal(joined(got)[1], x)


def test_a_long_hole_is_a_new_beginning() -> None:
    far = round(MAX_HOLE_S * RATE) + 481
    first, second = repaired(audio_frame(noise(0, 480), 0, RATE), audio_frame(noise(0, 480), far, RATE))
    assert second.position == far and second.flags & Flag.DISCONTINUITY and not second.flags & Flag.GAP


def test_a_stated_jump_is_no_loss_whichever_way_it_goes() -> None:
    jump = audio_frame(noise(0, 480), 100, RATE, flags=Flag.DISCONTINUITY)
    after = audio_frame(noise(0, 480), 580, RATE)
    assert repaired(audio_frame(noise(0, 480), 5000, RATE), jump, after)[1:] == [jump, after]


def test_idleness_says_nothing_of_what_lies_between() -> None:
    """A paused source knows of samples that still wait to fill a frame; they are not lost."""
    x = noise(0, 960)
    sent = [audio_frame(x[:480], 0, RATE), *[gap_frame(0, 700, RATE, 2)] * 5, audio_frame(x[480:], 480, RATE)]
    np.testing.assert_array_equal(joined(repaired(*sent))[1], x)


def test_an_end_that_comes_early_is_heard_and_its_lost_tail_is_concealed() -> None:
    lost, end = repaired(audio_frame(noise(0, 480), 0, RATE), gap_frame(0, 1000, RATE, 2, flags=Flag.END))[1:]
    assert (lost.position, lost.samples) == (480, 520) and lost.flags & Flag.CONCEALED
    assert end.flags & Flag.END and end.position == 1000
    again = repaired(audio_frame(noise(0, 480), 0, RATE), gap_frame(0, 100, RATE, 2, flags=Flag.END))[1:]
    assert [bool(frame.flags & Flag.END) for frame in again] == [True]


# -- framing -----------------------------------------------------------------------------------------


class Bench:
    """A framer with what it sent."""

    def __init__(self, frame: int = 480) -> None:
        self.sent: list[Frame] = []
        self.counts: Counter[str] = Counter()
        self.framer = Framer(frame, RATE, self.sent.append, self._count)

    def _count(self, name: str, amount: int) -> None:
        self.counts[name] += amount

    def emit(self, x: Samples, position: int, flags: Flag = Flag.NONE, rate: int = RATE) -> None:
        captured_ns = 10**9 + round((position + len(x)) / rate * 1e9)
        self.framer.emit(x, position, rate, flags, captured_ns)


@given(chunkings, st.integers(0, 10_000), st.sampled_from([48, 441, 480]))
def test_blocks_of_any_size_become_frames_of_one_size_with_their_own_age(chunks: list[int], start: int, n: int) -> None:
    bench = Bench(n)
    x = noise(start, 5000)
    for frame in frames(x, start, RATE, chunks, end=False):
        bench.emit(frame.audio(), frame.position)
    bench.framer.flush()
    position, y = joined(bench.sent)
    assert position == start
    np.testing.assert_array_equal(y, x)
    assert {frame.samples for frame in bench.sent[:-1]} == {n}
    for frame in bench.sent:
        assert abs(frame.captured_ns - 10**9 - frame.end / RATE * 1e9) < 2


def test_an_unknown_time_of_capture_stays_unknown_in_every_frame_of_a_block() -> None:
    bench = Bench()
    bench.framer.emit(noise(0, 1440), 0, RATE, Flag.NONE, 0)
    assert [frame.captured_ns for frame in bench.sent] == [0, 0, 0]


def test_frames_have_the_length_of_the_graphs_frame_at_any_rate() -> None:
    bench = Bench()
    bench.emit(noise(0, 441), 0, rate=44_100)
    assert [(frame.samples, frame.rate) for frame in bench.sent] == [(441, 44_100)]


def test_a_jump_flushes_and_is_marked() -> None:
    bench = Bench()
    bench.emit(noise(0, 500), 0)
    bench.emit(noise(0, 500), 9000, Flag.SEGMENT_START)
    shape = [(frame.position, frame.samples, frame.flags) for frame in bench.sent]
    assert shape == [(0, 480, Flag.NONE), (480, 20, Flag.NONE), (9000, 480, Flag.DISCONTINUITY | Flag.SEGMENT_START)]


def test_marks_stand_at_the_frames_they_belong_to() -> None:
    """A block of a model's hop becomes many frames: all are marked as made up, and the last one ends the word."""
    bench = Bench()
    bench.emit(noise(0, 700), 0)
    bench.emit(noise(0, 1000), 700, Flag.CONCEALED | Flag.SEGMENT_START | Flag.SEGMENT_END)
    bench.emit(noise(0, 700), 1700)
    bench.framer.flush()
    both = Flag.SEGMENT_START | Flag.CONCEALED
    assert [frame.flags for frame in bench.sent] == [0, both, Flag.CONCEALED, Flag.CONCEALED | Flag.SEGMENT_END, 0]


def test_another_rate_or_number_of_channels_never_shares_a_frame() -> None:
    bench = Bench()
    bench.emit(noise(0, 500), 0)
    bench.emit(noise(0, 500)[:, :1], 500)
    assert [(frame.samples, frame.channels) for frame in bench.sent] == [(480, 2), (20, 2), (480, 1)]


@pytest.mark.parametrize(
    ("rate", "channels", "said"),
    [
        (RATE, 33, "33 channels cannot be sent, expected 1 to 32"),
        (RATE, 0, "0 channels cannot be sent"),
        (999, 2, "999 Hz cannot be sent, expected 1000 to 768000"),
        (768_001, 2, "768001 Hz cannot be sent"),
    ],
)
def test_sound_that_no_frame_can_carry_is_refused(rate: int, channels: int, said: str) -> None:
    bench = Bench()
    bench.emit(noise(0, 480), 0)
    with pytest.raises(WireError, match=said):
        bench.emit(np.zeros((480, channels), np.float32), 480, rate=rate)
    bench.emit(noise(0, 480), 480)
    assert [(frame.position, frame.samples) for frame in bench.sent] == [(0, 480), (480, 480)]


def test_a_cancel_throws_the_rest_away_and_starts_another_generation() -> None:
    bench = Bench()
    bench.emit(noise(0, 500), 0)
    bench.framer.cancel(4)
    bench.emit(noise(0, 500), 20_000)
    shape = [(frame.position, frame.samples, frame.generation, frame.flags) for frame in bench.sent]
    assert shape == [(0, 480, 0, Flag.NONE), (20_000, 480, 4, Flag.DISCONTINUITY)]


def test_what_is_no_number_is_silence_and_counted() -> None:
    bench = Bench(4)
    bench.emit(np.array([[1.0], [np.nan], [np.inf], [-1.0]], np.float32), 0)
    assert bench.counts["bad_samples"] == 2
    np.testing.assert_array_equal(bench.sent[0].audio()[:, 0], [1, 0, 0, -1])


def test_the_end_stands_behind_the_last_sample() -> None:
    bench = Bench()
    assert bench.framer.last(7, RATE, 1, 99).position == 7
    bench.emit(noise(0, 500), 1000)
    end = bench.framer.last(0, RATE, 1, 99)
    assert (end.position, end.samples, end.channels) == (1500, 0, 2) and end.flags & Flag.END
    assert bench.sent[-1].end == 1500


def test_orientation_is_never_guessed() -> None:
    with pytest.raises(ValueError, match=r"shape \(480,\), expected \(samples, channels\)"):
        Bench().emit(np.zeros(480, np.float32), 0)
