"""Kokoro in torch beside the released graph, and its weights out of a file of integers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from audio_pipeline.dsp.mel import Mel
from audio_pipeline.errors import WeightsError
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.kokoro_weights import read_weights
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.weights import store

if TYPE_CHECKING:
    from audio_pipeline.models.speech.kokoro_torch import KokoroTorch

torch = pytest.importorskip("torch")

Array = kokoro.Array
TEXT = "Good morning, how are you today?"


def graph(path: Path, initial: dict[str, np.ndarray], nodes: list[onnx.NodeProto]) -> Path:
    tensors = [numpy_helper.from_array(value, name) for name, value in initial.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))
    path.write_bytes(model.SerializeToString())
    return path


def test_integers_become_numbers_under_the_modules_names(tmp_path: Path) -> None:
    q = np.array([[[10], [20]], [[30], [40]]], np.uint8)
    initial = {
        "w_quantized": q,
        "w_scale": np.float32(0.5),
        "zero": np.uint8(20),
        "m_quantized": q[..., 0],
        "m_scale": np.float32(2),
        "decoder.decoder.a.bias": np.ones(2, np.float32),
    }
    nodes = [
        helper.make_node("ConvInteger", ["x", "w_quantized", "xz", "zero"], ["y"], "/decoder/decoder/a/Conv_quant"),
        helper.make_node("MatMulInteger", ["x", "m_quantized", "xz", "zero"], ["z"], "/encoder/cnn.0/cnn.0.1/M_quant"),
    ]
    found = read_weights(graph(tmp_path / "g.onnx", initial, nodes))
    assert np.array_equal(found["decoder.a.weight"], (q.astype(np.float32) - 20) / 2)
    assert np.array_equal(found["cnn.0.1.weight"], (q[..., 0].T.astype(np.float32) - 20) * 2)
    assert np.array_equal(found["decoder.a.bias"], [1, 1])


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(WeightsError, match=r"x.onnx is not an ONNX file"):
        read_weights(tmp_path / "x.onnx")


def test_a_graph_without_a_tensor_names_it(tmp_path: Path) -> None:
    from audio_pipeline.models.speech.kokoro_torch import KokoroTorch

    graph(tmp_path / kokoro.MODEL, {"a": np.zeros(1, np.float32)}, [])
    (tmp_path / kokoro.VOCABULARY).write_text('{"vocab": {}}')
    with pytest.raises(WeightsError, match=r"Kokoro: tensor bert\.\S+ is missing, expected"):
        KokoroTorch(tmp_path)


def test_the_source_is_silent_where_nothing_is_voiced_and_has_the_pitch_elsewhere() -> None:
    from audio_pipeline.models.speech.kokoro_torch_decoder import PITCH_HOP, RATE, Source

    source = Source().requires_grad_(False)
    source.l_linear.weight.copy_(torch.tensor([[1.0] + [0.0] * 8]))
    source.l_linear.bias.zero_()
    hz = torch.tensor([[0.0] * 20 + [200.0] * 60])
    x = source(hz)[0].numpy()
    assert len(x) == 80 * PITCH_HOP
    assert not x[: 20 * PITCH_HOP].any()
    spectrum = np.abs(np.fft.rfft(x[20 * PITCH_HOP :]))
    assert spectrum.argmax() * RATE / (60 * PITCH_HOP) == pytest.approx(200, abs=RATE / (60 * PITCH_HOP))


TAPS = {  # of the released graph: frames of each phoneme, pitch, energy, text over time, sound
    "frames": "/encoder/Clip_output_0",
    "pitch": "/encoder/Reshape_output_0",
    "energy": "/encoder/Reshape_1_output_0",
    "sounds": "/encoder/MatMul_1_output_0",
    "audio": "audio",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    if store.locate("kokoro").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch kokoro)")
    return store.path("kokoro", kokoro.MODEL).parent


@pytest.fixture(scope="module")
def style() -> Array:
    return kokoro.row(kokoro.load_pack("jf_alpha"), len(to_phonemes(TEXT)))


@pytest.fixture(scope="module")
def released(folder: Path, style: Array) -> dict[str, Array]:
    """What the graph computes on its way to the sound."""
    model = onnx.load(folder / kokoro.MODEL)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in TAPS.values() if name not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    vocabulary = json.loads((folder / kokoro.VOCABULARY).read_text())["vocab"]
    tokens = np.array([[0, *(vocabulary[sign] for sign in to_phonemes(TEXT) if sign in vocabulary), 0]])
    feed = {"tokens": tokens, "style": style[None], "speed": np.ones(1, np.float32)}
    return dict(zip(TAPS, session.run(list(TAPS.values()), feed), strict=True))


@pytest.fixture(scope="module")
def ours(folder: Path) -> KokoroTorch:
    from audio_pipeline.models.speech.kokoro_torch import KokoroTorch

    return KokoroTorch(folder)


@pytest.mark.slow
def test_durations_are_equal_and_pitch_is_within_a_twentieth_of_a_semitone(
    ours: KokoroTorch, released: dict[str, Array], style: Array
) -> None:
    with torch.no_grad():
        found = ours.prosody(ours.text(to_phonemes(TEXT)), torch.from_numpy(style[None, 128:]))
    assert np.array_equal(found.durations.numpy(), released["frames"].ravel())
    voiced = released["pitch"].ravel() > 50
    semitones = 12 * np.log2(found.pitch.numpy().ravel()[voiced] / released["pitch"].ravel()[voiced])
    assert abs(np.median(semitones)) < 0.05


@pytest.mark.slow
def test_of_equal_prosody_both_make_the_same_wave(ours: KokoroTorch, released: dict[str, Array], style: Array) -> None:
    """The graph rounds what flows between its layers to 8 bits; without that the correlation would be 1."""
    curves = [torch.from_numpy(released[name]).reshape(1, -1) for name in ("pitch", "energy")]
    with torch.no_grad():
        sound = ours.decode(torch.from_numpy(released["sounds"]), *curves, torch.from_numpy(style[None, :128]))
    assert np.corrcoef(sound[0].numpy(), released["audio"].ravel())[0, 1] > 0.9


@pytest.mark.slow
def test_from_phonemes_on_both_have_the_same_mel_spectra(
    ours: KokoroTorch, released: dict[str, Array], style: Array
) -> None:
    """Tiny differences of pitch add up to other phases, so whole sentences are compared by their magnitudes."""
    sounds = (ours.synthesise(to_phonemes(TEXT), style), released["audio"].ravel())
    a, b = (10 * np.log10(Mel(kokoro.RATE, 1200, 300, 80).frames(x) + 1e-6) for x in sounds)
    assert a.shape == b.shape
    assert np.sqrt(np.mean(np.square(a - b))) < 3  # dB; 2.4 measured
