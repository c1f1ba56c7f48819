import re
import runpy
import sys
from pathlib import Path
from typing import Any

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


@pytest.mark.slow
def test_a_program_with_a_pipeline_inside_fades_a_song_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "song.wav", noise(48_000 * 20), 48_000, subtype="FLOAT")
    found: Any = runpy.run_path(str(ROOT / "examples" / "embed.py"))["fade_out"](
        str(tmp_path / "song.wav"), tmp_path / "take"
    )
    positions = [int(number) for number in re.findall(r"dB from sample (\d+) on", capsys.readouterr().out)]
    assert len(positions) == 11 and positions == sorted(positions)
    assert [path.name for path in found.result.tracks] == ["mix.wav"] and found.result.report.is_file()
    mix, _ = soundfile.read(found.result.tracks[0])
    assert len(mix) > positions[-1] > positions[1] > 0
    loud, soft = (np.sqrt(np.mean(np.square(part))) for part in (mix[: positions[1]], mix[-4_800:]))
    assert soft < loud / 100


def test_a_program_with_a_pipeline_inside_reports_an_error_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["embed.py", "no such song.wav"])
    assert runpy.run_path(str(ROOT / "examples" / "embed.py"))["main"]() == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("embed: ") and "no such song.wav" in line
