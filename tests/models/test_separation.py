"""Laws of the streaming separator, with models that need no weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.dsp.normalise import NormaliserSettings
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
from audio_pipeline.models.separation.grid import Rung, ladder_rungs
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import HOPS, Array, SeparatorSettings, State, Window, choose_hop
from tests.dsp.chunking import SIZES, chunks, noise, tone
from tests.dsp.measures import snr_db
from tests.models.fake_model import FakeModel

SPEC = SPLEETER_2STEMS
MODES, STFT = SPEC.modes, SPEC.stft
SLIDING = ("low", "balanced", "quality")
Answer = Callable[[SeparatorStream, Window, Array], dict[str, Array]]


class Constant:
    """The voice's mask is `share` everywhere; remembers the windows it was shown."""

    spec = SPEC

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self.seen: list[Window] = []

    def initial_state(self) -> State:
        return None

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        self.seen += windows
        masks = np.empty((len(windows), 2, len(windows[0].wanted), self.spec.bins, 2), np.float32)
        masks[:, 0], masks[:, 1] = self.share, 1 - self.share
        return masks, list(states)


def accept(stream: SeparatorStream, window: Window, masks: Array) -> dict[str, Array]:
    return stream.accept(window, masks)


def run(
    model: Any, x: Array, wanted: SeparatorSettings, size: int = 1 << 30, answer: Answer = accept
) -> dict[str, Array]:
    """Streams x in blocks of `size`, checking positions and the promise of the stated latency on the way."""
    stream = SeparatorStream(model, wanted)
    done: dict[str, list[Array]] = {name: [np.zeros((0, 2), np.float32)] for name in stream.outputs}
    position = 0

    def drain() -> None:
        nonlocal position
        while (window := stream.pending()) is not None:
            assert window is stream.pending()
            assert window.start == position
            for name, samples in answer(stream, window, model.step([window], [None])[0][0]).items():
                assert samples.shape == (window.stop - window.start, 2)
                done[name].append(samples)
            position = window.stop

    for at, block in chunks(x, size):
        stream.push(block)
        drain()
        assert at + len(block) - position <= stream.latency_samples
    stream.flush()
    drain()
    assert stream.finished
    assert position == len(x)
    return {name: np.concatenate(parts) for name, parts in done.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [0, 1, 1023, 30_000])
def test_streamed_is_one_shot(mode: str, n: int) -> None:
    """N samples in, N out, the same bits for any chunking."""
    x, wanted = noise(n), SeparatorSettings(mode, hop=2)
    whole = separate(FakeModel(), x, wanted)
    for size in SIZES[1 if n > 2000 else 0 :]:
        for name, samples in run(FakeModel(), x, wanted, size).items():
            np.testing.assert_array_equal(samples, whole[name])
            assert samples.shape == (n, 2)
            assert samples.dtype == np.float32


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(0, 9_000), max_size=12),
    mode=st.sampled_from(SLIDING),
    hop=st.sampled_from(HOPS),
    residual=st.booleans(),
)
def test_any_chunking_gives_the_same(sizes: list[int], mode: str, hop: int, residual: bool) -> None:
    wanted = SeparatorSettings(mode, hop, residual=residual, normalise=NormaliserSettings())
    x = noise(sum(sizes)) * np.float32(0.01)
    stream, parts, model = SeparatorStream(FakeModel(), wanted), [np.zeros((0, 2), np.float32)], FakeModel()
    for at, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        stream.push(x[at : at + size])
        while (window := stream.pending()) is not None:
            parts.append(stream.accept(window, model.step([window], [None])[0][0])["vocals"])
    stream.flush()
    while (window := stream.pending()) is not None:
        parts.append(stream.accept(window, model.step([window], [None])[0][0])["vocals"])
    np.testing.assert_array_equal(np.concatenate(parts), separate(FakeModel(), x, wanted)["vocals"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hop", [1, 4, 32])
def test_a_mask_of_one_is_a_delay_line(mode: str, hop: int) -> None:
    """A sound within the bins of the network comes out as it went in, to 100 dB, and the other stem is silent."""
    x = tone(44_100, 997, 44_100, channels=2)
    found = run(Constant(1.0), x, SeparatorSettings(mode, hop), 4800)
    inner = slice(4096, -4096)  # the ends of a tone have energy above 11 kHz
    assert snr_db(x[inner], found["vocals"][inner]) > 100
    assert not found["accompaniment"].any()


@pytest.mark.parametrize(("mode", "hop"), [("offline", 1), ("low", 1), ("balanced", 2), ("quality", 16)])
def test_the_last_stem_as_residual_adds_up_to_the_mixture(mode: str, hop: int) -> None:
    """Full band, to the rounding of one float32 addition."""
    x = noise(50_000)
    found = run(FakeModel(), x, SeparatorSettings(mode, hop, residual=True))
    np.testing.assert_allclose(found["vocals"] + found["accompaniment"], x, atol=np.spacing(np.float32(1)) / 2)
    assert snr_db(x, found["accompaniment"]) < 20  # and is not simply the mixture


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_mix_with_faders_is_the_sum_of_the_stems_so_weighted(mode: str, residual: bool) -> None:
    """To 110 dB: one inverse transform instead of three."""
    model, x = FakeModel(("vocals", "drums", "other")), noise(30_000)
    stems = run(model, x, SeparatorSettings(mode, 2, residual=residual))
    faders = {"vocals": 0.5, "drums": 0.0, "other": -2.0}
    wanted = SeparatorSettings(mode, 2, outputs={"mix": faders}, residual=residual)
    expected = sum((gain * stems[stem] for stem, gain in faders.items()), np.zeros_like(x))
    assert snr_db(expected, run(model, x, wanted)["mix"]) > 110


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_fader_moves_at_the_stated_position_within_one_block(mode: str, residual: bool) -> None:
    x = tone(60_000, 440, 44_100, channels=2)
    wanted = SeparatorSettings(mode, 4, outputs={"mix": {"vocals": 1.0, "accompaniment": 1.0}}, residual=residual)
    stream = SeparatorStream(Constant(1.0), wanted)
    at = stream.set_gains("mix", {"vocals": 0.25}, position=20_000)
    assert at == 20 * 1024
    found = separate_with(stream, x)["mix"]
    assert snr_db(x[8192:at], found[8192:at]) > 100
    assert snr_db(0.25 * x[at + 1024 : -8192], found[at + 1024 : -8192]) > 100
    steps = np.abs(np.diff(found[at - 512 : at + 1536, 0])).max()
    assert steps < 1.1 * np.abs(np.diff(x[:4096, 0])).max()  # no click


def separate_with(stream: SeparatorStream, x: Array) -> dict[str, Array]:
    done: dict[str, list[Array]] = {name: [] for name in stream.outputs}
    stream.push(x)
    stream.flush()
    while (window := stream.pending()) is not None:
        masks, _ = stream.model.step([window], [None])
        for name, samples in stream.accept(window, masks[0]).items():
            done[name].append(samples)
    return {name: np.concatenate(parts) for name, parts in done.items()}


def test_a_late_fader_moves_as_soon_as_it_can() -> None:
    wanted = SeparatorSettings("low", 1, outputs={"mix": {"vocals": 1.0}})
    stream = SeparatorStream(Constant(1.0), wanted)
    stream.push(noise(20_480))
    while (window := stream.pending()) is not None:
        stream.accept(window, stream.model.step([window], [None])[0][0])
        end = window.stop
    assert stream.set_gains("mix", {"vocals": 0.0}, position=5_000) == end


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("mode", SLIDING)
def test_a_skipped_window_is_the_dry_sound_in_the_last_stem(mode: str, residual: bool) -> None:
    """Without a single inference the last stem is the mixture, full band, and the others are silent."""
    x = noise(40_000)
    found = run(FakeModel(), x, SeparatorSettings(mode, 4, residual=residual), 500, lambda s, w, m: s.skip(w))
    assert snr_db(x, found["accompaniment"]) > 120
    assert not found["vocals"].any()


def test_dry_stretches_join_without_a_click() -> None:
    """A tone that the model gives to the voice moves to the band and back: no step beyond the tone's own."""
    x = tone(80_000, 440, 44_100, channels=2)
    dry = range(4, 8)
    wanted = SeparatorSettings("low", 4)
    found = run(Constant(1.0), x, wanted, 1024, lambda s, w, m: s.skip(w) if w.index in dry else s.accept(w, m))
    own = np.abs(np.diff(x[:, 0])).max()
    for name in ("vocals", "accompaniment"):
        assert np.abs(np.diff(found[name][8192:-8192, 0])).max() < 1.1 * own
    inside = slice(5 * 4096, 6 * 4096)
    assert snr_db(x[inside], found["accompaniment"][inside]) > 80
    assert snr_db(x[8192:-8192], sum(found.values())[8192:-8192]) > 80


@pytest.mark.parametrize("mode", MODES)
def test_silence_stays_silence(mode: str) -> None:
    wanted = SeparatorSettings(mode, 8, residual=True, normalise=NormaliserSettings())
    for samples in run(FakeModel(), np.zeros((20_000, 2), np.float32), wanted).values():
        assert not samples.any()


def test_the_normaliser_changes_what_the_model_sees_and_not_what_comes_out() -> None:
    """A quiet tone is shown at the edge of the tolerance; a mask of one still gives the tone itself."""
    settings = NormaliserSettings(target_db=-16.0, tolerance_db=4.0)
    model, x = Constant(1.0), tone(60_000, 440, 44_100, channels=2, amplitude=0.001 * np.sqrt(2))
    found = run(model, x, SeparatorSettings("low", 4, normalise=settings))
    assert snr_db(x[8192:-8192], found["vocals"][8192:-8192]) > 80
    plain = Constant(1.0)
    run(plain, x, SeparatorSettings("low", 4))
    gain = model.seen[8].frames[-2].max() / plain.seen[8].frames[-2].max()
    assert 20 * np.log10(gain) == pytest.approx(-20 + 60, abs=0.1)


def on_a_ladder(model: Any, x: Array, wanted: SeparatorSettings, size: int, seed: int) -> dict[str, Array]:
    """Changes over to another rung every few windows, and skips some; positions and latency are checked by `run`."""
    rungs, rng = ladder_rungs(SPEC, wanted), np.random.default_rng(seed)
    plan = [(rungs[rng.integers(len(rungs))], bool(rng.random() < 0.1)) for _ in range(4_000)]

    def answer(stream: SeparatorStream, window: Window, masks: Array) -> dict[str, Array]:
        rung, dry = plan[window.index]
        if window.index % 3 == 0:
            stream.take_rung(rung)
        return stream.skip(window) if dry else stream.accept(window, masks)

    return run(model, x, wanted, size, answer)


@pytest.mark.parametrize(("mode", "hop"), [("low", 2), ("balanced", 1), ("balanced", 8), ("quality", 2)])
def test_changing_over_between_rungs_keeps_latency_and_positions(mode: str, hop: int) -> None:
    """N in, N out, never later than stated, the same bits for any chunking, and with the residual the mixture."""
    x, wanted = noise(60_000), SeparatorSettings(mode, hop, residual=True)
    whole = on_a_ladder(FakeModel(), x, wanted, 1 << 30, seed=hop)
    np.testing.assert_allclose(whole["vocals"] + whole["accompaniment"], x, atol=np.spacing(np.float32(1)) / 2)
    for size in (17, 480, 1024):
        found = on_a_ladder(FakeModel(), x, wanted, size, seed=hop)
        np.testing.assert_array_equal(found["vocals"], whole["vocals"])


def test_changing_over_between_rungs_makes_no_click() -> None:
    """A tone that the model gives to the voice half by half: no step beyond the tone's own, whatever the rung."""
    x, wanted = tone(120_000, 440, 44_100, channels=2), SeparatorSettings("balanced", 2)
    plan, inner = ladder_rungs(SPEC, wanted), slice(8192, -8192)

    def answer(stream: SeparatorStream, window: Window, masks: Array) -> dict[str, Array]:
        stream.take_rung(plan[window.index % len(plan)])
        return stream.accept(window, masks)

    found = run(Constant(0.5), x, wanted, 1024, answer)
    assert snr_db(0.5 * x[inner], found["vocals"][inner]) > 100


def test_windows_of_all_rungs_want_equally_many_frames() -> None:
    model, wanted = Constant(), SeparatorSettings("quality", 2)
    on_a_ladder(model, noise(200 * 1024), wanted, 4_410, seed=1)
    assert len({len(window.wanted) for window in model.seen}) == 1
    assert {len(window.frames) for window in model.seen} == {64, 128}
    assert len({(window.stop - window.start) // STFT.hop for window in model.seen}) >= 4


def test_a_rung_of_another_latency_is_refused() -> None:
    stream = SeparatorStream(FakeModel(), SeparatorSettings("balanced", 2))
    with pytest.raises(ValueError, match="another latency"):
        stream.take_rung(Rung(128, 4, 4))


def windows_of(mode: str, hop: int, x: Array) -> list[Window]:
    model = Constant()
    run(model, x, SeparatorSettings(mode, hop), 1000)
    return model.seen


@pytest.mark.parametrize("mode", SLIDING)
@pytest.mark.parametrize("hop", [1, 8])
def test_sliding_windows_end_with_the_newest_frame(mode: str, hop: int) -> None:
    n = 150 * 1024
    seen = windows_of(mode, hop, noise(n))
    assert {len(window.frames) for window in seen} == {MODES[mode].window}
    assert len({window.wanted for window in seen}) == 1  # one shape of inference for the whole stream
    for window in seen[:-1]:
        last = window.first_frame + MODES[mode].window - 1
        assert (last + 1) % hop == 0
        assert window.complete == min(last * STFT.hop, n)
        final = window.stop // STFT.hop + STFT.overlap - 1  # the newest frame that is heard in the last block
        assert last - final == MODES[mode].lookahead
    assert seen[-1].first_frame + MODES[mode].window == n // STFT.hop + STFT.overlap  # and then the last of all
    assert seen[-1].stop == n


def test_a_young_stream_is_preceded_by_its_mirror_image() -> None:
    window = windows_of("low", 1, noise(100_000))[20]
    start = -window.first_frame
    assert 0 < start < len(window.frames)
    np.testing.assert_array_equal(window.frames[start - 10 : start], window.frames[start + 1 : start + 11][::-1])


def test_offline_windows_are_spleeters_segments() -> None:
    """512 frames each, side by side from the frame of zeros on, the last one filled with zeros."""
    seen = windows_of("offline", 1, noise(600 * 1024))
    assert [window.first_frame for window in seen] == [0, 512]
    assert not seen[0].frames[0].any()
    frames = 600 + 4  # ceil((4096 + n) / 1024)
    assert seen[1].frames[: frames - 512].any(axis=(1, 2)).all()
    assert not seen[1].frames[frames - 512 :].any()


def test_windows_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        windows_of("low", 1, noise(10_000))[0].frames[0] = 1


@pytest.mark.parametrize("mode", MODES)
def test_reset_forgets_everything_but_the_faders(mode: str) -> None:
    wanted = SeparatorSettings(mode, 2, outputs={"mix": {"vocals": 1.0}}, normalise=NormaliserSettings())
    stream, x = SeparatorStream(FakeModel(), wanted), noise(20_000) * np.float32(0.01)
    stream.push(noise(9_000))
    while (window := stream.pending()) is not None:
        stream.skip(window)
    stream.set_gains("mix", {"vocals": 0.5}, position=1 << 40)
    stream.reset()
    fresh = separate(FakeModel(), x, replace(wanted, outputs={"mix": {"vocals": 0.5}}))
    np.testing.assert_array_equal(separate_with(stream, x)["mix"], fresh["mix"])


@pytest.mark.parametrize(
    ("mode", "hop", "terms"),
    [
        ("low", 1, (4096, 0, 0)),
        ("balanced", 2, (4096, 3072, 1024)),
        ("quality", 4, (4096, 16_384, 3072)),
        ("offline", 1, (4096, 0, 511 * 1024)),
    ],
)
def test_the_latency_by_its_terms(mode: str, hop: int, terms: tuple[int, int, int]) -> None:
    stream = SeparatorStream(FakeModel(), SeparatorSettings(mode, hop))
    assert stream.latency == terms
    assert stream.latency_samples == sum(terms)


@pytest.mark.parametrize(("step_ms", "hop"), [(1, 1), (13.9, 1), (14.0, 2), (50, 4), (400, 32), (4000, 32)])
def test_the_smallest_hop_within_the_share(step_ms: float, hop: int) -> None:
    """A frame is 23.2 ms: 60 % of it are 13.93 ms."""
    assert choose_hop(lambda _: step_ms / 1000, SPEC.frame_s) == hop
    assert choose_hop(lambda frames: step_ms / 1000 * frames**0, SPEC.frame_s, share=0.3) >= hop


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'balanced'"):
        SeparatorStream(FakeModel(), SeparatorSettings("balancd"))
    with pytest.raises(ConfigError, match="hop: expected one of 1, 2, 4, 8, 16, 32 frames, got 3"):
        SeparatorSettings(hop=3)
    with pytest.raises(ConfigError, match="did you mean 'vocals'"):
        SeparatorStream(FakeModel(), SeparatorSettings(outputs={"mix": {"vocal": 1.0}}))
    stream = SeparatorStream(FakeModel())
    with pytest.raises(ConfigError, match="output 'voclas' does not exist, did you mean 'vocals'"):
        stream.set_gains("voclas", {"vocals": 1.0})
    with pytest.raises(ValueError, match=r"\(samples, 2\)"):
        stream.push(np.zeros(100, np.float32))
    stream.push(noise(40_000))
    window = stream.pending()
    assert window is not None
    stream.skip(window)
    with pytest.raises(ValueError, match="not the pending one"):
        stream.skip(window)
    stream.flush()
    with pytest.raises(ValueError, match="flushed"):
        stream.push(noise(1))
