"""No hostile file gets further than one sentence, and none gets a byte into the library."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from audio_pipeline.errors import MediaError
from audio_pipeline.models.voices import checked_json
from audio_pipeline.models.voices.archive import import_voice
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.record import read_record
from tests.models.voice_drafts import draft, library, there

__all__ = ["library", "there"]

NOW = "2026-02-03T04:05:06+00:00"
RECORD = checked_json.dump(replace(draft().record, id="0" * 32, revision=1, files={"style.safetensors": "0"}))
Files = dict[str, bytes]


def packed(files: Files, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sealed(files: Files, **changes: Any) -> Files:
    """The files with some fields of the record changed, and its hashes right."""
    record = json.loads(files["voice.json"])
    rest = {name: data for name, data in files.items() if name != "voice.json"}
    record["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in rest.items()}
    return {"voice.json": json.dumps({**record, **changes}).encode(), **rest}


def changed(files: Files, part: str, **fields: Any) -> Files:
    return sealed(files, **{part: {**json.loads(files["voice.json"])[part], **fields}})


def style(**arrays: Any) -> bytes:
    good = {"pack": np.zeros((510, 256), np.float32), "embedding": np.zeros(256, np.float32)}
    return save({name: array for name, array in {**good, **arrays}.items() if array is not None})


def with_style(files: Files, **arrays: Any) -> Files:
    return sealed({**files, "style.safetensors": style(**arrays)})


HOSTILE: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a path out of it": (lambda f: {**f, "../../x": b"x"}, "it holds"),
    "an absolute path": (lambda f: {**f, "/etc/cron.d/x": b"x"}, "it holds"),
    "a pickle": (lambda f: {**f, "style.pt": b"\x80\x04."}, "it holds"),
    "nothing": (lambda f: {}, "it holds nothing"),
    "no style": (lambda f: {"voice.json": f["voice.json"]}, "it holds 'voice.json', expected"),
    "a bomb": (lambda f: {**f, "style.safetensors": bytes(80 << 20)}, "style.safetensors is larger than"),
    "a long record": (lambda f: {**f, "voice.json": b" " * 200_000}, "voice.json is larger than"),
    "another style": (lambda f: {**f, "style.safetensors": style()}, "does not have the SHA-256"),
    "another sample": (lambda f: {**f, "sample.flac": b"fLaC"}, "does not have the SHA-256"),
    "no sample": (lambda f: {k: v for k, v in f.items() if k != "sample.flac"}, "lists other files"),
    "a sample that is none": (lambda f: sealed({**f, "sample.flac": b"RIFF"}), "sample.flac is no FLAC"),
    "a record that is none": (lambda f: {**f, "voice.json": b"]"}, "is no JSON"),
    "a deep record": (lambda f: {**f, "voice.json": b"[" * 90_000}, "is no JSON"),
    "infinity": (lambda f: {**f, "voice.json": f["voice.json"].replace(b"10.0", b"Infinity", 1)}, "Infinity"),
    "a huge number": (lambda f: {**f, "voice.json": f["voice.json"].replace(b"10.0", b"1e999", 1)}, "of sense"),
    "another version": (lambda f: sealed(f, version=99), "version is 99, expected 1"),
    "another format": (lambda f: sealed(f, format="x"), "format is 'x', expected 'audio-pipeline voice'"),
    "a path as id": (lambda f: sealed(f, id="../../../../../../../../../../xx"), "no id and revision"),
    "a bad name": (lambda f: sealed(f, name="a\x1b[2Jb"), "name: expected at most"),
    "a field's name for the terminal": (lambda f: sealed(f, **{"\x1b[2J": 1}), r"'\\x1b\[2J' is not known"),
    "words for the terminal": (lambda f: sealed(f, created="2026\x1b]0;x\x07"), "created: expected at most 2000 print"),
    "an old form of a letter": (lambda f: sealed(f, name="Zoe\u0308"), "name is not in Unicode's composed form"),
    "other bins": (lambda f: changed(f, "voice", pitch_counts=[1] * 47), "pitch_counts are 47 numbers, expected 48"),
    "fewer than none": (lambda f: changed(f, "voice", pitch_counts=[-1] * 48), "expected 48 of 0 or more"),
    "a field more": (lambda f: sealed(f, extra=1), "'extra' is not known"),
    "a wrong type": (lambda f: sealed(f, british="yes"), "british: expected bool, got 'yes'"),
    "no consent field": (lambda f: sealed(f, consent=3), "consent: expected a dict, got 3"),
    "another's consent": (
        lambda f: sealed(f, consent={**json.loads(f["voice.json"])["consent"], "sample_sha256": "0"}),
        "its consent is about another recording",
    ),
    "no numbers": (lambda f: with_style(f, pack=np.full((510, 256), np.nan, np.float32)), "pack holds what is no"),
    "large numbers": (lambda f: with_style(f, pack=np.full((510, 256), 1e9, np.float32)), "pack holds what is no"),
    "a wrong shape": (lambda f: with_style(f, pack=np.zeros((510, 255), np.float32)), r"pack is of shape \(510, 255\)"),
    "no rows": (lambda f: with_style(f, pack=np.zeros((0, 256), np.float32)), r"pack is of shape \(0, 256\)"),
    "doubles": (lambda f: with_style(f, pack=np.zeros((510, 256))), "pack holds what is no style"),
    "a tensor more": (lambda f: with_style(f, x=np.zeros(1, np.float32)), "holds 'embedding, pack, x'"),
    "a tensor less": (lambda f: with_style(f, embedding=None), "holds 'pack', expected"),
    "no safetensors": (lambda f: sealed({**f, "style.safetensors": b"\xff" * 64}), "is not a safetensors file"),
    "a header that lies": (
        lambda f: sealed({**f, "style.safetensors": struct.pack("<Q", 1 << 60) + b"{}"}),
        "is not a safetensors file",
    ),
}


def refused(there: Library, path: Path, message: str) -> None:
    with pytest.raises(MediaError, match=message) as error:
        import_voice(there, path, now=NOW)
    assert "is no voice that was exported" in str(error.value) and "\n" not in str(error.value)
    assert not there.folder.exists()


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_one_sentence(library: Library, there: Library, tmp_path: Path, what: str) -> None:
    change, message = HOSTILE[what]
    path = tmp_path / "x"
    path.write_bytes(packed(change(library.files("Ann"))))
    refused(there, path, message)


def test_two_members_of_one_name(library: Library, there: Library, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in [*library.files("Ann").items(), ("voice.json", b"{}")]:
            archive.writestr(name, data)
    refused(there, path, "it holds")


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(library: Library, there: Library, tmp_path: Path, how: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(packed(library.files("Ann"), how))
    refused(there, path, "packed in a way that is not in use")


@pytest.mark.parametrize(("name", "message"), [("x", "No such file"), ("", "Is a directory")])
def test_what_is_no_file(there: Library, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(MediaError, match=f"^'{tmp_path / name}' cannot be read: {message}"):
        import_voice(there, tmp_path / name, now=NOW)


def test_what_is_no_zip(there: Library, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"RIFF")
    refused(there, path, "not a zip file")
    with path.open("wb") as file:
        file.truncate(200 << 20)
    refused(there, path, "it is larger than")


def listed(count: int, size: int, *, comment: int = 0, zip64: bool = False) -> bytes:
    """A zip whose end says that it lists so many members in so many bytes."""
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) if zip64 else b""
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, 0, comment)
    return bytes(size) + locator + end + bytes(comment)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (listed(65_535, 60_000_000), "it lists 65535 files in 60000000 bytes, expected at most 20 in 10000"),
        (listed(3, 60_000_000), "it lists 3 files in 60000000 bytes"),
        (listed(21, 2_000), "it lists 21 files in 2000 bytes"),
        (listed(3, 200, zip64=True), "it lists more than a small zip can"),
        (listed(3, 200, comment=9), "not a zip file, or one with a comment"),
    ],
)
def test_a_long_list_of_members_is_not_even_read(
    there: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str
) -> None:
    """zipfile makes an object of half a kilobyte of each of them: 1.4 million took 615 MB."""
    monkeypatch.setattr(zipfile, "ZipFile", None)
    (tmp_path / "x").write_bytes(data)
    refused(there, tmp_path / "x", message)


def test_a_fifo_is_refused_at_once(there: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    refused(there, tmp_path / "x", "it is not a regular file")


@given(st.data())
def test_any_damage_is_one_sentence_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damage")
    library = Library(folder / "a")
    library.add(draft("Ann"))
    whole = bytearray(packed(library.files("Ann"), zipfile.ZIP_STORED))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.one_of(st.integers(0, 3_000), st.integers(len(whole) - 400, len(whole) - 1)))
        whole[at] = data.draw(st.integers(0, 255))
    (folder / "x").write_bytes(bytes(whole[: data.draw(st.sampled_from([None, -1, -30, 500]))]))
    try:
        record = import_voice(Library(folder / "b"), folder / "x", now=NOW)
    except MediaError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
    else:
        assert Library(folder / "b").voice(record.name).record == record


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(st.data())
def test_any_value_in_any_place_of_a_record_is_taken_or_refused_in_words(data: st.DataObject) -> None:
    raw: Any = json.loads(RECORD)
    place = raw
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[name], dict) or not place[name] or data.draw(st.booleans()):
            break
        place = place[name]
    place[name] = data.draw(JSON)
    try:
        read_record(json.dumps(raw).encode())
    except ValueError as error:
        assert str(error) and len(str(error)) < 300


def test_a_record_is_read_as_it_was_written(library: Library) -> None:
    assert read_record(library.files("Ann")["voice.json"]) == library.record("Ann")
