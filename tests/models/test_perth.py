"""The watermark: found where it was put, through what speech goes through, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import WeightsError
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import BINS, FILE, HOP, RATE, Array, Perth, analyse, synthesise
from audio_pipeline.models.weights import store
from tests.dsp.chunking import noise, tone
from tests.shared import shared


@pytest.fixture(scope="module")
def networks() -> Perth:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    return perth.load()


@pytest.fixture(scope="module")
def speech() -> Array:
    """Six seconds at 24 kHz, as a synthesiser gives them."""
    path = sorted(shared("speech/1998").glob("*.flac"))[0]
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resampled(x[: 6 * rate], rate, 24_000)


@pytest.mark.parametrize("length", [0, 1, 100, 2_048, 2_049, 10_000])
def test_analysis_and_synthesis_are_inverse(length: int) -> None:
    """To float32's rounding: -110 dB."""
    x = noise(length, 1)[:, 0]
    assert synthesise(analyse(x), length) == pytest.approx(x, abs=1e-6)


def test_spectra_are_torchs() -> None:
    import torch

    x = noise(5_000, 1)[:, 0]
    window = torch.hann_window(2_048)
    expected = torch.stft(torch.from_numpy(x), 2_048, HOP, window=window, return_complex=True).numpy()
    assert analyse(x) == pytest.approx(expected, abs=1e-4)  # sums of 2048 in float32


def test_the_mark_is_found_and_clean_speech_is_clean(networks: Perth, speech: Array) -> None:
    assert perth.confidence(networks, speech, 24_000) < 0.3
    assert perth.confidence(networks, perth.marked(networks, speech, 24_000), 24_000) > 0.95


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_it_survives_other_rates(networks: Perth, speech: Array, rate: int) -> None:
    marked = resampled(perth.marked(networks, speech, 24_000), 24_000, rate)
    assert perth.confidence(networks, marked, rate) > 0.9


def test_it_survives_a_crop_of_one_second(networks: Perth, speech: Array) -> None:
    marked = perth.marked(networks, speech, 24_000)
    found = [perth.confidence(networks, marked[i * 24_000 : (i + 1) * 24_000], 24_000) for i in range(1, 5)]
    assert min(found) > 0.7


def test_it_survives_mp3_at_128_kbit(networks: Perth, speech: Array, tmp_path: Path) -> None:
    import av

    with av.open(tmp_path / "x.mp3", "w") as out:
        stream = out.add_stream("mp3", rate=24_000, layout="mono", bit_rate=128_000)
        frame = av.AudioFrame.from_ndarray(perth.marked(networks, speech, 24_000).T.copy(), "fltp", "mono")
        frame.rate = 24_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    back, rate = soundfile.read(tmp_path / "x.mp3", dtype="float32", always_2d=True)
    assert perth.confidence(networks, back, rate) > 0.9


def test_nothing_above_the_marks_band_changes(networks: Perth, speech: Array) -> None:
    """The mark ends at 2 kHz; its frames' windows leak less than -60 dB of it beyond 2.2 kHz."""
    change = perth.marked(networks, speech, 24_000) - speech
    power = np.abs(np.fft.rfft(change[:, 0])) ** 2
    hz = np.fft.rfftfreq(len(change), 1 / 24_000)
    assert 10 * np.log10(power[hz > 2_200].sum() / power.sum()) < -60


def test_channels_get_the_same_mark(networks: Perth, speech: Array) -> None:
    both = np.concatenate([speech, speech * 0.5], axis=1)
    change = perth.marked(networks, both, 24_000) - both
    assert change[:, 0] == pytest.approx(change[:, 1], abs=1e-6)


def test_silence_stays_silent_and_is_no_mark(networks: Perth) -> None:
    x = np.zeros((24_000, 1), np.float32)
    assert np.abs(perth.marked(networks, x, 24_000)).max() < 1e-4
    assert perth.confidence(networks, x, 24_000) == 0.0
    assert perth.confidence(networks, x[:0], 24_000) == 0.0


@pytest.mark.parametrize("samples", [1, 10, 319, 5_000])
def test_the_shortest_sounds_go_through(networks: Perth, samples: int) -> None:
    x = tone(samples, 440, 24_000)
    assert perth.marked(networks, x, 24_000).shape == x.shape
    assert 0 <= perth.confidence(networks, x, 24_000) <= 1


def test_the_self_check_finds_the_mark(networks: Perth) -> None:
    assert perth.self_check(networks) > 0.9


def test_weights_that_mark_nothing_do_not_pass_the_self_check(tmp_path: Path) -> None:
    save_file({name: np.zeros(shape, np.float32) for name, shape in perth.shapes().items()}, tmp_path / FILE)
    assert perth.self_check(Perth(tmp_path / FILE)) == 0.0


def test_a_file_without_a_tensor_is_refused(tmp_path: Path) -> None:
    arrays = {name: np.zeros(shape, np.float32) for name, shape in perth.shapes().items()}
    del arrays["encoder.layers.0.conv.bias"]
    save_file(arrays, tmp_path / FILE)
    with pytest.raises(WeightsError, match=r"tensor encoder.layers.0.conv.bias is missing, expected \(256,\)"):
        Perth(tmp_path / FILE)


def test_the_networks_see_128_bins() -> None:
    assert BINS * RATE / 2_048 == 2_000
