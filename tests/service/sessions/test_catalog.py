"""What may be said of a session from elsewhere: parameters that are listed, files by id, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.service.catalog import Catalog, Entry, overrides


@pytest.fixture(scope="module")
def karaoke() -> Entry:
    return Catalog().entry("karaoke_browser")


def no_files(number: str) -> Path:
    raise ConfigError(f"file:{number}: there is no such file")


def test_the_singers_pipeline_takes_her_sound_and_leaves_it_out_of_what_she_hears(karaoke: Entry) -> None:
    assert karaoke.feeds == ("singer",)
    assert karaoke.ports[0].port == "mix.out"
    heard = karaoke.graph.nodes["mix"].inputs
    assert {link.source.node for link in heard.values()} == {"split"}
    assert "singer" in {link.source.node for link in karaoke.graph.nodes["take"].inputs.values()}


def test_its_recorders_are_for_takes(karaoke: Entry) -> None:
    assert set(karaoke.recorders["rec"]["inputs"]) == {"vocals", "accompaniment", "singer", "mix"}


def test_stated_latencies_are_those_of_the_plan(karaoke: Entry) -> None:
    assert karaoke.stated.monitor_ms is not None
    assert 20 < karaoke.stated.monitor_ms < 100 < karaoke.stated.total_ms < 2_000


def test_a_file_is_named_by_its_id(karaoke: Entry) -> None:
    sound = Path("files") / "0123456789abcdef.flac"
    found = overrides(karaoke, {"song.path": "file:0123456789abcdef", "song.loop": False}, lambda number: sound)
    assert found == {"nodes.song.path": str(sound), "nodes.song.loop": False}


@pytest.mark.parametrize(
    "value", ["/etc/passwd", "../x.mp3", "file:///etc/passwd", "http://x/y.mp3", 7, None, ["demo"], "python:/bin/sh"]
)
def test_no_path_is_taken(karaoke: Entry, value: object) -> None:
    with pytest.raises(ConfigError):
        overrides(karaoke, {"song.path": value}, no_files)


def test_a_list_of_files_is_a_list_of_ids(karaoke: Entry) -> None:
    with pytest.raises(ConfigError, match="file:ID"):
        overrides(karaoke, {"song.playlist": ["/etc/passwd"]}, no_files)
    assert overrides(karaoke, {"song.playlist": ["demo"]}, no_files) == {"nodes.song.playlist": ["demo"]}


@pytest.mark.parametrize(
    "key",
    [
        "rec.folder",
        "speaker.device",
        "song.kind",
        "song.python",
        "split.weights",
        "song",
        "rate",
        "mix.inputs.x.gain_db",
    ],
)
def test_nothing_else_can_be_chosen(karaoke: Entry, key: str) -> None:
    with pytest.raises(ConfigError, match="unknown parameter"):
        overrides(karaoke, {key: "x"}, no_files)


def test_a_pipeline_that_is_not_offered_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'karaoke_browser'"):
        Catalog().entry("karaoke_browse")
