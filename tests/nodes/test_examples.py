from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.load import load
from audio_pipeline.supervisor.local import LocalGraph
from tests.nodes.fake import noise
from tests.shared import ROOT

EXAMPLE = ROOT / "examples" / "tremolo.yaml"


def test_a_node_of_ones_own_runs_from_its_file(tmp_path: Path) -> None:
    x = noise(44_100)
    song = tmp_path / "song.wav"
    soundfile.write(song, x, 44_100, subtype="FLOAT")
    sets = [f"nodes.song.path={song}", "nodes.tremolo.speed_hz=2", "nodes.rec.subtype=float32"]
    with LocalGraph(load(EXAMPLE, sets), tmp_path) as graph:
        graph.run_to_end()
    y, _ = soundfile.read(tmp_path / "tremolo.wav", dtype="float32", always_2d=True)
    swing = 1 - 0.9 * (1 - np.cos(2 * np.pi * 2 * np.arange(44_100) / 44_100)) / 2
    assert y == pytest.approx(x * swing[:, None], abs=1e-6)


def test_its_settings_are_checked_like_any_others() -> None:
    with pytest.raises(ConfigError, match="tremolo.depth: expected a number >= 0 and <= 1, got 3"):
        load(EXAMPLE, ["nodes.tremolo.depth=3"])


def test_it_is_as_short_as_promised() -> None:
    code = (ROOT / "examples" / "my_nodes" / "tremolo.py").read_text()
    body = code[code.index("class Tremolo") :].splitlines()
    assert sum(bool(line.strip()) and '"""' not in line for line in body) <= 15
