"""Spleeter's networks by OpenVINO: the same numbers, its threads where they belong, and nothing sent home."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.models.separation.spleeter import Spleeter
from audio_pipeline.models.separation.spleeter_layout import VARIANTS
from audio_pipeline.models.separation.spleeter_onnx import OnnxUnets
from audio_pipeline.models.separation.stream import separate
from audio_pipeline.models.separation.types import SeparatorSettings
from tests.dsp.chunking import noise
from tests.dsp.measures import snr_db
from tests.models.small_unets import magnitudes, small_weights
from tests.models.streaming import streamed

pytest.importorskip("openvino")
from audio_pipeline.models.separation.spleeter_openvino import MOST, OpenVinoUnets, half_precisions

BINS = 128
TWO = VARIANTS["spleeter-2stems"]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("wanted", [range(0, 64), range(0, 1), range(20, 33), range(57, 64)])
def test_it_agrees_with_onnx_runtime(name: str, wanted: range) -> None:
    """100 dB between two writings of the graph, for all frames and for a few of them."""
    variant, x = VARIANTS[name], magnitudes(2, 64, BINS)
    table = small_weights(variant)
    masks = OpenVinoUnets(variant, table).masks(x, wanted)
    assert masks.shape == (2, len(variant.stems), len(wanted), BINS, 2) and masks.dtype == np.float32
    assert snr_db(OnnxUnets(variant, table).masks(x, wanted), masks) > 100


@pytest.mark.parametrize("precision", half_precisions() or [pytest.param("", marks=pytest.mark.skip("none here"))])
@pytest.mark.parametrize("name", VARIANTS)
def test_half_precision_is_close(name: str, precision: str) -> None:
    """bf16 has 8 bits: 30 dB at least with random weights, and the ratio still shares the mixture out."""
    variant, x = VARIANTS[name], magnitudes(2, 64, BINS)
    table, wanted = small_weights(variant), range(50, 64)
    half = OpenVinoUnets(variant, table, precision=precision).masks(x, wanted)
    agrees = snr_db(OpenVinoUnets(variant, table).masks(x, wanted), half)
    assert 30 < agrees < 90, "above that it was not computed in half precision"
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", *half_precisions()])
@pytest.mark.parametrize("mode", ["low", "balanced", "offline"])
def test_streamed_is_one_shot(mode: str, precision: str) -> None:
    """To the last bit, in blocks of 10 ms, with the real number of bins."""
    model = Spleeter(TWO, OpenVinoUnets(TWO, small_weights(TWO), precision=precision))
    x, settings = noise(20_000) * np.float32(0.1), SeparatorSettings(mode, 4)
    whole = separate(model, x, settings)
    for stem, sound in streamed(model, x, 441, settings).items():
        assert np.array_equal(sound, whole[stem])


def test_what_a_window_gets_depends_on_no_other_shape() -> None:
    """To the last bit, also where networks that answer more of its frames are compiled already, or are dropped."""
    table, x = small_weights(TWO), magnitudes(1, 128, BINS)
    wanted = [range(120, 128), range(90, 128), range(113, 128), range(64, 128)]
    alone = [OpenVinoUnets(TWO, table).masks(x, each) for each in wanted]
    shared = OpenVinoUnets(TWO, table)
    for _ in range(2):
        for each, expected in zip(wanted, alone, strict=True):
            assert np.array_equal(shared.masks(x, each), expected)
        for stop in range(16, 128, 8):
            shared.masks(x, range(stop - 16, stop))
        assert len(shared._compiled) == MOST


def test_threads_that_ask_at_once_get_what_each_would_get_alone() -> None:
    """A request belongs to one of them at a time."""
    shared, sounds = OpenVinoUnets(TWO, small_weights(TWO), 2), [magnitudes(1, 64, BINS, seed) for seed in range(4)]
    alone = [shared.masks(x, range(64)) for x in sounds]
    with ThreadPoolExecutor(len(sounds)) as pool:
        together = pool.map(lambda k: shared.masks(sounds[k % len(sounds)], range(64)), range(40))
        for k, found in enumerate(together):
            assert np.array_equal(found, alone[k % len(sounds)])


@pytest.mark.parametrize("threads", [1, 2])
def test_its_threads_are_as_many_as_were_asked_for_and_pinned_to_no_core(threads: int) -> None:
    if len(os.sched_getaffinity(0)) < threads:
        pytest.skip("this machine has one core")
    unets = OpenVinoUnets(TWO, small_weights(TWO), threads)
    unets.masks(magnitudes(1, 64, BINS), range(64))
    (compiled,) = unets._compiled.values()
    assert compiled.network.get_property("INFERENCE_NUM_THREADS") == threads
    allowed = {os.sched_getaffinity(int(task)) == os.sched_getaffinity(0) for task in os.listdir("/proc/self/task")}
    assert allowed == {True}


def test_importing_it_sends_nothing(tmp_path: Path) -> None:
    """Its package sends an event as it is imported, and leaves an id in the home folder, unless it finds no sender."""
    lines = "import audio_pipeline, openvino\nfrom openvino.tools.ovc import telemetry_utils\nprint(telemetry_utils.tm)"
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", lines], env=env, capture_output=True, text=True, check=True)
    assert "telemetry_stub" in done.stdout
    assert list(tmp_path.iterdir()) == []
