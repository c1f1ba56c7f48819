"""A host for tests of the commands about voices: its own folders, and a fit that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.cli.main import main
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.voices import fit as voice_fit
from audio_pipeline.models.voices import inspection
from audio_pipeline.models.voices.consent import OWN
from audio_pipeline.models.voices.fit import Reference
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.weights import store
from tests.shared import shared

AGREED = OWN.format(speaker="Ann Reader")
Run = Callable[..., str]


class Speaker:
    """Speaks a tone of a second."""

    def synthesise(self, phonemes: str, style: np.ndarray, speed: float = 1.0) -> np.ndarray:
        return (0.1 * np.sin(2 * np.pi * 120 * np.arange(24_000) / 24_000)).astype(np.float32)


def quick(reference: Reference, speaker: Any, *, encoder: Any, british: bool, texts: Any) -> Fit:
    style = np.full((1, 256), 0.1, np.float32)
    return Fit(style, 1.1, british, "af_heart", "quick", 0.71, 0.65, reference.ceiling)


@pytest.fixture(scope="module")
def encoder() -> ge2e.SpeakerEncoder:
    if store.locate("ge2e").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch ge2e)")
    return ge2e.load()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: ge2e.SpeakerEncoder) -> None:
    """A host of its own, where fitting is instant."""
    monkeypatch.setattr(ge2e, "load", lambda: encoder)
    for name, folder in (("AUDIO_PIPELINE_VOICES", "voices"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("AUDIO_PIPELINE_VOICE_POLICY", raising=False)
    monkeypatch.setattr(kokoro, "load", lambda *_: Speaker())
    monkeypatch.setattr(kokoro, "voice_names", lambda: ["af_heart"])
    monkeypatch.setattr(voice_fit, "quick", quick)
    monkeypatch.setattr(inspection, "is_made", lambda x, rate: False)
    monkeypatch.setattr(inspection, "separated", lambda x, rate: (x, 0.01 * x))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command about voices and gives what it said; `fails` is the exit code that it must have."""

    def run(*words: object, fails: int = 0) -> str:
        code = main(["voices", *map(str, words)])
        out, err = capsys.readouterr()
        assert code == fails, err
        return err if fails else out

    return run


def reader(name: str, number: int = 0) -> Path:
    return sorted(shared(f"speech/{name}").glob("*.flac"))[number]


@pytest.fixture
def sample() -> Path:
    return reader("3005")
