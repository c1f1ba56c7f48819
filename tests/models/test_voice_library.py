"""The library of voices: found however the name is written, kept whole or not at all, deleted to the last byte."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError, MediaError, PipelineError
from audio_pipeline.models.voices import files
from audio_pipeline.models.voices.enrolled import Library, voices_folder
from tests.models.voice_drafts import draft

HOSTILE = ["../x", "/etc/passwd", "..", ".", "a/b", "con\\x", "-o", "; rm -rf ~", "%s%n", ".lock", ".new-x", "x" * 64]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "voices")


def everything(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.name != ".lock")


def test_what_is_added_is_found_again(library: Library) -> None:
    wanted = draft("Zoë Ångström")
    kept = library.add(wanted)
    voice = library.voice("zoe\N{COMBINING DIAERESIS} ångstrom".replace("strom", "stro\N{COMBINING DIAERESIS}m"))
    assert voice.record == kept and voice.name == "Zoë Ångström"
    assert np.array_equal(voice.pack, wanted.pack) and np.array_equal(voice.embedding, wanted.embedding)
    assert library.sample("Zoë Ångström") == wanted.sample_flac
    assert "ZOË ÅNGSTRÖM" in library and "Zoe" not in library and library.names() == ["Zoë Ångström"]


def test_nobody_else_can_read_it(library: Library) -> None:
    before = os.umask(0)
    try:
        library.add(draft())
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [library.folder, *library.folder.rglob("*")]}
    assert modes == {0o700, 0o600}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_a_path(library: Library, name: str) -> None:
    library.add(draft(name))
    assert library.voice(name).name == name
    assert {path.name for path in library.folder.parent.iterdir()} == {"voices"}
    assert all(len(path.name) == 34 for path in library.folder.iterdir() if path.is_dir())
    library.delete(name)
    assert list(everything(library.folder)) == []


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\0b", "x" * 65, "\N{RIGHT-TO-LEFT OVERRIDE}abc", "\ud800"])
def test_what_is_no_name_is_refused(library: Library, name: str) -> None:
    with pytest.raises(ConfigError, match="a voice's name has 1 to 64 printable characters"):
        library.add(draft(name))
    with pytest.raises(ConfigError, match="printable characters"):
        library.record(name)


@pytest.mark.parametrize("name", ["light", "Light", "XTTS"])
def test_a_voice_of_the_program_keeps_its_name(library: Library, name: str) -> None:
    with pytest.raises(ConfigError, match="a voice that is always there; choose another name") as error:
        library.add(draft(name))
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("name", ["Ann", "ANN"])
def test_a_name_is_taken_once(library: Library, name: str) -> None:
    library.add(draft("ann"))
    with pytest.raises(ConfigError, match="there is a voice 'ann' already"):
        library.add(draft(name))


def test_a_name_does_not_look_like_that_of_another_engine(library: Library) -> None:
    with pytest.raises(ConfigError, match="cannot begin with xtts:, got 'XTTS:ann'"):
        library.add(draft("XTTS:ann"))


def test_an_unknown_voice_names_the_nearest(library: Library) -> None:
    with pytest.raises(ConfigError, match=r"no voice is called 'Bob'; none is enrolled yet"):
        library.record("Bob")
    library.add(draft("Ann-Kathrin"))
    library.add(draft("O'Neil"))
    with pytest.raises(ConfigError, match="did you mean 'Ann-Kathrin'"):
        library.record("Ann-Katrin")
    with pytest.raises(ConfigError, match='did you mean "O\'Neil"'):
        library.record("oneil")
    with pytest.raises(ConfigError, match="enrolled are Ann-Kathrin, O'Neil"):
        library.record("xyz")


def test_a_better_fit_takes_the_place_and_leaves_nothing_of_the_first(library: Library) -> None:
    first = library.add(draft(seed=1))
    second = library.replace(first, draft(seed=2))
    assert (second.id, second.revision) == (first.id, 2)
    assert np.array_equal(library.voice("Ann").pack, draft(seed=2).pack)
    assert [path.name for path in library.folder.iterdir() if path.is_dir()] == [f"{first.id}-2"]
    with pytest.raises(ConfigError, match="was changed meanwhile"):
        library.replace(first, draft(seed=3))


def test_a_crash_between_the_two_leaves_one_voice(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first = library.add(draft(seed=1))
    with monkeypatch.context() as patch:
        patch.setattr(files, "remove", lambda *_: None)  # what a kill before that would leave
        library.replace(first, draft(seed=2))
    assert [record.revision for record in library.records()] == [2]
    library.add(draft("Bob"))  # the next writer cleans up
    assert sorted(path.name[-2:] for path in library.folder.iterdir() if path.is_dir()) == ["-1", "-2"]
    library.delete("Ann")
    assert library.names() == ["Bob"]


def test_leftovers_of_a_killed_writer_are_not_seen_and_go(library: Library) -> None:
    library.add(draft())
    for name in (".new-abc", ".gone-abc", f".work-{'0' * 32}"):
        (library.folder / name).mkdir()
        (library.folder / name / "voice.json").write_text("{")
    assert library.names() == ["Ann"] and library.damaged() == {}
    library.add(draft("Bob"))
    assert [path.name for path in library.folder.iterdir() if path.name.startswith(".")] == [".lock"]


def test_deleting_takes_the_work_under_way_and_what_others_computed(library: Library) -> None:
    library.add(draft())
    for folder in (library.work_folder("Ann"), library.cache_folder("Ann")):
        folder.mkdir()
        (folder / "numbers").write_bytes(b"0")
    library.add(draft("Bob"))
    assert library.work_folder("Ann").exists() and library.cache_folder("Ann").exists()
    library.delete("Bob")
    library.delete("Ann")
    assert list(everything(library.folder)) == []
    with pytest.raises(ConfigError, match="no voice is called 'Ann'"):
        library.delete("Ann")


@pytest.mark.parametrize("at", ["write", "fsync", "rename"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if at == "write":
        monkeypatch.setattr(files, "_write", full)
    else:
        monkeypatch.setattr(os, at, full)
    with pytest.raises(PipelineError, match="cannot be written: No space left on device"):
        library.add(draft())
    monkeypatch.undo()
    assert list(everything(library.folder)) == []
    library.add(draft())


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PipelineError, match="cannot be written: Not a directory"):
        Library(tmp_path / "file" / "voices").add(draft())


def _add(folder: Path, name: str) -> str:
    try:
        Library(folder).add(draft(name))
    except ConfigError as error:
        return str(error)
    return ""


def test_of_many_who_enrol_one_name_at_once_one_wins(library: Library) -> None:
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        names = ["Ann", "ANN", "ann", "Bob"] * 2
        refused = list(pool.map(_add, [library.folder] * len(names), names))
    assert sorted(record.name.casefold() for record in library.records()) == ["ann", "bob"]
    assert sum(not text for text in refused) == 2 and all("already" in text for text in refused if text)


def _damage(folder: Path, name: str, data: bytes) -> None:
    (path,) = folder.glob(f"*/{name}")
    path.write_bytes(data)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"format": 1}', b"NaN"])
def test_a_damaged_record_is_left_out_and_said(library: Library, text: bytes) -> None:
    library.add(draft())
    _damage(library.folder, "voice.json", text)
    assert library.names() == []
    (refused,) = library.damaged().values()
    assert "voice.json is damaged" in refused and len(refused) < 400


def test_a_style_that_was_changed_is_refused(library: Library) -> None:
    library.add(draft())
    _damage(library.folder, "style.safetensors", b"x" * 100)
    with pytest.raises(MediaError, match=r"voice 'Ann' is damaged: style.safetensors is not what was written"):
        library.voice("Ann")


def test_a_link_in_place_of_a_file_is_not_followed(library: Library, tmp_path: Path) -> None:
    library.add(draft())
    (path,) = library.folder.glob("*/style.safetensors")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MediaError, match="damaged"):
        library.voice("Ann")


def test_where_voices_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUDIO_PIPELINE_VOICES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert voices_folder() == tmp_path / "audio-pipeline" / "voices"
    monkeypatch.setenv("AUDIO_PIPELINE_VOICES", str(tmp_path / "x"))
    assert voices_folder() == tmp_path / "x"
    assert Library().records() == []
