"""The command line: grammar, exit codes, one-sentence errors, and what each command asks of a pipeline."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.cli import attach as cli_attach
from audio_pipeline.cli.main import main
from audio_pipeline.cli.text import columns
from audio_pipeline.control.client import Client
from audio_pipeline.errors import ConfigError, ControlError, NodeError
from audio_pipeline.run.assignment import assignment, timed_assignment
from audio_pipeline.view import watch
from tests.engine.states import FakeClient


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """The pipeline that commands attach to."""
    fake = FakeClient()
    monkeypatch.setattr(Client, "attach", lambda which=None: fake)
    return fake


# -- grammar -----------------------------------------------------------------------------------------


def test_without_arguments_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for command in ("run", "check", "devices", "doctor", "models", "nodes", "view", "top", "set", "stop", "seek"):
        assert command in shown


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("audio-pipeline 0.")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["chek"], 2, "unknown command 'chek', did you mean 'check'?"),
        (["run"], 2, "required: CONFIG"),
        (["run", "nowhere.yaml"], 2, "'nowhere.yaml' not found"),
        (["nowhere.yaml", "--offline"], 2, "'nowhere.yaml' not found"),
        (["check", "karaoka"], 2, "did you mean 'karaoke'"),
        (["run", "x.yaml", "--duration", "soon"], 2, "expected seconds or m:ss, got 'soon'"),
        (["run", "x.yaml", "--loud"], 2, "unrecognized arguments: --loud"),
        (["nodes", "mixr"], 2, "did you mean 'mixer'?"),
        (["set", "mix.gain_db"], 2, "expected NODE.NAME=VALUE"),
        (["models", "verify", "spleter-2stems"], 5, "did you mean 'spleeter-2stems'?"),
    ],
)
def test_mistakes_are_one_sentence_and_an_exit_code(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert error.startswith("audio-pipeline: ") and error.count("\n") == 1
    assert said in error


def test_debug_raises_what_is_otherwise_a_sentence() -> None:
    with pytest.raises(ConfigError):
        main(["--debug", "check", "nowhere.yaml"])


@given(text=st.text(max_size=30))
def test_assignments_are_taken_or_refused_as_configuration(text: str) -> None:
    for parse in (assignment, lambda text: timed_assignment(text, 48_000)):
        try:
            node, name = parse(text)[-3:-1]
        except ConfigError:
            continue
        assert node and name


def test_columns_line_up() -> None:
    lines = columns([("a", "1"), ("long", "200")], right=[1])
    assert [line.rstrip()[-1] for line in lines] == ["1", "0"] and len(set(map(len, lines))) == 1


# -- check -------------------------------------------------------------------------------------------


def test_check_shows_graph_latency_and_links(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "48000 Hz, frames of 480 samples (10 ms), live, clock: auto" in shown
    assert "song (tone)\n├─ out → wet (delay)\n│  └─ out → mix.wet (adder)\n" in shown
    assert "└─ out → mix.dry (above)" in shown
    assert "wet → mix.wet".replace("wet →", "wet.out →") in shown
    assert "drop_oldest" in shown and "silence" in shown
    assert any("song" in line and "wet 1" in line and " ms " in line for line in shown.splitlines())


def test_check_takes_changes_and_names_the_wrong_ones(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config), "--set", "nodes.wet.gain_db=-6"]) == 0
    assert main(["check", str(config), "--set", "nodes.wet.gain_db=loud"]) == 2
    assert "nodes.wet.gain_db: expected a number" in capsys.readouterr().err


def test_check_offline_names_the_mode(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config), "--offline"]) == 0
    assert "offline" in capsys.readouterr().out


def test_shared_is_short_for_a_key_of_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for words in (["--shared"], ["--set", "host=shared"], []):
        assert main(["check", str(config), *words]) == 0
        printed.append(capsys.readouterr().out)
    assert "(host: shared)" in printed[0] and printed[0] == printed[1] != printed[2]


# -- attached commands -------------------------------------------------------------------------------


def test_set_reports_when_it_is_audible(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "mix.inputs.vocals.gain_db=-6", "mix.inputs.mic.mute=false"]) == 0
    assert client.asked[:2] == [("set", "mix", "inputs.vocals.gain_db", -6), ("set", "mix", "inputs.mic.mute", False)]
    assert "mix.inputs.vocals.gain_db = -6, audible in 41 ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["play"], ("play", "song", {})),
        (["pause"], ("pause", "song", {})),
        (["seek", "1:23"], ("seek", "song", {"seconds": 83.0})),
        (["next"], ("next", "song", {})),
        (["loop", "off"], ("loop", "song", {"on": False})),
        (["loop", "on", "--node", "other"], ("loop", "other", {"on": True})),
    ],
)
def test_transport(client: FakeClient, words: list[str], asked: tuple[Any, ...]) -> None:
    assert main(words) == 0
    assert client.asked == [asked, ("close",)]


def test_transport_wants_to_know_which_song(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.current["transport"]["jingle"] = client.current["transport"]["song"]
    assert main(["pause"]) == 7
    client.current["transport"] = {}
    assert main(["pause"]) == 7
    error = capsys.readouterr().err
    assert "one of song, jingle" in error and "nothing here" in error


def test_stop_and_refusals(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop"]) == 0 and client.current["ended"]
    client.refuses = True
    assert main(["set", "mix.gain_db=0"]) == 7
    assert capsys.readouterr().err == "audio-pipeline: pipeline 'karaoke' does not answer\n"
    assert client.asked[-1] == ("close",)


def test_the_view_ends_with_the_pipeline_it_shows(
    client: FakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # where nothing runs any more
    monkeypatch.setattr(cli_attach, "_sleep", lambda seconds: False)
    monkeypatch.setattr(watch, "PATIENCE_S", 0.0)
    client.refuses = True
    assert main(["view"]) == 0
    assert capsys.readouterr().err == "the pipeline has ended\n"
    monkeypatch.setattr(cli_attach, "_runs", lambda which: True)
    assert main(["view"]) == 7


def test_the_end_of_a_remote_pipeline_cannot_be_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ControlError), cli_attach.until_it_ends("tcp://studio"):
        raise ControlError("studio cannot be reached")
    assert capsys.readouterr().err == ""


def test_attaching_to_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["stop"]) == 7


def test_ctrl_c_in_a_command_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(which: str | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "attach", interrupted)
    assert main(["stop"]) == 130


def test_reader_that_has_seen_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        out.write("x")
        monkeypatch.setattr(Client, "attach", lambda which=None: out.flush())
        assert main(["stop"]) == 141


def test_control_errors_have_their_own_code() -> None:
    assert ControlError("x").exit_code == 7 != NodeError("x").exit_code
