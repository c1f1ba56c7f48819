"""The networks: two implementations against each other, and against what Spleeter itself gave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models import spleeter, weights
from audio_pipeline.models.separation import Array, SeparatorSettings, Window, separate
from audio_pipeline.models.spleeter_layout import MASK_EPSILON, VARIANTS, shapes
from audio_pipeline.models.spleeter_onnx import OnnxUnets
from audio_pipeline.models.spleeter_torch import TorchUnets
from tests.dsp.measures import snr_db
from tests.models.small_unets import magnitudes, save_small, small_weights
from tests.shared import shared

BINS = 64


def test_the_size_of_the_released_networks() -> None:
    """9,823,749 trained parameters each, of which the normalisation after the last encoder level is not used."""
    assert sum(int(np.prod(shape)) for shape in shapes().values()) == 9_823_749 - 2 * 512


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("wanted", [range(0, 64), range(0, 1), range(20, 33), range(57, 64)])
def test_onnx_and_torch_agree(name: str, wanted: range) -> None:
    """100 dB between two writings of the graph, for all frames and for a few of them."""
    pytest.importorskip("torch")
    variant, x = VARIANTS[name], magnitudes(2, 64, BINS)
    table = small_weights(variant)
    masks = OnnxUnets(variant, table).masks(x, wanted)
    assert masks.shape == (2, len(variant.stems), len(wanted), BINS, 2)
    assert snr_db(TorchUnets(variant, table, "cpu").masks(x, wanted), masks) > 100


@pytest.mark.parametrize("name", VARIANTS)
def test_masks_share_the_mixture_out(name: str) -> None:
    variant = VARIANTS[name]
    masks = OnnxUnets(variant, small_weights(variant)).masks(magnitudes(1, 64, BINS), range(64))
    np.testing.assert_allclose(masks.sum(axis=1), 1, atol=1e-5)
    assert masks.min() >= 0
    assert masks.std() > 0.01


@pytest.mark.parametrize("name", VARIANTS)
def test_silence_is_shared_equally(name: str) -> None:
    """Where the mixture is zero only the epsilon of the ratio is left: a share of 1/stems each."""
    variant = VARIANTS[name]
    masks = OnnxUnets(variant, small_weights(variant)).masks(np.zeros((1, 64, BINS, 2), np.float32), range(64))
    np.testing.assert_allclose(masks, 1 / len(variant.stems), rtol=1e-3)
    assert MASK_EPSILON > 0


@pytest.mark.parametrize("change", [{"elu": True}, {"softmax": True}])
def test_activation_and_head_matter(change: dict[str, bool]) -> None:
    """The graph follows the variant: every mistake in it sounds like separation, so only numbers tell."""
    variant, x = VARIANTS["spleeter-2stems"], magnitudes(1, 64, BINS)
    table = small_weights(variant)
    masks = OnnxUnets(variant, table).masks(x, range(64))
    other = OnnxUnets(replace(variant, **change), table).masks(x, range(64))
    assert snr_db(masks, other) < 40


def test_other_streams_in_a_batch_change_nothing() -> None:
    variant, x = VARIANTS["spleeter-4stems"], magnitudes(3, 64, BINS)
    unets = OnnxUnets(variant, small_weights(variant))
    together = unets.masks(x, range(60, 64))
    for row in range(3):
        np.testing.assert_allclose(unets.masks(x[row : row + 1], range(60, 64)), together[row : row + 1], atol=1e-6)


def window(x: Array, wanted: range) -> Window:
    return Window(0, x, 0, wanted, 0, 0, 0)


def test_a_batch_of_windows_of_several_shapes(tmp_path: Path) -> None:
    name = "spleeter-2stems"
    model = spleeter.from_file(save_small(tmp_path, name), VARIANTS[name], device="cpu")
    x = magnitudes(3, 128, 1024)
    windows = [window(x[0], range(100, 104)), window(x[1, :64], range(60, 64)), window(x[2], range(100, 104))]
    masks, states = model.step(windows, ["a", "b", "c"])
    assert states == ["a", "b", "c"]
    for one, expected in zip(windows, masks, strict=True):
        np.testing.assert_allclose(model.step([one], [None])[0][0], expected, atol=1e-6)
    with pytest.raises(ValueError, match="equally many"):
        model.step([windows[0], window(x[0], range(3))], [None, None])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_separates_a_stream(name: str, tmp_path: Path) -> None:
    """As many stems as it has, which add up to what the network sees of the mixture."""
    model = spleeter.from_file(save_small(tmp_path, name), VARIANTS[name], device="cpu")
    x = np.zeros((20_000, 2), np.float32)
    x[5_000:15_000] = (np.hanning(10_000) * np.sin(np.arange(10_000) * 0.1))[:, None] * 0.5
    stems = separate(model, x, SeparatorSettings("low", 4))
    assert tuple(stems) == VARIANTS[name].stems
    assert snr_db(x, np.sum(list(stems.values()), axis=0)) > 90


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'spleeter-2stems'"):
        spleeter.load("spleeter-2stem")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        spleeter.from_file(tmp_path / "model.safetensors", VARIANTS["spleeter-2stems"])
    path = save_small(tmp_path, "spleeter-2stems")
    with pytest.raises(WeightsError, match="tensor drums.enc1.kernel is missing, expected"):
        spleeter.from_file(path, VARIANTS["spleeter-4stems"])
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="cude")


def test_asking_for_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_pipeline.models.spleeter_torch.cuda_is_here", lambda: False)
    path = save_small(tmp_path, "spleeter-2stems")
    with pytest.raises(ConfigError, match="no CUDA device"):
        spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="cuda")
    spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="auto")


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    folder = shared("spleeter_official")
    names = {"mixture": "mixture.flac", "vocals": "vocals.wav", "accompaniment": "accompaniment.wav"}
    return {name: soundfile.read(folder / file, dtype="float32")[0] for name, file in names.items()}


@pytest.fixture(scope="module")
def real() -> spleeter.Spleeter:
    """The released weights; fetched once where they are missing, since nothing else can prove the port."""
    try:
        weights.fetch("spleeter-2stems")
    except WeightsError as error:
        pytest.skip(str(error))
    return spleeter.load("spleeter-2stems", device="cpu")


@pytest.mark.slow
def test_offline_is_what_spleeter_gives(real: spleeter.Spleeter, official: dict[str, Any]) -> None:
    """Official Spleeter 2.4.2 on TensorFlow; 60 dB is the promise, 100 is what was measured."""
    found = separate(real, official["mixture"])
    for stem in ("vocals", "accompaniment"):
        assert snr_db(official[stem], found[stem]) > 90


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "hop", "least_db"), [("low", 8, 15), ("balanced", 8, 17.5), ("quality", 8, 20)])
def test_a_sliding_window_comes_close(
    mode: str, hop: int, least_db: float, real: spleeter.Spleeter, official: dict[str, Any]
) -> None:
    """The whole clip at a hop that is quick to test; benchmarks/separation_streaming.py has the others."""
    found = separate(real, official["mixture"], SeparatorSettings(mode, hop))
    assert snr_db(official["vocals"], found["vocals"]) > least_db
