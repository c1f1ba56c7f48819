"""The commands that speak and that find the mark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile

from audio_pipeline.cli import main
from audio_pipeline.models import weights


@pytest.fixture(autouse=True)
def only_with_weights() -> None:
    if weights.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")


def test_words_become_a_marked_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hello.wav"
    assert main(["say", "Hello there.", "This is a test.", "-o", str(out)]) == 0
    info = soundfile.info(out)
    assert info.samplerate == 24_000 and info.duration > 1.5
    assert main(["detect", str(out)]) == 0
    assert "made by a machine" in capsys.readouterr().out


def test_a_file_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hello.wav"
    out.write_bytes(b"mine")
    assert main(["say", "Hello.", "-o", str(out)]) != 0
    assert out.read_bytes() == b"mine" and "--force" in capsys.readouterr().err


def test_a_pipe_is_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, "A naïve café. ".encode())
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["say", "-", "-o", str(tmp_path / "x.wav")]) == 0
    assert soundfile.info(tmp_path / "x.wav").duration > 0.8


def test_it_plays_to_the_end() -> None:
    assert main(["say", "--device", "null", "Yes."]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["😀"], "there is nothing to say in '😀'"),
        (["x" * 50_001], "a text of 50001 characters is too long, expected at most 50000"),
        (["hi", "-o", "x.mp3"], "expected a name that ends in .wav, .flac or .ogg"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "--device", "null", *words]) != 0
    assert said in capsys.readouterr().err


def test_clean_speech_carries_no_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(48_000) * 0.1, 24_000)
    assert main(["detect", str(path)]) == 1
    assert "no mark found" in capsys.readouterr().out
