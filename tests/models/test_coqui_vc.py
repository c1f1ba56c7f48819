"""OpenVoice and FreeVC around their networks, which are stood in for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from audio_pipeline.errors import ConfigError, WeightsError  # noqa: E402
from audio_pipeline.models.convert import coqui_vc  # noqa: E402
from audio_pipeline.models.convert.coqui_vc import (  # noqa: E402
    LAYERS,
    FreeVCConverter,
    OpenVoiceConverter,
    open_converter,
)

HOP = 256


class Means(torch.nn.Module):
    """Tone colour is the mean level; converting multiplies by the target's over the source's."""

    def __init__(self) -> None:
        super().__init__()
        audio = {"input_sample_rate": 22_050, "hop_length": HOP, "fft_size": 1_024}
        self.config = SimpleNamespace(audio=SimpleNamespace(**audio))
        self.tau, self.looked = 1.0, 0

    def extract_se(self, x: Any) -> tuple[Any, Any]:
        self.looked += 1
        assert len(x) % HOP == 0 or len(x) >= 22_050 // 4, "the network is only given whole hops"
        return x.abs().mean().expand(1, 256, 1), x[None]

    def inference(self, x: Any, aim: Any) -> dict[str, Any]:
        return {"model_outputs": x[None] * (aim["g_tgt"] / aim["g_src"])[0, 0]}


class Hops(torch.nn.Module):
    """FreeVC whose frames are the mean of 320 samples, held for 480."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(audio=SimpleNamespace(output_sample_rate=24_000, hop_length=320))
        self.device = "cpu"

    def clone_voice(self, clips: Any) -> dict[str, Any]:
        return {"speaker_embedding": clips[0].mean()}

    def extract_wavlm_features(self, x: Any) -> Any:
        return x.unfold(1, 400, 320).mean(2)  # a frame sees 400 samples, as WavLM's do

    def inference(self, x: Any, g: Any) -> Any:
        return x.repeat_interleave(480, 1)[None]


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coqui_vc, "import_coqui", lambda: None)
    monkeypatch.setattr(coqui_vc, "_openvoice", lambda folder: Means())
    monkeypatch.setattr(coqui_vc, "_freevc", lambda folder: Hops())


def level(value: float, seconds: float, rate: int = 22_050) -> np.ndarray:
    return np.full(round(seconds * rate), value, np.float32)


def openvoice(target: float = 0.4) -> Any:
    converter = OpenVoiceConverter(Path())
    converter.aim(level(target, 2), 22_050)
    return converter


@pytest.mark.parametrize("samples", [1, 255, 256, 1_000, 5_513])
def test_as_many_samples_come_out_as_go_in(samples: int) -> None:
    assert len(openvoice().convert(level(0.1, 1)[:samples], 0)) == samples
    freevc = FreeVCConverter(Path())
    freevc.aim(level(0.1, 2), 22_050)
    assert len(freevc.convert(level(0.1, 1)[:samples], 0)) == samples


def test_the_sources_colour_is_learnt_from_its_stream_and_then_kept() -> None:
    """Ten seconds at one level are heard; a short loud window after them is converted as that speaker's."""
    converter = openvoice()
    window = level(0.2, 0.5)
    for start in range(0, 11 * 22_050, len(window) // 2):  # windows overlap by half
        converter.convert(window, start)
    loud = converter.convert(level(0.8, 0.5), 12 * 22_050)
    assert loud[:100] == pytest.approx(0.8 * 0.4 / 0.2, rel=1e-3)
    assert sum(map(len, converter._learnt)) / 22_050 == pytest.approx(10, abs=0.5)  # no sample twice, and no more


def test_silence_teaches_nothing() -> None:
    converter = openvoice()
    converter.convert(level(0.001, 2), 0)
    assert converter._source is None


def test_a_new_stream_forgets_the_old_speaker() -> None:
    converter = openvoice()
    converter.convert(level(0.2, 2), 0)
    assert converter._source is not None
    converter.reset()
    assert converter._source is None and not converter._learnt


def test_a_converter_without_a_voice_says_so() -> None:
    for converter in (OpenVoiceConverter(Path()), FreeVCConverter(Path())):
        with pytest.raises(ConfigError, match="no voice to convert to"):
            converter.convert(level(0.1, 1), 0)


def test_a_reference_has_to_be_a_second_long_and_is_cut_to_thirty() -> None:
    with pytest.raises(ConfigError, match=r"a reference of 0.50 s is too short, expected 1 s"):
        openvoice().aim(level(0.1, 0.5), 22_050)
    assert len(coqui_vc._checked(level(0.1, 40, 8_000), 8_000, 16_000)) == 30 * 16_000


def test_unknown_engines_and_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(tmp_path))
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="engine: unknown 'openvoce', did you mean 'openvoice'"):
        open_converter("openvoce", level(0.1, 2), 22_050)
    with pytest.raises(WeightsError, match=r"freevc are not here, expected model.pth, config.json, WavLM-Large.pt"):
        open_converter("freevc", level(0.1, 2), 22_050)
    (tmp_path / "openvoice").mkdir()
    for file in coqui_vc.OPENVOICE:
        (tmp_path / "openvoice" / file).touch()
    assert open_converter("openvoice", level(0.1, 2), 22_050).rate == 22_050


@pytest.mark.parametrize("text", ["[]", "no json", "[1", "[" * 500_000, " " * (2 << 20)], ids=range(5))
def test_a_config_that_is_no_map_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match="config.json"):
        coqui_vc._json(tmp_path / "config.json")


def test_only_a_list_of_numbers_is_a_list_of_layers() -> None:
    assert LAYERS.fullmatch("[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2")
    for text in ("__import__('os')", "[x for x in ()]", "", "9" * 201):
        assert not LAYERS.fullmatch(text)
