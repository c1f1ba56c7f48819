"""Three songs, three separators in one process, one model: each is separated as if it were alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.models.separation import spleeter
from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS
from audio_pipeline.models.separation.stream import separate
from audio_pipeline.models.separation.types import SeparatorSettings
from tests.dsp.measures import snr_db
from tests.proofs.live import running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
RATE, STFT, HOP, STREAMS = SPLEETER_2STEMS.rate, SPLEETER_2STEMS.stft, 8, ("a", "b", "c")
SONG = """
  {name}: {{ kind: file_source, path: {folder}/{name}.wav }}
  split_{name}:
    {{ kind: separate, mode: low, hop: {hop}, normalise: false, batch: {count}, process: stems, in: {name} }}
  rec_{name}:
    kind: recorder
    folder: {folder}/{name}
    subtype: float32
    inputs: {{ vocals: {{ from: split_{name}.vocals, policy: block }} }}
"""


def songs(folder: Path, seconds: float) -> dict[str, np.ndarray[Any, Any]]:
    """Three different sounds of voices and chords, written beside the pipeline's file."""
    time = np.arange(round(seconds * RATE)) / RATE
    found = {}
    for k, name in enumerate(STREAMS):
        rng = np.random.default_rng(k)
        glide = np.cumsum(200 + 50 * k + 20 * np.sin(2 * np.pi * 5 * time)) / RATE
        voice = sum(np.sin(2 * np.pi * n * glide) / n for n in range(1, 12)) * np.abs(np.sin(2 * time + k))
        chord = sum(np.sin(2 * np.pi * hz * time) for hz in rng.uniform(100, 1_500, 4))
        sound = 0.1 * voice[:, None] + 0.03 * chord[:, None] + 0.01 * rng.standard_normal((len(time), 2))
        found[name] = sound.astype(np.float32)
        soundfile.write(folder / f"{name}.wav", found[name], RATE, "FLOAT")
    return found


def test_songs_that_share_a_model_are_separated_as_if_alone(tmp_path: Path, proof_scale: float) -> None:
    """At least 100 dB between what was recorded live and one-shot separation, wherever no deadline was missed."""
    seconds = max(120 * proof_scale, 6)
    sounds = songs(tmp_path, seconds + 20)
    text = "version: 1\nname: shared\nrate: 44100\nframe_ms: 10\nnodes:"
    text += "".join(SONG.format(name=name, folder=tmp_path, hop=HOP, count=len(STREAMS)) for name in STREAMS)
    (tmp_path / "shared.yaml").write_text(text)
    with running(tmp_path / "shared.yaml", tmp_path) as pipeline:
        pipeline.play(seconds)
        final = pipeline.finish()
    splits = {name: final["nodes"][f"split_{name}"] for name in STREAMS}
    assert len({json.dumps(node["process"]) for node in splits.values()}) == 1
    model = spleeter.load("spleeter-2stems", device="cpu")
    for name, x in sounds.items():
        heard = soundfile.read(tmp_path / name / "vocals.wav", dtype="float32")[0]
        alone = separate(model, x[: len(heard) + RATE], SeparatorSettings("low", HOP))["vocals"][: len(heard)]
        blocks = range(2 * STFT.frame, len(heard) - RATE, STFT.hop)
        agree = [snr_db(alone[at : at + STFT.hop], heard[at : at + STFT.hop]) > 100 for at in blocks]
        missed = splits[name]["counters"].get("missed_deadlines", 0)
        moved = sum(f"split_{name}: mode low, step" in str(line) for line in final["log"])
        print(f"{name}: {sum(agree)} of {len(agree)} blocks as if alone; {missed} missed deadlines, {moved} steps")
        assert len(agree) > seconds * 20, "too little was recorded"
        if not moved:  # each miss is heard in its own hop and in the frames that overlap with it
            assert sum(agree) >= len(agree) - missed * (HOP + 2 * STFT.overlap)
