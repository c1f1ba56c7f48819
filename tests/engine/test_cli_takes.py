"""`takes`: what recordings are called, how long they are, what is missing, and what a repair makes of them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.cli.main import main
from audio_pipeline.frame import audio_frame
from tests.nodes.fake import noise
from tests.nodes.test_recorder import RATE, another_run, feed, finish, kill, read, recorder, settle, sidecar

SECOND = noise(RATE)


def cut_off(folder: Path, **settings: object) -> None:
    """A take whose recorder was killed: a is whole, b unfinished and begins with a hole."""
    ctx = another_run(folder, "dead")
    node = recorder(ctx, "a", "b", **settings)
    feed(node, ctx, SECOND, 0, "a")
    feed(node, ctx, SECOND[4_800:], 4_800, "b")
    node.input_settings = {"b": None}
    node.on_inputs(ctx)
    settle(node, ctx)
    node.process({"b": audio_frame(SECOND[:480], RATE + 480, RATE)}, ctx)
    settle(node, ctx)
    kill(node)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_takes_are_listed_repaired_and_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_off(tmp_path / "x")
    assert main(["takes", str(tmp_path)]) == 1
    before = said(capsys)
    assert "a 0:01 whole" in before and "b 0:01 unfinished, 2 holes of 0.110 s" in before
    assert "takes --repair" in before
    assert main(["takes", str(tmp_path), "--repair"]) == 0
    assert "b.wav: finished, 1.020 s" in said(capsys)
    assert main(["takes", str(tmp_path)]) == 0
    assert "unfinished" not in said(capsys)
    assert not list((tmp_path / "x").glob(".take*")) and not list((tmp_path / "x").glob("*.part"))
    info = sidecar(tmp_path / "x")["b"]
    assert info["finished"] and info["samples"] == RATE + 960
    assert info["gaps"] == [{"at": 0, "samples": 4_800}, {"at": RATE, "samples": 480}]
    assert np.array_equal(read(tmp_path / "x" / "b.wav")[4_800:RATE], SECOND[4_800:])


def test_a_second_repair_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_off(tmp_path)
    main(["takes", str(tmp_path), "--repair"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["takes", str(tmp_path), "--repair"]) == 0
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_what_a_run_records_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ctx = another_run(tmp_path, "alive")
    node = recorder(ctx, "a")
    feed(node, ctx, SECOND)
    assert main(["takes", str(tmp_path)]) == 0
    assert "a 0:01 being recorded" in said(capsys)
    assert main(["takes", str(tmp_path), "--repair"]) == 1
    assert "another run records there" in capsys.readouterr().err
    feed(node, ctx, SECOND, RATE)
    finish(node, ctx)
    assert len(read(tmp_path / "a.wav")) == 2 * RATE


def test_a_damaged_sidecar_is_kept_and_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_off(tmp_path)
    (tmp_path / "take.json").write_text('{"version": 2, "tracks": {"a": {"file": "../../a.wav", "rate": 1}}}')
    assert main(["takes", str(tmp_path)]) == 1
    assert "is not the sidecar of a take" in said(capsys)
    assert main(["takes", str(tmp_path), "--repair"]) == 0
    assert (tmp_path / "take.json.damaged").exists()
    assert {name: info["samples"] for name, info in sidecar(tmp_path).items()} == {"a": RATE, "b": RATE + 960}


def test_a_death_between_the_last_two_steps_is_mended(tmp_path: Path) -> None:
    ctx = another_run(tmp_path)
    node = recorder(ctx, "a")
    feed(node, ctx, SECOND)
    finish(node, ctx)
    document = json.loads((tmp_path / "take.json").read_text())
    document["tracks"]["a"].update(finished=False, samples=0)
    (tmp_path / "take.json").write_text(json.dumps(document))
    assert main(["takes", str(tmp_path), "--repair"]) == 0
    assert sidecar(tmp_path)["a"]["finished"] and sidecar(tmp_path)["a"]["samples"] == RATE


def test_a_file_of_another_recorder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "field.wav"
    ctx = another_run(tmp_path)
    node = recorder(ctx, "field", subtype="pcm16")
    feed(node, ctx, SECOND, name="field")
    finish(node, ctx)
    whole = path.read_bytes()
    at = whole.index(b"data")
    path.write_bytes(whole[:4] + bytes(4) + whole[8 : at + 4] + bytes(4) + whole[at + 8 :])
    assert main(["takes", str(path)]) == 1
    assert "its header has no size" in said(capsys)
    assert main(["takes", str(path), "--repair"]) == 0
    assert path.read_bytes() == whole


def test_files_that_are_gone_or_no_sound_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_off(tmp_path)
    (tmp_path / "a.wav").unlink()
    (tmp_path / "c.wav").write_bytes(b"RIFF no more")
    assert main(["takes", str(tmp_path)]) == 1
    shown = said(capsys)
    assert "a its file is missing" in shown and "is no WAV file" in shown
    assert main(["takes", str(tmp_path / "nowhere.wav")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_a_folder_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", refuse)
        assert main(["takes", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"audio-pipeline: {tmp_path} cannot be listed: Permission denied\n"


def test_nothing_to_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["takes"]) == 0
    assert "no recordings in ." in said(capsys)
