"""The speaker encoder: its network is torch's, its partials are those it was trained on, voices are told apart."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import save_file

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.hearing import ge2e, speech
from audio_pipeline.models.hearing.ge2e import (
    FILE,
    LAYERS,
    MEL,
    PARTIAL,
    SIZE,
    SpeakerEncoder,
    partial_starts,
    similarity,
)
from audio_pipeline.models.weights import store
from tests.shared import shared


def random_weights(seed: int = 0) -> dict[str, ge2e.Array]:
    rng = np.random.default_rng(seed)
    return {name: (rng.standard_normal(shape) / 16).astype(np.float32) for name, shape in ge2e.shapes().items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SpeakerEncoder:
    """The network with random weights."""
    path = tmp_path_factory.mktemp("ge2e") / FILE
    save_file(random_weights(), path)
    return SpeakerEncoder(path)


def test_the_network_is_torchs(small: SpeakerEncoder) -> None:
    """To float32's rounding through 160 steps of recurrence."""
    arrays = {name: torch.from_numpy(array) for name, array in random_weights().items()}
    lstm = torch.nn.LSTM(MEL.bands, SIZE, LAYERS, batch_first=True)
    lstm.load_state_dict({name.removeprefix("lstm."): array for name, array in arrays.items() if "lstm" in name})
    mels = np.abs(np.random.default_rng(1).standard_normal((3, PARTIAL, MEL.bands))).astype(np.float32)
    with torch.no_grad():
        last = lstm(torch.from_numpy(mels))[1][0][-1]
        raw = torch.relu(last @ arrays["linear.weight"].T + arrays["linear.bias"])
        expected = (raw / raw.norm(dim=1, keepdim=True)).numpy()
    assert small.partials(mels) == pytest.approx(expected, abs=1e-5)


def test_rows_of_a_batch_do_not_touch_each_other(small: SpeakerEncoder) -> None:
    mels = np.abs(np.random.default_rng(2).standard_normal((4, PARTIAL, MEL.bands))).astype(np.float32)
    alone = np.concatenate([small.partials(mels[i : i + 1]) for i in range(4)])
    assert small.partials(mels) == pytest.approx(alone, abs=1e-6)
    assert small.partials(mels[:0]).shape == (0, SIZE)


def test_a_wrong_shape_is_named(small: SpeakerEncoder) -> None:
    with pytest.raises(ValueError, match=r"expected mel spectrograms of shape \(n, 160, 40\), got \(1, 100, 40\)"):
        small.partials(np.zeros((1, 100, 40), np.float32))


def test_a_file_without_a_tensor_is_refused(tmp_path: Path) -> None:
    arrays = random_weights()
    del arrays["linear.bias"]
    save_file(arrays, tmp_path / FILE)
    with pytest.raises(WeightsError, match="tensor linear.bias is missing"):
        SpeakerEncoder(tmp_path / FILE)


@pytest.mark.parametrize(
    ("seconds", "starts"), [(0.5, [0]), (1.6, [0]), (2.7, [0]), (2.9, [0, 77]), (10.0, [77 * i for i in range(12)])]
)
def test_partials_cover_a_clip_and_the_last_is_three_quarters_sound(seconds: float, starts: list[int]) -> None:
    found = partial_starts(round(seconds * ge2e.RATE))
    assert found[: len(starts)] == starts[: len(found)]
    if len(found) > 1:
        assert seconds * 100 - found[-1] >= 0.75 * PARTIAL


def clip(name: str) -> ge2e.Array:
    x, rate = soundfile.read(shared(f"speech/{name}"), dtype="float32", always_2d=True)
    return speech.prepare(x, rate)


def test_voices_are_told_apart() -> None:
    """Two clips of one reader are nearer than any two of different ones."""
    if store.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")
    encoder = ge2e.load()
    names = [path.name for path in sorted(shared("speech").iterdir()) if path.is_dir()][:5]
    clips = {name: sorted(shared(f"speech/{name}").glob("*.flac"))[:2] for name in names}
    found = {name: [encoder.utterance(clip(f"{name}/{path.name}")) for path in paths] for name, paths in clips.items()}
    own = [similarity(a, b) for a, b in found.values()]
    others = [similarity(found[a][0], found[b][0]) for a, b in combinations(names, 2)]
    assert min(own) > max(others)
    assert min(own) > 0.75


def test_silence_is_taken_out_and_speech_kept() -> None:
    spoken = clip(sorted(f"1688/{path.name}" for path in shared("speech/1688").glob("*.flac"))[0])
    gap = np.zeros(5 * speech.RATE, np.float32)
    found = speech.without_silence(np.concatenate([spoken, gap, spoken]))
    assert 1.8 * len(spoken) < len(found) < 2.1 * len(spoken)
    assert len(speech.without_silence(gap)) == 0


@pytest.mark.parametrize("samples", [0, 1, 479, 480, 481])
def test_clips_shorter_than_a_window_are_no_speech(samples: int) -> None:
    assert len(speech.prepare(np.zeros((samples, 2), np.float32), speech.RATE)) == 0


def test_quiet_clips_come_up_to_30_db_below_full_scale_and_loud_ones_stay() -> None:
    x = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    quiet = speech.raised(x * 0.001)
    assert 20 * np.log10(np.sqrt(np.mean(quiet**2))) == pytest.approx(-30, abs=0.01)
    assert np.array_equal(speech.raised(x), x)
