"""Many streams at one model: nobody's samples depend on the others, and nobody waits longer than it is worth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.errors import NodeError
from audio_pipeline.models.separation import spleeter
from audio_pipeline.models.separation.batching import Batcher, Job, Waits, time_to_wait
from audio_pipeline.models.separation.batching_places import Place, Places
from audio_pipeline.models.separation.pool import Pool
from audio_pipeline.models.separation.spleeter_layout import VARIANTS
from audio_pipeline.models.separation.spleeter_onnx import OnnxUnets
from audio_pipeline.models.separation.spleeter_torch import TorchUnets
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import Array, Model, SeparatorSettings, State, Window
from audio_pipeline.models.separation.workers import Seated
from tests.dsp.chunking import noise
from tests.dsp.measures import snr_db
from tests.models.fake_model import FakeModel
from tests.models.small_unets import save_small, small_weights
from tests.patience import PATIENCE_S

MS = 1_000_000
LOW = SeparatorSettings("low", 4)
LENGTH = 24_000


class Remembering(FakeModel):
    """Its masks depend on all it was shown of the stream, in order; batches are recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def initial_state(self) -> State:
        return np.float32(0)

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        self.sizes.append(len(windows))
        masks, _ = super().step(windows, states)
        after = [0.5 * s + w.frames[-4:].mean(dtype=np.float32) for w, s in zip(windows, states, strict=True)]
        share = np.array([s / (s + 1) for s in after], np.float32)[:, None, None, None, None]
        return masks * share, after


@contextmanager
def batching(model: Model, capacity: int, **options: Any) -> Iterator[Batcher]:
    batcher = Batcher(model, capacity, **options)
    try:
        yield batcher
    finally:
        batcher.close()


class Listener:
    """A stream with a seat, fed in blocks."""

    def __init__(self, batcher: Batcher, name: str, wanted: SeparatorSettings = LOW) -> None:
        self.seat = Seated(batcher, name, lambda: None)
        self.stream = SeparatorStream(batcher.model, wanted)
        self.parts: list[Array] = [np.zeros((0, 2), np.float32)]

    def push(self, x: Array) -> None:
        self.stream.push(x)
        self._drain()

    def finish(self) -> Array:
        self.stream.flush()
        self._drain()
        self.seat.close()
        return np.concatenate(self.parts)

    def _drain(self) -> None:
        while (window := self.stream.pending()) is not None:
            self.seat.submit(window)
            self.seat.wait(PATIENCE_S)
            masks = self.seat.take(window)
            assert masks is not None
            self.parts.append(self.stream.accept(window, masks)["vocals"])


def alone(model: Model, x: Array, capacity: int, *, fixed: bool = True) -> Array:
    with batching(model, capacity, fixed=fixed) as batcher:
        listener = Listener(batcher, "me")
        listener.push(x)
        return listener.finish()


def small(engine: str, folder: Path) -> Model:
    """A network with random weights on one of the engines."""
    variant = VARIANTS["spleeter-2stems"]
    if engine == "onnx":
        return spleeter.from_file(save_small(folder, variant.name), variant, device="cpu", engine="onnxruntime")
    make: Callable[..., Any] = TorchUnets if engine == "torch" else OnnxUnets
    return spleeter.Spleeter(variant, make(variant, small_weights(variant), "cpu"))


def test_a_single_stream_is_a_batch_of_one() -> None:
    """Streamed through a seat equals one-shot, for a model with a memory."""
    x = noise(LENGTH)
    assert np.array_equal(alone(Remembering(), x, 1), separate(Remembering(), x, LOW)["vocals"])


@pytest.mark.parametrize("fixed", [True, False])
def test_streams_side_by_side_are_each_what_they_are_alone(fixed: bool) -> None:
    """Five threads at eight places, each with sound of its own: all the same bits as one-shot."""
    sounds = [noise(LENGTH + 1_000 * k) * np.float32(0.1 + k) for k in range(5)]
    found: dict[int, Array] = {}
    with batching(Remembering(), 8, fixed=fixed) as batcher:

        def play(k: int) -> None:
            listener = Listener(batcher, f"stream {k}")
            for at in range(0, len(sounds[k]), 700 + 100 * k):
                listener.push(sounds[k][at : at + 700 + 100 * k])
            found[k] = listener.finish()

        threads = [threading.Thread(target=play, args=(k,)) for k in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(batcher.model.sizes) == {8} if fixed else max(batcher.model.sizes) <= 5
        assert len(batcher.places) == 0
    for k, x in enumerate(sounds):
        assert np.array_equal(found[k], separate(Remembering(), x, LOW)["vocals"])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("join leave play break".split()), st.integers(0, 2)), max_size=25))
def test_whatever_neighbours_do_changes_no_sample(deeds: list[tuple[str, int]]) -> None:
    """They join, leave without a word, play noise, and what is not a number, between any two blocks of mine."""
    x, others = noise(30 * 512), dict[int, Listener]()
    with batching(Remembering(), 4) as batcher:
        me = Listener(batcher, "me")
        for k in range(30):
            deed, who = deeds[k] if k < len(deeds) else ("play", 0)
            if deed == "join" and who not in others:
                others[who] = Listener(batcher, f"other {who}")
            elif deed == "leave" and who in others:
                others.pop(who).seat.close()
            elif who in others:
                loud = noise(5_000) * np.float32(100 if deed == "play" else np.nan)
                with np.errstate(all="ignore"):
                    others[who].push(loud)
            me.push(x[k * 512 : (k + 1) * 512])
        found = me.finish()
    assert np.array_equal(found, separate(Remembering(), x, LOW)["vocals"])


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_networks_in_a_fixed_batch_are_bit_equal_and_across_sizes_100_db(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    x, model = noise(8_192), small(engine, tmp_path)
    with batching(model, 4) as batcher:
        other = Listener(batcher, "another")
        me = Listener(batcher, "me")
        for at in range(0, len(x), 2_048):
            other.push(noise(3_000) * np.float32(50))
            me.push(x[at : at + 2_048])
        crowded = me.finish()
    with batching(model, 4) as batcher:
        Listener(batcher, "somebody who only sits there")
        me = Listener(batcher, "me")
        me.push(x)
        assert np.array_equal(me.finish(), crowded)
    for capacity in (1, 2, 8):
        assert snr_db(crowded, alone(model, x, capacity)) > 100
    assert snr_db(separate(model, x, LOW)["vocals"], crowded) > 100


def test_a_stream_that_begins_anew_forgets_and_its_neighbour_does_not() -> None:
    x, y = noise(LENGTH), noise(LENGTH) * np.float32(3)
    with batching(Remembering(), 2) as batcher:
        one, two = Listener(batcher, "one"), Listener(batcher, "two")
        one.push(x[:10_000])
        two.push(y[:10_000])
        one.stream.reset()
        one.seat.reset()
        one.parts.clear()
        one.push(x)
        two.push(y[10_000:])
        assert np.array_equal(one.finish(), separate(Remembering(), x, LOW)["vocals"])
        assert np.array_equal(two.finish(), separate(Remembering(), y, LOW)["vocals"])


def test_windows_of_several_shapes_share_no_inference() -> None:
    x, model = noise(LENGTH), FakeModel()
    with batching(model, 3) as batcher:
        listeners = [Listener(batcher, name, SeparatorSettings(name, 4)) for name in ("low", "balanced", "quality")]
        for listener in listeners:
            listener.push(x)
        for listener in listeners:
            mode = listener.stream.settings.mode
            assert np.array_equal(listener.finish(), separate(model, x, SeparatorSettings(mode, 4))["vocals"])


def test_places_are_given_by_row_and_taken_back_only_when_needed() -> None:
    places = Places(2, lease_ns=30)
    first, second = places.take("first", 0), places.take("second", 5)
    assert (first.row, second.row) == (0, 1)
    with pytest.raises(NodeError, match=r"stream 'third': all 2 places of the model are taken \(by first, second\)"):
        places.take("third", 29)
    with pytest.raises(NodeError, match="'second' has a place"):
        places.take("second", 29)
    second.used_ns = 25
    third = places.take("third", 30)  # the first was not heard of for the length of its lease
    assert third.row == 0
    assert not places.holds(first)
    places.leave(first)  # it left late
    assert places.holds(third)
    places.leave(second)
    places.take_again(first, 31)
    assert first.row == 1
    assert first.fresh


def test_a_stream_whose_lease_ran_out_begins_anew_and_nobody_else_does() -> None:
    clock = [0]
    x, model = noise(LENGTH), Remembering()
    with batching(model, 2, patience_ns=0, lease_s=1.0, now_ns=lambda: clock[0]) as batcher:
        gone, me = Listener(batcher, "gone"), Listener(batcher, "me")
        gone.push(x)
        me.push(x[:9_000])
        clock[0] += 2_000 * MS
        me.push(x[9_000:15_000])
        Listener(batcher, "new").push(x)
        me.push(x[15_000:])
        assert not batcher.places.holds(gone.seat._place)
        assert np.array_equal(me.finish(), separate(model, x, LOW)["vocals"])
        gone.stream.reset()
        gone.parts.clear()
        gone.push(x)
        assert np.array_equal(gone.finish(), separate(model, x, LOW)["vocals"])


def window(frames: int = 8) -> Window:
    return Window(0, np.zeros((frames, 4, 2), np.float32), 0, range(4, 8), 0, 0, 0)


def place(name: str, row: int, asked_ms: float | None = None, every_ms: float | None = None) -> Place:
    times = [None if ms is None else round(ms * MS) for ms in (asked_ms, every_ms)]
    return Place(name, row, 0, asked_ns=times[0], every_ns=times[1])


WAITS = Waits(patience_ns=6 * MS, step_ns=3 * MS)


@pytest.mark.parametrize(
    ("other", "now_ms", "due_ms", "wait_ms"),
    [
        ((None, None), 100, None, 0),  # it never asked: nobody waits for it
        ((80, 23), 100, None, 6),  # it should ask in 3 ms
        ((80, 23), 104, None, 2),  # it is late, there is some patience left
        ((80, 23), 107, None, 0),  # no more
        ((80, 40), 100, None, 0),  # it comes too late for this batch
        ((10, 23), 100, None, 0),  # it has fallen silent
        ((76, 23), 100, None, 6),  # it should have asked 1 ms ago
        ((80, 23), 100, 108, 5),  # a deadline in 8 ms leaves 5
        ((80, 23), 100, 101, 0),  # and one in 1 ms none
    ],
)
def test_a_batch_waits_for_who_is_about_to_ask_and_no_longer_than_it_is_worth(
    other: tuple[float | None, float | None], now_ms: float, due_ms: float | None, wait_ms: float
) -> None:
    mine, another = place("mine", 0, 100, 23), place("another", 1, *other)
    due_ns = None if due_ms is None else round(due_ms * MS)
    jobs = [Job(mine, window(), 100 * MS, due_ns)]
    assert time_to_wait(jobs, [mine, another], round(now_ms * MS), WAITS) == wait_ms * MS


def test_a_full_batch_starts_at_once_and_an_empty_one_never() -> None:
    one, two = place("one", 0, 100, 23), place("two", 1, 99, 23)
    assert time_to_wait([], [one, two], 0, WAITS) is None
    jobs = [Job(one, window(), 100 * MS), Job(two, window(), 99 * MS)]
    assert time_to_wait(jobs, [one, two], 100 * MS, WAITS) == 0


def test_an_error_is_that_of_its_batch_and_the_next_one_works() -> None:
    class Fails(FakeModel):
        broken = True

        def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
            if self.broken:
                raise RuntimeError("out of memory")
            return super().step(windows, states)

    model = Fails()
    with batching(model, 2) as batcher:
        seat = batcher.join("me")
        with pytest.raises(RuntimeError, match="out of memory"):
            batcher.submit(seat, window()).future.result(PATIENCE_S)
        model.broken = False
        assert batcher.submit(seat, window()).future.result(PATIENCE_S).shape == (2, 4, 4, 2)


def test_what_nobody_waits_for_any_more_is_dropped() -> None:
    class Slow(FakeModel):
        begun, go = threading.Event(), threading.Event()

        def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
            self.begun.set()
            self.go.wait(PATIENCE_S)
            return super().step(windows, states)

    model = Slow()
    batcher = Batcher(model, 3)
    one, two, three = (batcher.join(name) for name in ("one", "two", "three"))
    running = batcher.submit(one, window())
    model.begun.wait(PATIENCE_S)
    replaced, left = batcher.submit(two, window()), batcher.submit(three, window())
    wanted = batcher.submit(two, window())
    batcher.leave(three)
    assert replaced.future.cancelled()
    assert left.future.cancelled()
    model.go.set()
    assert running.future.result(PATIENCE_S).shape == (2, 4, 4, 2)
    assert wanted.future.result(PATIENCE_S).shape == (2, 4, 4, 2)
    assert batcher.batches == {1: 2}
    model.go.clear()
    model.begun.clear()
    batcher.submit(one, window())
    model.begun.wait(PATIENCE_S)
    waiting = batcher.submit(two, window())
    model.go.set()
    batcher.close()
    with pytest.raises(CancelledError):
        waiting.future.result(0)


def test_a_pool_loads_once_seats_together_and_lets_go_after_the_last() -> None:
    pool: Pool[FakeModel] = Pool()
    loaded: list[FakeModel] = []

    def load() -> FakeModel:
        loaded.append(FakeModel())
        return loaded[-1]

    for _ in range(3):
        pool.hold("key", load)
    assert len(loaded) == 1
    seats = [pool.seat("key", name, lambda: None, 2) for name in ("a", "b", "c")]
    assert seats[0]._batcher is seats[1]._batcher
    assert seats[2]._batcher is not seats[0]._batcher  # the third has room in a batch of its own
    threads = [seat._batcher._thread for seat in seats]
    for seat in seats:
        seat.close()
        pool.drop("key")
    assert not any(thread.is_alive() for thread in threads)
    pool.hold("key", load)
    assert len(loaded) == 2
