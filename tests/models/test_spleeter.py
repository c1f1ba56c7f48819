"""The networks: two implementations against each other, and against what Spleeter itself gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import soundfile

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.separation import spleeter, spleeter_onnx
from audio_pipeline.models.separation.engines import Way
from audio_pipeline.models.separation.spleeter_layout import MASK_EPSILON, VARIANTS, Variant, Weights, shapes
from audio_pipeline.models.separation.spleeter_onnx import ANY, OnnxUnets
from audio_pipeline.models.separation.spleeter_precision import settle
from audio_pipeline.models.separation.spleeter_torch import TorchUnets
from audio_pipeline.models.separation.stream import separate
from audio_pipeline.models.separation.types import Array, SeparatorSettings, Window
from audio_pipeline.models.weights import store
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


Make = Callable[[Variant, Weights], Any]


def openvino_unets(variant: Variant, table: Weights, precision: str = "fp32") -> Any:
    """By OpenVINO; skips the test where it is not installed."""
    pytest.importorskip("openvino")
    from audio_pipeline.models.separation.spleeter_openvino import OpenVinoUnets

    return OpenVinoUnets(variant, table, precision=precision)


ENGINES: dict[str, Make] = {
    "onnx": OnnxUnets,
    "openvino": openvino_unets,
    "torch": lambda variant, table: TorchUnets(variant, table, "cpu"),
    "torch, always 4": lambda variant, table: TorchUnets(variant, table, "cpu", sizes=(4,)),
}


@pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_row_is_bit_equal_whatever_its_neighbours_are(name: str, make: Make) -> None:
    """In a batch of one size: other music, silence, noise 60 dB up, infinities and what is not a number."""
    pytest.importorskip("torch")
    variant, wanted = VARIANTS[name], range(50, 64)
    engine, x = make(variant, small_weights(variant)), magnitudes(4, 64, BINS)
    expected = engine.masks(x, wanted)[2]
    for value in (0.0, 1e3, np.inf, np.nan):
        other = magnitudes(4, 64, BINS, seed=1) * np.float32(value)
        other[2] = x[2]
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(engine.masks(other, wanted)[2], expected)


@pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
def test_batches_of_all_sizes_agree(make: Make) -> None:
    """100 dB between a window alone and in any batch, those too large for one piece included."""
    pytest.importorskip("torch")
    variant, wanted = VARIANTS["spleeter-2stems"], range(50, 64)
    engine, x = make(variant, small_weights(variant)), magnitudes(40, 64, BINS)
    alone = engine.masks(x[:1], wanted)
    for count in (2, 3, 5, 8, 33, 40):
        together = engine.masks(x[:count], wanted)
        assert together.shape[0] == count
        assert snr_db(alone[0], together[0]) > 100
        assert snr_db(engine.masks(x[count - 1 : count], wanted)[0], together[-1]) > 100


@pytest.mark.parametrize("name", VARIANTS)
def test_half_precision_is_close(name: str) -> None:
    """bf16 has 8 bits: 30 dB at least with random weights, and the ratio still shares the mixture out."""
    pytest.importorskip("torch")
    variant, x = VARIANTS[name], magnitudes(2, 64, BINS)
    table = small_weights(variant)
    half = TorchUnets(variant, table, "cpu", "bf16").masks(x, range(50, 64))
    assert half.dtype == np.float32
    assert snr_db(TorchUnets(variant, table, "cpu").masks(x, range(50, 64)), half) > 30
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-5)


class Rough:
    """Masks that are off by a stated amount."""

    def __init__(self, error: float) -> None:
        self._error = np.float32(error)

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        rng = np.random.default_rng(1)
        shape = (len(magnitudes), 2, len(wanted), *magnitudes.shape[2:])
        return (0.5 + self._error * rng.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("error", "precision", "message"),
    [
        (0.0005, "auto", "fp16, which agrees with fp32 to 60 dB"),
        (0.005, "auto", "in fp32: fp16 agrees with it to 40 dB"),
        (0.0005, "bf16", "bf16, which"),
        (float("nan"), "fp16", "in fp32: fp16 agrees with it to -inf dB"),
        (0.5, "fp32", "computes in fp32"),
    ],
)
def test_half_precision_is_taken_only_where_it_agrees(error: float, precision: str, message: str) -> None:
    made: dict[str, Rough] = {}

    def make(kind: str) -> Rough:
        made[kind] = Rough(0.0 if kind == "fp32" else error)
        return made[kind]

    engine, line = settle(make, precision)
    assert message in line
    assert engine is made["fp32" if "in fp32" in line else line.split()[2].rstrip(",")]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, range]]:
    """Frames of a window and frames wanted, of each graph that was made."""
    made: list[tuple[int, range]] = []
    build = spleeter_onnx.build
    monkeypatch.setattr(spleeter_onnx, "build", lambda *a: made.append((a[2], a[4])) or build(*a))
    return made


def test_a_session_that_answers_more_frames_gives_the_same_bits(opened: list[tuple[int, range]]) -> None:
    """And takes the place of the smaller one: each holds the weights again."""
    variant = VARIANTS["spleeter-2stems"]
    table, x = small_weights(variant), magnitudes(1, 128, BINS)
    wanted = [range(120, 128), range(90, 128), range(113, 128), range(96, 128)]
    alone = [OnnxUnets(variant, table).masks(x, each) for each in wanted]
    shared = OnnxUnets(variant, table)
    opened.clear()
    for each, expected in zip(wanted, alone, strict=True):
        assert np.array_equal(shared.masks(x, each), expected)
    assert [(ANY - frames.start, frames.stop) for _, frames in opened] == [(16, ANY), (48, ANY)]
    assert len(shared._sessions) == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_one_session_serves_windows_of_all_lengths(name: str, opened: list[tuple[int, range]]) -> None:
    """To the bits of a graph of that length; the one of 64 frames is shorter than what the frames depend on."""
    variant, unets = VARIANTS[name], OnnxUnets(VARIANTS[name], table := small_weights(VARIANTS[name]))
    for frames in (128, 64, 192, 512):
        x, wanted = magnitudes(1, frames, BINS, seed=frames), range(frames - 16, frames)
        graph, used = spleeter_onnx.build(variant, table, frames, BINS, wanted)
        options = onnxruntime.SessionOptions()
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in used.values()]
        options.add_external_initializers(list(used), values)
        fixed = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        assert np.array_equal(unets.masks(x, wanted), fixed.run(None, {"magnitudes": x})[0])
    assert [frames for frames, _ in opened if frames == ANY] == [ANY]


def test_a_window_shorter_than_a_session_needs_has_its_own(opened: list[tuple[int, range]]) -> None:
    """Where the first frames are wanted the padding before them is heard."""
    variant, x = VARIANTS["spleeter-2stems"], magnitudes(1, 64, BINS)
    unets = OnnxUnets(variant, small_weights(variant))
    unets.masks(magnitudes(1, 128, BINS), range(40, 128))
    assert np.array_equal(unets.masks(x, range(64)), OnnxUnets(variant, small_weights(variant)).masks(x, range(64)))
    assert [frames for frames, _ in opened] == [ANY, 64, 64]


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
    with pytest.raises(ValueError, match="must request the same number of frames"):
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
    with pytest.raises(ConfigError, match="did you mean 'fp16'"):
        spleeter.from_file(path, VARIANTS["spleeter-2stems"], precision="fp15")
    with pytest.raises(ConfigError, match="did you mean 'openvino'"):
        spleeter.from_file(path, VARIANTS["spleeter-2stems"], engine="openvin")


def test_asking_for_a_gpu_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_pipeline.models.separation.spleeter_torch.cuda_is_here", lambda: False)
    path = save_small(tmp_path, "spleeter-2stems")
    with pytest.raises(ConfigError, match="no CUDA device"):
        spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="cuda")
    assert "CPU" in spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="auto").engine
    monkeypatch.setattr("audio_pipeline.models.separation.engines.ways_here", lambda: [Way("onnxruntime", "fp32")])
    asked = spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="auto", precision="fp16")
    assert asked.engine == "CPU: ONNX Runtime computes in fp32; fp16 is not to be had on this CPU"
    with pytest.raises(
        ConfigError, match="precision: 'fp16' is not to be had on this CPU, which has ONNX Runtime fp32"
    ):
        spleeter.from_file(path, VARIANTS["spleeter-2stems"], device="cpu", precision="fp16")


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    folder = shared("spleeter_official")
    names = {"mixture": "mixture.flac", "vocals": "vocals.wav", "accompaniment": "accompaniment.wav"}
    return {name: soundfile.read(folder / file, dtype="float32")[0] for name, file in names.items()}


@pytest.fixture(scope="module")
def real() -> spleeter.Spleeter:
    """The released weights; fetched once where they are missing, since nothing else can prove the port."""
    try:
        store.fetch("spleeter-2stems")
    except WeightsError as error:
        pytest.skip(str(error))
    return spleeter.load("spleeter-2stems", device="cpu", precision="fp32", engine="onnxruntime")


@pytest.mark.slow
def test_offline_is_what_spleeter_gives(real: spleeter.Spleeter, official: dict[str, Any]) -> None:
    """Official Spleeter 2.4.2 on TensorFlow; 60 dB is the promise, 100 is what was measured."""
    found = separate(real, official["mixture"])
    for stem in ("vocals", "accompaniment"):
        assert snr_db(official[stem], found[stem]) > 90


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "hop", "least_db"),
    [
        pytest.param("low", 8, 15, marks=pytest.mark.long),
        ("balanced", 8, 17.5),
        pytest.param("quality", 8, 20, marks=pytest.mark.long),
    ],
)
def test_a_sliding_window_comes_close(
    mode: str, hop: int, least_db: float, real: spleeter.Spleeter, official: dict[str, Any]
) -> None:
    """The whole clip at a hop that is quick to test; benchmarks/separation_streaming.py has the others."""
    found = separate(real, official["mixture"], SeparatorSettings(mode, hop))
    assert snr_db(official["vocals"], found["vocals"]) > least_db
