"""Laws of a stateful model that answers with spectra: streams, holes, deadlines and batches, without weights."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.normalise import NormaliserSettings
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation.batching import Batcher
from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.grid import Rung, ladder_latency, ladder_rungs, top_rung, trial_rung
from audio_pipeline.models.separation.ladder import LadderSettings
from audio_pipeline.models.separation.live import live_driver
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.tuning import Tuning, tune, warm_up
from audio_pipeline.models.separation.types import HOPS, Array, SeparatorSettings, Window, stated_latency
from audio_pipeline.models.separation.workers import Inline, Seated
from tests.dsp.chunking import SIZES, noise
from tests.models.fake_stateful import FakeStateful
from tests.models.streaming import streamed
from tests.patience import PATIENCE_S

SPEC, HOP = DEEPFILTERNET, DEEPFILTERNET.stft.hop
LOW = SeparatorSettings("low")
LENGTH = 20 * HOP + 123


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("size", SIZES)
def test_any_chunking_and_any_hop_give_the_same_samples(size: int, hop: int) -> None:
    x = noise(LENGTH, 1)
    whole, found = separate(FakeStateful(), x, LOW), streamed(FakeStateful(), x, size, SeparatorSettings("low", hop))
    for stem in SPEC.stems:
        assert len(found[stem]) == LENGTH
        assert np.array_equal(found[stem], whole[stem])


@pytest.mark.parametrize("length", [0, 1, HOP - 1, HOP, HOP + 1, 3 * HOP])
def test_as_many_samples_come_out_as_went_in(length: int) -> None:
    x = noise(length, 1)
    found = separate(FakeStateful(), x, LOW)
    assert {len(samples) for samples in found.values()} == {length}
    assert found["speech"] + found["noise"] == pytest.approx(x, abs=1e-6)


def test_every_frame_is_shown_once_and_in_order() -> None:
    model = FakeStateful()
    separate(model, noise(LENGTH, 1), SeparatorSettings("low", 4))
    assert model.shown == list(range(1, model.shown[-1] + 1))
    assert model.shown[-1] >= -(-LENGTH // HOP) + 1 + SPEC.modes["low"].lookahead


def test_the_latency_by_an_impulse() -> None:
    """A sample comes out once two frames cover it and two more have been seen, counted from any place in a hop."""
    assert stated_latency(SPEC, LOW) == ladder_latency(SPEC, LOW) == (960, 960, 0)
    for at in (10 * HOP, 10 * HOP + 7, 11 * HOP - 1):
        x = np.zeros((LENGTH, 1), np.float32)
        x[at] = 1.0
        model = FakeStateful()
        stream, worker, out = SeparatorStream(model, LOW), Inline(model), 0
        for position in range(LENGTH):
            stream.push(x[position : position + 1])
            if (window := stream.pending()) is None:
                continue
            worker.submit(window)
            answered = worker.take(window)
            assert answered is not None
            sound = stream.accept(window, answered)
            both = sound["speech"] + sound["noise"]
            if both.max(initial=0) > 0.5:
                assert out + int(both.argmax()) == at
                delay = position - at
            out += len(both)
        assert delay == 1919 - at % HOP  # the last sample of a hop waits three hops: 30 ms


def test_there_is_one_rung_and_no_trial() -> None:
    settings = SeparatorSettings("low", 2)
    assert ladder_rungs(SPEC, settings) == (top_rung(SPEC, settings),) == (Rung(7, 2, 2),)
    assert trial_rung(SPEC, settings) is None


def test_frames_behind_a_missed_window_come_with_the_next() -> None:
    x, model = noise(LENGTH, 1), FakeStateful()
    stream, state, out = SeparatorStream(model, LOW), model.initial_state(), []
    stream.push(x)
    stream.flush()
    missed = range(6, 9)
    while (window := stream.pending()) is not None:
        if window.index in missed:
            sound = stream.skip(window)
        else:
            answers, (state,) = model.step([window], [state])
            sound = stream.accept(window, answers[0])
        out.append((window.index, sound))
    whole, found = separate(FakeStateful(), x, LOW), np.concatenate([sound["speech"] for _, sound in out])
    first = next(sound for index, sound in out if index == missed[0])
    begin = sum(len(sound["speech"]) for index, sound in out if index < missed[0])
    inside = slice(begin + HOP, begin + len(missed) * len(first["speech"]))
    assert np.allclose(found[inside], x[inside], atol=1e-6)  # the mixture, as speech
    after = slice(inside.stop + HOP, None)  # behind a fade of one hop
    assert np.array_equal(found[after], whole["speech"][after])
    assert model.shown == sorted(set(model.shown))


def test_the_fallback_is_the_mixture_as_speech() -> None:
    x = noise(LENGTH, 1)
    stream, speech = SeparatorStream(FakeStateful(), LOW), []
    stream.push(x)
    stream.flush()
    while (window := stream.pending()) is not None:
        sound = stream.skip(window)
        assert not sound["noise"].any()
        speech.append(sound["speech"])
    assert np.concatenate(speech) == pytest.approx(x, abs=1e-6)


def test_faders_mix_spectra() -> None:
    x = noise(LENGTH, 1)
    stems = separate(FakeStateful(), x, LOW)
    mixed = separate(FakeStateful(), x, SeparatorSettings("low", outputs={"mix": {"speech": 0.5, "noise": 2.0}}))
    assert mixed["mix"] == pytest.approx(0.5 * stems["speech"] + 2 * stems["noise"], abs=1e-6)


def test_residual_noise_adds_up_to_the_last_bit() -> None:
    x = noise(LENGTH, 1)
    found = separate(FakeStateful(), x, SeparatorSettings("low", residual=True))
    assert found["speech"] + found["noise"] == pytest.approx(x, abs=1e-7)


def test_spectra_are_not_normalised() -> None:
    with pytest.raises(ConfigError, match="normalise: expected no normalisation for deepfilternet"):
        SeparatorStream(FakeStateful(), SeparatorSettings("low", normalise=NormaliserSettings()))


def test_a_stateful_model_gets_a_hop_of_one() -> None:
    model = FakeStateful()
    assert tune(model, LOW).hop == 1
    assert tune(model, LOW, hop=4).hop == 4
    warm_up(model, LOW)


def test_streams_of_a_batch_keep_their_own_memory() -> None:
    sounds = [noise(LENGTH, 1, seed) for seed in range(3)]
    batcher = Batcher(FakeStateful(), 3)
    try:
        streams = [SeparatorStream(batcher.model, LOW) for _ in sounds]
        seats = [Seated(batcher, f"s{k}", lambda: None) for k in range(3)]
        found: list[list[Array]] = [[] for _ in sounds]
        for stream, x in zip(streams, sounds, strict=True):
            stream.push(x)
            stream.flush()
        while any(stream.pending() for stream in streams):
            for stream, seat in zip(streams, seats, strict=True):
                if (window := stream.pending()) is not None:
                    seat.submit(window)
            for stream, seat, parts in zip(streams, seats, found, strict=True):
                if (window := stream.pending()) is not None:
                    while (answer := seat.take(window)) is None:
                        seat.wait(PATIENCE_S)
                    parts.append(stream.accept(window, answer)["speech"])
    finally:
        batcher.close()
    for x, parts in zip(sounds, found, strict=True):
        assert np.array_equal(np.concatenate(parts), separate(FakeStateful(), x, LOW)["speech"])


class Costly(Inline):
    """An inference takes 1.5 ms for each frame that the model was not shown before."""

    def __init__(self, model: FakeStateful) -> None:
        super().__init__(model)
        self._fake = model

    def submit(self, window: Window, due_ns: int | None = None) -> None:
        before = len(self._fake.shown)
        super().submit(window, due_ns)
        self.last_s = 0.0015 * (len(self._fake.shown) - before)


def test_a_quick_machine_leaves_the_dry_sound_again() -> None:
    """A probe is shown six frames at once; what counts is what one of them takes."""
    model = FakeStateful()
    steps = LadderSettings(calm_s=1.0)
    driver = live_driver(model, LOW, Tuning(1, 0.02, 0.001), 10_000_000, Costly(model), steps, step=1)
    assert driver.ladder is not None and driver.ladder.dry
    x = noise(400 * HOP, 1)
    for k in range(400):
        now_ns = k * SPEC.frame_ns
        driver.push(x[k * HOP : (k + 1) * HOP], now_ns)
        driver.step(now_ns)
    assert driver.ladder.step == 0


def test_a_stream_begins_without_a_memory_after_a_reset() -> None:
    model = FakeStateful()
    driver = live_driver(model, LOW, Tuning(1, 0.02, 0.001), 10_000_000, Inline(model))
    x = noise(LENGTH, 1)
    fresh = separate(FakeStateful(), x, LOW)["speech"]
    for lead in (noise(7 * HOP, 1, 5), x):
        driver.reset()
        parts: list[Array] = []
        for at in range(0, len(lead), HOP):
            driver.push(lead[at : at + HOP], 0)
            parts += [block.sound["speech"] for block in driver.step(0)]
    found = np.concatenate(parts)
    assert np.array_equal(found, fresh[: len(found)])
