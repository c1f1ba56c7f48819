"""DeepFilterNet3 with its weights: the laws of a stream, and the numbers of the package it comes from."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.separation import deepfilternet
from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.deepfilternet import DeepFilterNet
from audio_pipeline.models.separation.deepfilternet_convert import ARCHIVE, from_archive, read_parts
from audio_pipeline.models.separation.deepfilternet_features import band_sizes, over_bins
from audio_pipeline.models.separation.deepfilternet_graph import PARTS
from audio_pipeline.models.separation.loading import libraries, load
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import Array, SeparatorSettings, Window
from audio_pipeline.models.separation.workers import Inline
from audio_pipeline.models.weights import store
from tests.dsp.chunking import SIZES
from tests.dsp.measures import snr_db
from tests.models.noisy_speech import RATE, noisy_speech, reference
from tests.models.streaming import streamed

LOW = SeparatorSettings("low")
HOP = DEEPFILTERNET.stft.hop


@pytest.fixture(scope="module")
def model() -> DeepFilterNet:
    if store.locate("deepfilternet").folder is None:
        pytest.skip("weights are not here (audio-pipeline models fetch deepfilternet)")
    return deepfilternet.load()


@pytest.mark.parametrize("size", SIZES)
def test_streamed_is_one_shot_to_the_last_bit(model: DeepFilterNet, size: int) -> None:
    x = noisy_speech(0.25)[: 20 * HOP + 123]
    whole, found = separate(model, x, LOW), streamed(model, x, size, LOW)
    for stem in ("speech", "noise"):
        assert len(found[stem]) == len(x)
        assert np.array_equal(found[stem], whole[stem])


@pytest.mark.parametrize("hop", [2, 8, 32])
def test_how_many_frames_a_window_brings_makes_no_difference(model: DeepFilterNet, hop: int) -> None:
    x = noisy_speech(0.5)
    one, many = (separate(model, x, SeparatorSettings("low", h))["speech"] for h in (1, hop))
    assert np.array_equal(one, many)


@pytest.mark.parametrize("length", [0, 1, HOP - 1, HOP, 2 * HOP + 1])
def test_as_many_samples_come_out_as_went_in_and_add_up(model: DeepFilterNet, length: int) -> None:
    x = noisy_speech()[:length]
    found = separate(model, x, LOW)
    assert {len(samples) for samples in found.values()} == {length}
    assert found["speech"] + found["noise"] == pytest.approx(x, abs=1e-6)


def test_it_is_the_package_to_70_db(model: DeepFilterNet) -> None:
    """What is left is the rounding of the kept reference; against the package itself it is 112 to 129 dB."""
    assert snr_db(reference(), separate(model, noisy_speech(), LOW)["speech"]) > 70


def test_speech_is_found_and_noise_is_what_is_left(model: DeepFilterNet) -> None:
    """The hiss is 12 dB below the voice; between two vowels it is alone."""
    x = noisy_speech(1.0)
    found = separate(model, x, LOW)
    between = slice(round(0.71 * RATE), round(0.74 * RATE))
    assert np.mean(found["speech"][between] ** 2) < 0.1 * np.mean(x[between] ** 2)
    assert np.mean(found["speech"] ** 2) > 0.5 * np.mean(x**2)


def test_an_impulse_comes_out_at_its_place_30_to_40_ms_later(model: DeepFilterNet) -> None:
    x = noisy_speech(0.4) * np.float32(0.01)
    at = 15 * HOP + 240
    x[at] = 0.9
    stream, worker, out = SeparatorStream(model, LOW), Inline(model), 0
    for position in range(len(x)):
        stream.push(x[position : position + 1])
        if (window := stream.pending()) is None:
            continue
        worker.submit(window)
        found = worker.take(window)
        assert found is not None
        sound = stream.accept(window, found)
        both = sound["speech"] + sound["noise"]
        if out <= at < out + len(both):
            assert int(np.abs(both).argmax()) == at - out
            assert 3 * HOP <= position - at < 4 * HOP
        out += len(both)
    assert out > at


def windows(model: DeepFilterNet, x: Array) -> list[Window]:
    """Every window of a sound."""
    stream, found = SeparatorStream(model, LOW), list[Window]()
    stream.push(x)
    stream.flush()
    while (window := stream.pending()) is not None:
        found.append(window)
        stream.skip(window)
    return found


@pytest.mark.parametrize("streams", [2, 3, 5])
def test_nobodys_answer_depends_on_the_other_streams(model: DeepFilterNet, streams: int) -> None:
    sounds = [windows(model, noisy_speech(0.2, seed)) for seed in range(streams)]
    states = [model.initial_state() for _ in sounds]
    alone = [model.initial_state() for _ in sounds]
    for batch in zip(*sounds, strict=True):
        answers, states = model.step(batch, states)
        for row, window in enumerate(batch):
            own, (alone[row],) = model.step([window], [alone[row]])
            assert np.array_equal(own[0], answers[row])


def test_a_step_leaves_the_states_it_was_given_alone(model: DeepFilterNet) -> None:
    first, second, *_ = windows(model, noisy_speech(0.2))
    _, (state,) = model.step([first], [model.initial_state()])
    once, _ = model.step([second], [state])
    again, _ = model.step([second], [state])
    assert np.array_equal(once, again)


def test_frames_that_were_missed_come_with_the_next_window(model: DeepFilterNet) -> None:
    found = windows(model, noisy_speech(0.3))
    states = [model.initial_state(), model.initial_state()]
    for window in found:
        whole, (states[0],) = model.step([window], [states[0]])
        if not 5 <= window.index <= 8:
            holed, (states[1],) = model.step([window], [states[1]])
    assert np.array_equal(whole, holed)


def test_a_gpu_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="device: deepfilternet runs on the CPU, got 'cuda'"):
        load("deepfilternet", device="cuda")
    assert libraries("deepfilternet") == ("audio_pipeline.models.separation.deepfilternet", "onnxruntime")
    assert libraries("spleeter-4stems", engine="onnxruntime")[0] == "audio_pipeline.models.separation.spleeter"


def test_bands_cover_every_bin_once() -> None:
    gains = np.arange(len(band_sizes()), dtype=np.float32)
    assert len(over_bins(gains)) == DEEPFILTERNET.bins
    assert np.array_equal(np.bincount(over_bins(gains).astype(int)), band_sizes())


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return folder


def test_only_the_graphs_are_taken_out_of_an_archive(tmp_path: Path) -> None:
    members = {f"../../{name}.onnx": name.encode() for name in PARTS} | {"tmp/export/config.ini": b"[df]"}
    found = read_parts(archive(tmp_path, members) / ARCHIVE)
    assert found == {name: name.encode() for name in PARTS}
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "does not hold enc.onnx, erb_dec.onnx, df_dec.onnx"),
        ({f"{name}.onnx": b"no graph" for name in PARTS}, "the graphs cannot be read"),
        ({f"{name}.onnx": b"" for name in PARTS}, "DeepFilterNet3: the graphs"),
        ({"enc.onnx": bytes((1 << 24) + 1)}, "too many for a graph"),
    ],
)
def test_another_archive_is_refused(members: dict[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        from_archive(archive(tmp_path, members), tmp_path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(b"\x1f\x8b\x08not really")
    with pytest.raises(WeightsError, match="cannot be read"):
        from_archive(tmp_path, tmp_path)
