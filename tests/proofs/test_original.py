"""The original Spleeter and ours in one graph, each under its own interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline import Options, Pipeline
from tests.shared import ROOT, shared

pytestmark = [pytest.mark.proof]
PYTHON = Path("~/.cache/audio-pipeline/envs/spleeter/bin/python").expanduser()
STEMS = ("vocals", "accompaniment")


def agreement_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    signal = reference.astype(np.float64)
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - estimate) ** 2)))


@pytest.mark.timeout(600)
def test_ours_is_the_original_to_the_rounding_of_float32(tmp_path: Path) -> None:
    """60 dB is the goal; two orders of summation in float32 leave 100. The file that Spleeter's authors' code made
    elsewhere is met at 120 and more, since it is the same code."""
    if not PYTHON.exists():
        pytest.skip("the original's environment is not here (make spleeter)")
    folder = shared("spleeter_official")
    config, overrides = ROOT / "examples" / "compare_spleeter.yaml", {"nodes.song.path": folder / "mixture.flac"}
    with Pipeline.load(config, overrides, Options(offline=True, folder=tmp_path, report=False)) as pipeline:
        assert pipeline.wait(500), "the graph did not end"
    for stem in STEMS:
        ours, original = (soundfile.read(tmp_path / f"{who}_{stem}.wav")[0] for who in ("ours", "original"))
        published = soundfile.read(folder / f"{stem}.wav")[0]
        assert len(ours) == len(original) == len(published)
        print(
            f"{stem}: ours {agreement_db(original, ours):.1f} dB from the original, the original "
            f"{agreement_db(published, original):.1f} dB from its published file"
        )
        assert agreement_db(original, ours) > 90
        assert agreement_db(published, original) > 120
