"""XTTS, OpenVoice and FreeVC in the environment of coqui-tts: its real classes, small and with random weights."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline import Options, Pipeline
from audio_pipeline.models.weights import store
from tests.shared import ROOT

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]
PYTHON = Path(os.environ.get("AUDIO_PIPELINE_COQUI", "~/.cache/audio-pipeline/envs/coqui/bin/python")).expanduser()
SCRIPT = Path(__file__).with_name("coqui_small.py")


def check(name: str, folder: Path) -> dict[str, Any]:
    if not PYTHON.exists():
        pytest.skip("the environment of coqui-tts is not here (make coqui)")
    done = subprocess.run(
        [PYTHON, SCRIPT, name, folder],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    print(f"{name}: {found}")
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coqui")
    check("make", folder)
    return folder


def test_xtts_streams_what_coquis_vocoder_makes_at_once(small: Path) -> None:
    """Rounding of float32 is 1e-6 of the peak; the tail is there to the sample, and the weights stay as they were."""
    found = check("xtts", small)
    assert max(found["difference"].values()) < 1e-4
    assert found["samples"] == found["expected"]
    assert found["repeatable"] and found["untouched"]
    assert 0 < found["seconds"] < 6 and found["peak"] > 0  # bounded, though random weights never say that they ended


def test_openvoice_is_coquis_own(small: Path) -> None:
    found = check("openvoice", small)
    assert found["difference"] < 1e-4
    assert found["lengths"] == [1, 300, 1_000, 22_051] and found["colour"] == [256]
    assert found["stream"][0] == found["stream"][1]


def test_freevc_keeps_every_sample_and_downloads_nothing(small: Path) -> None:
    found = check("freevc", small)
    assert found["lengths"] == [1, 300, 1_000, 24_001]
    assert found["aim"] and found["repeatable"]
    assert found["stream"][0] == found["stream"][1]


def test_wavlms_list_of_layers_is_not_evaluated_unseen(small: Path) -> None:
    found = check("hostile", small)
    assert "expected a list of numbers" in found["said"] and not found["ran"]


def said_by_a_graph(folder: Path, **settings: Any) -> np.ndarray:
    """Sound (samples,) at 48 kHz of a node tts under the other interpreter."""
    voice = {"kind": "tts", "voice": "xtts:Ana Florence", "text": "Nobody was there, of course.", "python": str(PYTHON)}
    nodes = {
        "voice": {**voice, **settings},
        "take": {"kind": "recorder", "subtype": "float32", "inputs": {"said": {"from": "voice", "policy": "block"}}},
    }
    graph = json.dumps({"version": 1, "nodes": nodes})
    with Pipeline.loads(graph, options=Options(offline=True, folder=folder, report=False)) as pipeline:
        assert pipeline.wait(250), "the graph did not end"
    sound: np.ndarray = soundfile.read(folder / "said.wav", dtype="float32", always_2d=True)[0][:, 0]
    return sound


def test_a_graph_speaks_with_xtts_under_its_own_interpreter_and_its_speech_is_marked(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights make a hum in which no mark can be found again; so it is looked for in the difference to the
    same speech without: it is there, and below 2 kHz, the window's skirt aside."""
    if store.locate("perth").folder is None:
        pytest.skip("the watermark's weights are not here")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "xtts").symlink_to(small / "xtts")
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    marked = said_by_a_graph(tmp_path / "marked")
    plain = said_by_a_graph(tmp_path / "plain", watermark=False)
    assert len(marked) == len(plain) > 48_000
    spectrum = np.abs(np.fft.rfft(marked - plain)) ** 2
    edge = round(2_300 * len(plain) / 48_000)
    mark_db = 10 * np.log10(np.sum((marked - plain) ** 2) / np.sum(plain**2))
    print(f"xtts in a graph: {len(plain) / 48_000:.2f} s, the mark lies {mark_db:.1f} dB below the speech")
    assert mark_db > -60
    assert spectrum[edge:].sum() < 0.01 * spectrum.sum()
