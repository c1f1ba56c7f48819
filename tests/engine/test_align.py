"""One channel, frames of 10 ms at 48 kHz; time is a number that the tests move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.align.aligner import Aligner
from audio_pipeline.align.input import AlignSpec
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Samples, audio_frame, gap_frame, tag_of
from tests.engine.graphs import align_spec as spec
from tests.engine.graphs import link_key, noise

RATE, N, FADE = 48_000, 480, 480
FRAME_NS = 10_000_000


def ns(samples: float) -> int:
    return round(samples / RATE * 1e9)


def ones(position: int, n: int) -> Samples:
    return np.ones((n, 1), np.float32)


def song(position: int, n: int) -> Samples:
    return noise(position, n)[:, :1]


def tone(position: int, n: int) -> Samples:
    return np.sin(2 * np.pi * 440 / RATE * np.arange(position, position + n))[:, None].astype(np.float32)


TONE_STEP = 2 * np.pi * 440 / RATE


class Desk:
    """An aligner with a frame clock."""

    def __init__(self, *specs: AlignSpec, live: bool = True, frame: int = N, fade: int = FADE) -> None:
        self.counts: Counter[str] = Counter()
        self.aligner = Aligner(specs, frame_samples=frame, fade_samples=fade, live=live, count=self._count)
        self.frame, self.position, self.generation = frame, 0, 0
        self.mail: list[tuple[float, int]] = []  # (when it comes in ms, position) of frames under way
        self.heard: dict[str, list[Samples]] = {spec.key.input: [] for spec in specs}
        self.flags: dict[str, list[Flag]] = {spec.key.input: [] for spec in specs}

    def _count(self, name: str, amount: int) -> None:
        self.counts[name] += amount

    @property
    def now_ns(self) -> int:
        """The tick of frame [p, p + n) is when the clock reads p + n."""
        return ns(self.position + self.frame)

    def push(self, port: str, position: int, x: Samples, due_ns: int = 0) -> str | None:
        frame = audio_frame(x, position, RATE, generation=self.generation, captured_ns=ns(position + len(x)))
        return self.aligner.push(link_key(port), frame, due_ns, self.now_ns)

    def idle(self, port: str, position: int) -> None:
        self.aligner.push(link_key(port), gap_frame(0, position, RATE, 1, generation=self.generation), 0, self.now_ns)

    def end(self, port: str, position: int) -> None:
        frame = gap_frame(0, position, RATE, 1, flags=Flag.END, generation=self.generation)
        self.aligner.push(link_key(port), frame, 0, self.now_ns)

    def tick(self, n: int | None = None) -> None:
        n = self.frame if n is None else n
        for name, (block, flags) in self.aligner.tick(self.position, n, self.now_ns).items():
            assert block.shape == (n, 1)
            self.heard[name].append(block)
            self.flags[name].append(flags)
        self.position += n

    def cancel(self) -> None:
        self.generation += 1
        self.aligner.cancel("song", self.generation)

    def sound(self, name: str = "a") -> Samples:
        return np.concatenate([np.zeros((0, 1), np.float32), *self.heard[name]])[:, 0]


def desk_with(x: object = ones, seconds: float = 0.1, **over: object) -> Desk:
    """One input that has been heard for a while."""
    desk = Desk(spec(**over))
    desk.push("a", 0, x(0, round(seconds * RATE)))  # type: ignore[operator]
    for _ in range(round(seconds * 100) - 2):
        desk.tick()
    return desk


def steps(x: Samples) -> float:
    return float(np.abs(np.diff(x)).max())


# -- alignment, live ---------------------------------------------------------------------------------

chunkings = st.lists(st.integers(1, 2000), min_size=1, max_size=5)


def arrivals(latency: int, chunks: list[int], total: int) -> Iterator[tuple[int, int, int]]:
    """(when, position, samples): each chunk arrives `latency` after its last sample was captured."""
    position = 0
    for i in range(total):
        n = chunks[i % len(chunks)]
        yield position + n + latency, position, n
        position += n
        if position >= total:
            return


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 20_000), chunkings), min_size=1, max_size=3), st.sampled_from([120, 480, 960]))
def test_inputs_of_one_timeline_are_aligned_to_the_sample(inputs: list[tuple[int, list[int]]], frame: int) -> None:
    """Whatever their latencies and chunks: all that was stated truly is heard, with one offset, and nothing else."""
    names = "abc"[: len(inputs)]
    desk = Desk(*(spec(name) for name in names), frame=frame)
    events = sorted(
        (when, name, position, n, latency + max(chunks))
        for name, (latency, chunks) in zip(names, inputs, strict=True)
        for when, position, n in arrivals(latency, chunks, 30_000)
    )
    while desk.position < 60_000:
        while events and ns(events[0][0]) <= desk.now_ns:
            _, name, position, n, stated = events.pop(0)
            desk.push(name, position, song(position, n), ns(position + stated + frame))
        desk.tick()
    (offset,) = desk.aligner.offsets(0).values()
    assert -offset <= max(latency + max(chunks) for latency, chunks in inputs) + 3 * frame + 2000
    for name in names:
        heard = desk.sound(name)[-offset:30_000]
        np.testing.assert_array_equal(heard, song(0, len(heard))[:, 0])
        assert not desk.sound(name)[:-offset].any()
    assert desk.counts["late_samples"] == 0


def test_timelines_do_not_wait_for_each_other() -> None:
    desk = Desk(spec("a", "mic"), spec("b", "song"))
    for at in range(20):
        desk.push("a", at * N, song(at * N, N))
        desk.tick()
    assert set(desk.aligner.offsets(desk.position)) == {"mic"}
    assert desk.sound("a").any() and not desk.sound("b").any()


def test_a_frame_is_not_heard_before_it_is_due() -> None:
    """What comes early at first may come late later: the stated latency is kept from the start."""
    desk = Desk(spec())
    desk.push("a", 0, ones(0, RATE), due_ns=ns(5 * N))
    for _ in range(6):
        desk.tick()
    assert not desk.sound()[: 4 * N].any() and desk.sound()[4 * N :].all()


def test_an_input_that_never_comes_is_waited_for_in_vain_only_so_long() -> None:
    desk = Desk(spec("a"), spec("b"))
    desk.push("a", 0, ones(0, 2 * RATE))
    for _ in range(170):
        desk.tick()
    start = int(np.flatnonzero(desk.sound("a"))[0])
    assert 1.5 * RATE <= start <= 1.5 * RATE + 2 * N
    assert not desk.sound("b").any() and desk.counts["concealed_samples"] == len(desk.sound("b")) - start


@pytest.mark.parametrize(("eager", "first"), [(False, 0), (True, 4 * N)])
def test_what_came_late_at_the_start_makes_a_microphone_not_late_for_ever(eager: bool, first: int) -> None:
    """The first frames may lie around while processes start; a song keeps them, a singer wants to hear herself now."""
    desk = Desk(spec(eager=eager))
    for _ in range(5):
        desk.tick()
    desk.push("a", 0, song(0, 5 * N), due_ns=ns(N + N // 2))
    for at in range(5, 20):
        desk.push("a", at * N, song(at * N, N), due_ns=ns((at + 1) * N + N // 2))
        desk.tick()
    heard = desk.sound()[5 * N :]
    np.testing.assert_array_equal(heard, song(first, len(heard))[:, 0])


def microphone(desk: Desk, frames: int, late_ms: list[float]) -> None:
    """Frames of 10 ms whose way takes 1 ms more than `late_ms`, in turn."""
    first = desk.position // N
    desk.mail += [((first + at + 1) * 10 + 1 + late_ms[at % len(late_ms)], (first + at) * N) for at in range(frames)]
    for _ in range(frames):
        while desk.mail and desk.mail[0][0] * 1_000_000 <= desk.now_ns:
            position = desk.mail.pop(0)[1]
            desk.push("a", position, tone(position, N), ns(position + N + N // 2))
        desk.tick()


def delay_ms(desk: Desk) -> float:
    return -desk.aligner.offsets(0)["song"] / 48


def test_a_microphone_on_a_busy_host_is_heard_later_and_then_whole() -> None:
    """Every other frame comes 30 ms late: after a tenth of a second it is heard 30 ms later, without a hole."""
    desk = Desk(spec(eager=True))
    microphone(desk, 50, [0])
    assert delay_ms(desk) <= 20
    microphone(desk, 100, [0, 30])
    assert 40 <= delay_ms(desk) <= 60
    held = desk.counts["concealed_samples"]
    microphone(desk, 200, [0, 30])
    assert desk.counts["concealed_samples"] == held and steps(desk.sound()[2 * N :]) <= TONE_STEP + 2 / FADE


def test_when_the_host_is_calm_again_the_delay_goes_down_without_a_click() -> None:
    desk = Desk(spec(eager=True))
    microphone(desk, 50, [0])
    calm = delay_ms(desk)
    microphone(desk, 200, [0, 30])
    microphone(desk, 6000, [0])
    assert calm <= delay_ms(desk) <= calm + 10
    assert desk.counts["delay_samples"] == (delay_ms(desk) - calm) * 48
    assert steps(desk.sound()[2 * N :]) <= 2 * TONE_STEP + 2 / FADE
    want = desk.position - round(delay_ms(desk) * 48)
    np.testing.assert_allclose(desk.sound()[-N:], tone(want - N, N)[:, 0], atol=1e-6)


@pytest.mark.parametrize("frame", [48, 120, 240, 480, 960])
def test_what_is_heard_sooner_by_a_frame_has_no_hole(frame: int) -> None:
    """Also where a frame is shorter than the fade: the one fades out while the other fades in, and nothing is lost.

    With frames of 1 ms less is in hand than the fade takes: the old one is gone a little before the new one is whole.
    """
    desk = Desk(spec(eager=True, on_loss="fail"), frame=frame)
    desk.push("a", 0, ones(0, 6 * frame), due_ns=desk.now_ns)
    for at in range(6, 11 * RATE // frame):
        desk.tick()
        desk.push("a", at * frame, ones(0, frame), due_ns=desk.now_ns)
    assert desk.counts == {"late_samples": 0, "delay_samples": -frame}
    assert desk.aligner.offsets(0)["song"] == frame
    np.testing.assert_allclose(desk.sound(), 1, atol=0.07 if frame == 48 else 1.01 / FADE)


def test_one_hold_up_is_no_reason_to_be_later_for_ever() -> None:
    desk = Desk(spec(eager=True))
    microphone(desk, 50, [0])
    before = delay_ms(desk)
    microphone(desk, 40, [200 - 10 * at for at in range(20)] + [0] * 20)
    microphone(desk, 50, [0])
    assert delay_ms(desk) == before


def test_a_song_is_never_moved() -> None:
    desk = Desk(spec())
    microphone(desk, 50, [0])
    before = delay_ms(desk)
    microphone(desk, 2000, [0, 30])
    assert delay_ms(desk) == before and "delay_samples" not in desk.counts


def test_a_successor_goes_on_with_its_predecessors_offset() -> None:
    desk = Desk(spec())
    desk.aligner.restore("song", 777, 3)
    desk.aligner.restore("nowhere", 1, 1)
    desk.generation = 3
    desk.position = 48_000
    desk.push("a", 47_000 - 777, song(47_000 - 777, 4800))
    desk.tick()
    np.testing.assert_array_equal(desk.sound(), song(48_000 - 777, N)[:, 0])
    desk.generation = 2
    assert desk.push("a", 60_000, ones(0, N)) == "cancelled"


# -- what is missing ---------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.sampled_from([48, 120, 480]),
    st.integers(1, 700),
    st.sampled_from(["silence", "bypass", "hold"]),
)
def test_no_step_is_larger_than_the_fade_allows(runs: list[int], frame: int, fade: int, on_loss: str) -> None:
    """Full scale comes and goes by frames; its standby is half of it and ends; at worst both fade at once."""
    desk = Desk(spec(on_loss=on_loss, standby=on_loss == "bypass"), frame=frame, fade=fade)
    here = [True, True] + [i % 2 == 0 for i, run in enumerate(runs) for _ in range(run)]
    for at, present in enumerate(here):
        if present:
            desk.push("a", at * frame, ones(0, frame))
        if on_loss == "bypass":
            desk.push("a~bypass", at * frame, ones(0, frame) / 2)
        if at:
            desk.tick()
    for _ in range(10):
        desk.tick()
    assert steps(desk.sound()) <= (1.5 if on_loss == "bypass" else 1) / fade + 1e-6
    assert desk.sound().max() <= 1 + 1e-6


def test_a_bypass_is_aligned_and_the_song_goes_on() -> None:
    """0.3 s of the separated song are missing: the dry one stands in, sample for sample but for the two fades."""
    desk = Desk(spec(on_loss="bypass", standby=True))
    for at in range(80):
        if not 20 <= at < 50:
            desk.push("a", at * N, tone(at * N, N))
        desk.push("a~bypass", at * N, tone(at * N, N))
        desk.tick()
    offset = -desk.aligner.offsets(0)["song"]
    heard, want = desk.sound()[offset:], tone(0, 80 * N - offset)[:, 0]
    fade_out, fade_in = slice(20 * N, 20 * N + FADE), slice(50 * N, 50 * N + FADE)
    wrong = np.abs(heard - want) > 1e-6
    wrong[fade_out] = wrong[fade_in] = False
    assert not wrong.any()
    assert steps(heard) <= TONE_STEP + 1 / FADE
    assert desk.counts == {"late_samples": 0, "concealed_samples": 30 * N}
    assert desk.flags["a"].count(Flag.CONCEALED) == 30


def test_hold_repeats_the_last_whole_frame() -> None:
    desk = desk_with(ones, on_loss="hold")
    for _ in range(10):
        desk.tick()
    assert (desk.sound()[N:] == 1).all()


def test_fail_says_which_input_ran_dry() -> None:
    desk = desk_with(on_loss="fail")
    desk.tick()
    desk.tick()
    with pytest.raises(NodeError, match="input 'a' ran dry and its on_loss is 'fail'"):
        desk.tick()


def test_late_idle_and_concealed_are_three_things() -> None:
    desk = desk_with(seconds=0.1)
    desk.tick()
    desk.tick()
    assert desk.counts["concealed_samples"] == 0
    desk.tick()
    desk.tick()
    assert desk.counts == {"late_samples": 0, "concealed_samples": 2 * N}
    assert desk.push("a", 10 * N, ones(0, N)) == "late"
    assert desk.push("a", 11 * N + N // 2, ones(0, N)) is None
    assert desk.counts["late_samples"] == N + N // 2
    desk.idle("a", 13 * N)
    flagged = len(desk.flags["a"])
    for _ in range(5):
        desk.tick()
    assert desk.counts["idle_samples"] >= 4 * N and desk.counts["concealed_samples"] <= 3 * N
    assert not any(desk.flags["a"][flagged + 1 :]), "a pause is no loss"


def test_a_silence_that_was_sent_is_sound() -> None:
    desk = Desk(spec())
    frame = gap_frame(10 * N, 0, RATE, 1)
    desk.aligner.push(link_key("a"), frame, 0, 0)
    for _ in range(10):
        desk.tick()
    assert desk.counts == {"late_samples": 0} and not desk.sound().any()


def test_one_frame_that_comes_too_late_costs_two_fades_and_is_not_missed_later() -> None:
    """Also with frames much shorter than the fade, where a switch that looks ahead would never come back."""
    desk = Desk(spec(), frame=120)
    for at in range(400):
        if at != 100:
            desk.push("a", at * 120, ones(0, 120))
        desk.tick()
    quiet = np.flatnonzero(desk.sound()[120:] < 1)
    assert 100 * 120 - 120 <= quiet[0] and quiet[-1] <= 100 * 120 + 2 * FADE + 240


# -- cancel ------------------------------------------------------------------------------------------


def test_a_cancel_fades_for_ten_milliseconds_and_then_nothing_old_is_heard() -> None:
    desk = desk_with(ones, seconds=1)
    at = desk.position
    desk.cancel()
    desk.generation -= 1
    assert desk.push("a", RATE, ones(0, RATE)) == "cancelled"
    for _ in range(20):
        desk.tick()
    tail = desk.sound()[at:]
    np.testing.assert_allclose(tail[:FADE], np.linspace(1, 0, FADE, endpoint=False), atol=1e-6)
    assert not tail[FADE:].any() and steps(desk.sound()[N:]) <= 1 / FADE + 1e-6


@given(st.integers(0, 30), st.sampled_from([48, 120, 480, 960]), st.integers(1, 4))
def test_new_sound_fades_in_from_its_first_sample_wherever_it_comes(wait: int, frame: int, cancels: int) -> None:
    """Its first sample is the first that is heard: after a seek no word is cut; and no step clicks."""
    desk = Desk(spec(), frame=frame)
    desk.push("a", 0, ones(0, RATE))
    for _ in range(5):
        desk.tick()
    for _ in range(cancels):
        desk.cancel()
    for _ in range(wait):
        desk.tick()
    desk.push("a", RATE, -ones(0, RATE))
    at = desk.position
    for _ in range(2000 // frame):
        desk.tick()
    new = desk.sound()[at:]
    assert desk.aligner.offsets(at)["song"] == RATE
    assert steps(desk.sound()[frame:]) <= 2 / FADE + 1e-6
    np.testing.assert_array_equal(new[FADE : len(new)], -1)


def test_a_cancel_while_the_last_one_fades_adds_no_click() -> None:
    """Frames of 1 ms, a cancel every 3 ms, new sound at once each time."""
    desk = Desk(spec(), frame=48)
    for at in range(40):
        desk.push("a", at * 4800, ones(0, 4800) * (-1) ** at)
        for _ in range(3):
            desk.tick()
        desk.cancel()
    assert steps(desk.sound()[48:]) <= 3 / FADE


def test_what_was_never_heard_leaves_no_tail() -> None:
    desk = Desk(spec("a"), spec("b"))
    desk.push("a", 0, ones(0, RATE))
    desk.tick()
    desk.cancel()
    for _ in range(10):
        desk.tick()
    assert not desk.sound().any()


def test_a_frame_of_a_new_generation_is_a_cancel_too() -> None:
    desk = desk_with(ones, seconds=1)
    desk.generation = 5
    desk.push("a", 2 * RATE, ones(0, RATE))
    assert desk.aligner.timelines["song"].generation == 5
    desk.tick()
    assert desk.aligner.offsets(0)["song"] + desk.position - N == 2 * RATE


def test_old_cancels_and_other_timelines_change_nothing() -> None:
    desk = desk_with(ones, seconds=1)
    desk.aligner.cancel("song", 0)
    desk.aligner.cancel("nowhere", 9)
    desk.tick()
    assert (desk.sound()[-N:] == 1).all()


# -- offline -----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3000), chunkings), min_size=1, max_size=3), st.sampled_from([48, 480, 1000]))
def test_offline_inputs_are_merged_by_position_to_their_uneven_ends(
    inputs: list[tuple[int, list[int]]], frame: int
) -> None:
    names = "abc"[: len(inputs)]
    desk = Desk(*(spec(name, name) for name in names), live=False, frame=frame)
    feeds = {name: list(arrivals(0, chunks, end)) for name, (end, chunks) in zip(names, inputs, strict=True)}
    ends = {name: sum(n for _, _, n in feed) for name, feed in feeds.items()}
    while not desk.aligner.ended:
        while desk.aligner.ready() and (n := desk.aligner.remaining(desk.position)) > 0:
            desk.tick(n)
        for name, feed in feeds.items():
            if feed:
                _, position, n = feed.pop(0)
                desk.push(name, position, song(position, n))
            else:
                desk.end(name, ends[name])
    assert desk.position == max(ends.values())
    for name, end in ends.items():
        np.testing.assert_array_equal(desk.sound(name)[:end], song(0, end)[:, 0])
        assert not desk.sound(name)[end:].any()
    assert set(desk.counts) <= {"late_samples"} and not desk.counts["late_samples"]


def test_offline_a_hole_is_silence_of_its_length() -> None:
    desk = Desk(spec(), live=False)
    desk.push("a", 100, ones(0, 50))
    assert not desk.aligner.ready()
    desk.push("a", 1000, ones(0, 10))
    assert desk.aligner.ready()
    desk.tick()
    desk.tick()
    desk.end("a", 1010)
    desk.tick(desk.aligner.remaining(desk.position))
    assert desk.aligner.ended and np.flatnonzero(desk.sound()).tolist() == [*range(100, 150), *range(1000, 1010)]


def test_offline_nothing_is_taken_before_there_is_room_for_it() -> None:
    desk = Desk(spec(capacity_samples=1000, standby=True), live=False)
    assert desk.aligner.has_capacity(link_key("a"), 1000) and not desk.aligner.has_capacity(link_key("a"), 1001)
    desk.push("a", 0, ones(0, 600))
    assert desk.aligner.has_capacity(link_key("a"), 400) and not desk.aligner.has_capacity(link_key("a"), 401)
    assert desk.aligner.has_capacity(link_key("a~bypass"), 1000)
    desk.tick()
    assert desk.aligner.has_capacity(link_key("a"), 880)


# -- ends --------------------------------------------------------------------------------------------


def test_live_the_end_is_silence_not_loss() -> None:
    desk = desk_with(ones, seconds=0.1)
    desk.end("a", 10 * N)
    assert not desk.aligner.ended
    for _ in range(5):
        desk.tick()
    assert desk.aligner.ended and desk.counts == {"late_samples": 0}
    assert (desk.sound()[N : 10 * N] == 1).all() and not desk.sound()[11 * N :].any()


def test_an_end_without_any_sound_is_an_end() -> None:
    """A seek behind the end of a song: END is all that comes of the new generation."""
    desk = desk_with(ones, seconds=1)
    desk.cancel()
    desk.end("a", 5 * RATE)
    assert desk.aligner.ended


def test_nobody_waits_for_what_is_absent() -> None:
    desk = Desk(spec("a"), spec("b", on_loss="fail"))
    desk.aligner.absent(link_key("b"))
    desk.push("a", 0, ones(0, RATE))
    for _ in range(5):
        desk.tick()
    assert desk.sound("a").any() and not desk.sound("b").any()
    desk.end("a", RATE)
    for _ in range(100):
        desk.tick()
    assert desk.aligner.ended


def test_what_was_absent_and_is_back_is_heard_and_waited_for() -> None:
    desk = Desk(spec("a"), spec("b"))
    desk.push("a", 0, ones(0, RATE))
    desk.aligner.absent(link_key("b"))
    desk.aligner.present(link_key("b"))
    desk.aligner.present(link_key("b"))
    desk.push("b", 0, ones(0, RATE))
    for _ in range(5):
        desk.tick()
    assert desk.sound("a").any() and desk.sound("b").any()
    desk.end("a", RATE)
    for _ in range(200):
        desk.tick()
    assert not desk.aligner.ended, "its end has not come"
    assert len(desk.aligner.timelines["song"].inputs) == 2


def test_an_absent_input_outlives_the_last_link_of_its_timeline() -> None:
    """The song itself is taken away; the node that was to work on it never was there. The microphone goes on."""
    desk = Desk(spec("a"), spec("b"), spec("c", "mic"))
    desk.aligner.absent(link_key("a"))
    for name in "bc":
        desk.push(name, 0, ones(0, RATE))
    for _ in range(5):
        desk.tick()
    desk.aligner.disconnect("b", desk.now_ns)
    for _ in range(10):
        desk.aligner.turn(desk.position, N, desk.now_ns, desk.now_ns)
        desk.tick()
    assert desk.aligner.settled and set(desk.aligner.ports) == {"a", "c"}
    assert not desk.sound("a").any() and (desk.sound("c")[-N:] == 1).all()
    desk.aligner.disconnect("a", desk.now_ns)
    for _ in range(10):
        desk.aligner.turn(desk.position, N, desk.now_ns, desk.now_ns)
        desk.tick()
    assert set(desk.aligner.timelines) == {"mic"}, "the last one that was on it takes the timeline with it"


def test_after_a_hold_up_the_sound_is_live_again() -> None:
    desk = desk_with(song, seconds=1)
    desk.position += 20 * N - (desk.position + 20 * N) % N
    desk.push("a", RATE, song(RATE, RATE))
    desk.aligner.skip_to(desk.position)
    desk.tick()
    here = desk.aligner.offsets(desk.position - N)["song"]
    np.testing.assert_array_equal(desk.sound()[-N:], song(here, N)[:, 0])


def test_the_output_is_as_old_as_its_oldest_input() -> None:
    desk = Desk(spec("a", "mic"), spec("b", "song"))
    assert desk.aligner.captured_at(N) == {}
    desk.push("a", 0, ones(0, RATE))
    desk.tick()
    desk.tick()
    desk.push("b", 0, ones(0, RATE))
    desk.tick()
    for name, offset in desk.aligner.offsets(0).items():
        assert desk.aligner.timelines[name].anchor == -offset
    heard = desk.aligner.offsets(0)
    times = {name: ns(5 * N + heard[name]) for name in ("mic", "song")}
    assert desk.aligner.captured_at(5 * N) == {tag_of(name): at for name, at in times.items()}
    assert times["song"] < times["mic"], "the song came later, so what is heard of it is older"
    desk.idle("b", RATE)
    assert desk.aligner.captured_at(5 * N) == {tag_of("mic"): times["mic"]}


def test_an_input_of_unknown_age_makes_the_output_no_older() -> None:
    desk = Desk(spec("a", "mic"), spec("b", "card"))
    desk.push("a", 0, ones(0, RATE))
    desk.aligner.push(link_key("b"), audio_frame(ones(0, RATE), 0, RATE), 0, desk.now_ns)
    desk.tick()
    assert set(desk.aligner.offsets(0)) == {"mic", "card"}
    assert desk.aligner.captured_at(N) == {tag_of("mic"): ns(N)}


def test_a_mix_of_a_mix_is_as_old_as_each_source_in_it() -> None:
    desk = Desk(spec("a", "other"))
    frame = audio_frame(ones(0, RATE), 0, RATE, captured_ns=ns(RATE), sources=((1, 0), (2, 1500)))
    desk.aligner.push(link_key("a"), frame, 0, desk.now_ns)
    desk.tick()
    times = desk.aligner.captured_at(N)
    assert times[2] - times[1] == 1_500_000 and set(times) == {1, 2}
