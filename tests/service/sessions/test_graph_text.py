"""Graphs over the network hold no paths, and may ask only for what is harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.service.graph_text import HIDDEN, checked_changes, shown_graph
from audio_pipeline.service.uploads import Uploads


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "files")


def test_paths_are_not_shown(uploads: Uploads) -> None:
    raw = {
        "version": 1,
        "node_paths": ["/somewhere"],
        "nodes": {
            "song": {"kind": "file_source", "path": "/music/secret.mp3", "playlist": ["demo", "/music/b.mp3"]},
            "rec": {"kind": "recorder", "folder": "/takes/x", "inputs": {"a": "song"}},
        },
    }
    shown = shown_graph(raw, uploads)
    assert shown["nodes"]["song"] == {"kind": "file_source", "path": HIDDEN, "playlist": ["demo", HIDDEN]}
    assert shown["nodes"]["rec"]["folder"] == HIDDEN
    assert "node_paths" not in shown


@pytest.mark.parametrize("kind", ["recorder", "gateway", "capture", "playback", "remote_in", "tts", "./x.py"])
def test_kinds_that_touch_the_host_cannot_be_added(uploads: Uploads, kind: str) -> None:
    with pytest.raises(ConfigError, match="cannot be added from elsewhere"):
        checked_changes([{"op": "add", "name": "x", "node": {"kind": kind}}], uploads)


@pytest.mark.parametrize("key", ["python", "cpus", "nice", "realtime", "memory_mb", "process", "start_s"])
def test_how_a_process_runs_is_the_hosts_to_say(uploads: Uploads, key: str) -> None:
    with pytest.raises(ConfigError, match="is the host's own to say"):
        checked_changes([{"op": "add", "name": "x", "node": {"kind": "mixer", key: 1}}], uploads)


def test_a_source_plays_an_upload_or_the_demo_and_no_path(uploads: Uploads) -> None:
    def add(path: str) -> list[dict[str, object]]:
        return [{"op": "add", "name": "x", "node": {"kind": "file_source", "path": path}}]

    assert checked_changes(add("demo"), uploads)[0]["node"]["path"] == "demo"
    for path in ("/etc/passwd", "file:../../x", "file:0123456789abcdef", ""):
        with pytest.raises(ConfigError):
            checked_changes(add(path), uploads)


def test_other_changes_are_the_pipelines_to_check(uploads: Uploads) -> None:
    change = {"op": "remove", "name": "song"}
    assert checked_changes([change], uploads) == [change]
    with pytest.raises(ConfigError, match="1 to 64"):
        checked_changes([change] * 65, uploads)
