"""The graph that plays, as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.graph.load import load
from audio_pipeline.supervisor.live_graph import live_raw
from audio_pipeline.supervisor.records import NodeRecord

SONGS = """
version: 1
nodes:
  song: {{kind: file_source, path: {path}, playlist: [next.wav, demo]}}
  level: {{kind: meter, in: song}}
"""


@pytest.mark.parametrize(("path", "expected"), [("demo", "demo"), ("first.wav", "{folder}/first.wav")])
def test_paths_are_those_of_the_files_and_words_stay_words(tmp_path: Path, path: str, expected: str) -> None:
    file = tmp_path / "songs.yaml"
    file.write_text(SONGS.format(path=path))
    graph = load(file)
    records = {name: NodeRecord(spec, spec.settings, dict(spec.input_settings)) for name, spec in graph.nodes.items()}
    song = live_raw(graph, records)["nodes"]["song"]
    assert song["path"] == expected.format(folder=tmp_path)
    assert song["playlist"] == [f"{tmp_path}/next.wav", "demo"]
