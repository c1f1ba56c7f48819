"""The commands that speak and that find the mark."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import soundfile

from audio_pipeline.cli import say as cli_say
from audio_pipeline.cli import say_into
from audio_pipeline.cli.main import main
from audio_pipeline.errors import MediaError
from audio_pipeline.models.weights import store


@pytest.fixture(autouse=True)
def only_with_weights() -> None:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")


def test_a_text_becomes_a_marked_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hello.wav"
    assert main(["say", "Hello there.", "This is a test.", "-o", str(out)]) == 0
    info = soundfile.info(out)
    assert info.samplerate == 24_000 and info.duration > 1.5
    assert main(["detect", str(out)]) == 0
    assert "made by a machine" in capsys.readouterr().out


def test_a_file_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hello.wav"
    out.write_bytes(b"mine")
    assert main(["say", "Hello.", "-o", str(out)]) != 0
    assert out.read_bytes() == b"mine" and "--force" in capsys.readouterr().err


def test_a_missing_folder_is_refused_before_anything_is_spoken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["say", "Hello.", "-o", str(tmp_path / "none" / "x.wav")]) == 2
    assert f"there is no folder '{tmp_path / 'none'}'" in capsys.readouterr().err


def test_a_dash_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "-", "hello", "-o", str(tmp_path / "x.wav")]) == 2
    assert "goes with no other text" in capsys.readouterr().err


def test_an_unreadable_file_hides_nothing_of_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, marked = tmp_path / "a.wav", tmp_path / "b.wav"
    text.write_text("no sound")
    main(["say", "Hello there.", "-o", str(marked)])
    assert main(["detect", str(text), str(marked)]) == MediaError.exit_code
    said = capsys.readouterr()
    assert "a.wav" in said.err and "made by a machine" in said.out


def test_a_wrong_option_names_the_program_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "Hello.", "--speed", "fast"]) == 2
    assert capsys.readouterr().err.startswith("audio-pipeline: say: ")


def test_a_pipe_is_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, "A naïve café. ".encode())
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["say", "-", "-o", str(tmp_path / "x.wav")]) == 0
    assert soundfile.info(tmp_path / "x.wav").duration > 0.8


@pytest.mark.parametrize("written", [b"", b" \n"])
def test_an_empty_pipe_is_refused(
    written: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.write(writing, written)
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["say", "-", "-o", str(tmp_path / "x.wav")]) == 2
    assert "standard input contained no text to speak" in capsys.readouterr().err


def test_a_pipe_that_stalls_is_spoken_as_far_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_say, "STALL_S", 0.01)
    reading, writing = os.pipe()
    os.write(writing, b"Three of us went")
    pieces = cli_say.spoken_pieces

    def heard(talker: Any, portions: Any) -> Iterator[Any]:
        for sound in pieces(talker, portions):
            os.close(writing)  # only now: it was spoken while the pipe was open
            yield sound

    monkeypatch.setattr(cli_say, "spoken_pieces", heard)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["say", "-", "-o", str(tmp_path / "x.wav")]) == 0
    assert soundfile.info(tmp_path / "x.wav").duration > 0.6
    assert "no further text for 0.01 s: speaking the text so far" in capsys.readouterr().err


def test_what_cannot_be_spoken_is_named_once_and_the_rest_is_spoken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["say", "Hello \U0001f600 Москва, hello 你好.", "-o", str(tmp_path / "x.wav")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert told == ["left out as unpronounceable for this voice: '\U0001f600', 'Москва', '你好'"]
    assert soundfile.info(tmp_path / "x.wav").duration > 0.5


def test_a_line_break_inside_of_a_sentence_is_no_pause(tmp_path: Path) -> None:
    """The same samples as on one line, and a sentence that starts with a sign is a text."""
    texts = {"a": "The old clock,\nin the hall\nstruck -$20.", "b": "The old clock, in the hall struck -$20."}
    for name, text in texts.items():
        assert main(["say", text, "-o", str(tmp_path / f"{name}.wav")]) == 0
    assert soundfile.read(tmp_path / "a.wav")[0].tolist() == soundfile.read(tmp_path / "b.wav")[0].tolist()
    assert main(["say", "-$20", "-o", str(tmp_path / "c.wav")]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "12:30",
        "Number # one",
        "-$20",
        "1e5",
        "{a: b}",
        "null",
        "- x",
        "a\nb",
        "%s",
        "~",
    ],
)
def test_text_for_a_running_voice_is_taken_as_it_is(running: Running, text: str) -> None:
    assert main(["say", "--into", "voice", text]) == 0
    assert running.heard == [("text", text), ("end", "")]


def test_it_plays_to_the_end() -> None:
    assert main(["say", "--device", "null", "Yes."]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["😀"], "there is no text to speak in '😀'"),
        (["x" * 50_001], "a text of 50001 characters is too long, expected at most 50000"),
        (["hi", "--speed", "0"], "--speed: expected 0.5 to 2, got 0"),
        (["hi", "--speed", "nan"], "--speed: expected 0.5 to 2, got nan"),
        (["hi", "--speed", "-1"], "--speed: expected 0.5 to 2, got -1"),
        (["hi", "--speed", "9"], "--speed: expected 0.5 to 2, got 9"),
        (["hi", "-o", "x.mp3"], "expected a name that ends in .wav, .flac or .ogg"),
    ],
)
def test_a_text_that_cannot_be_spoken_is_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["say", "--device", "null", *words]) != 0
    assert said in capsys.readouterr().err


class Running:
    """Stands in for a pipeline that runs."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def send(self, node: str, port: str, kind: str, text: str = "") -> None:
        assert (node, port) == ("voice", "text")
        self.heard.append((kind, text))

    def transport(self, node: str, command: str) -> None:
        self.heard.append((command, node))


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    found = Running()
    monkeypatch.setattr(say_into, "attached", lambda which: nullcontext(found))
    return found


def test_text_goes_into_a_running_voice(running: Running) -> None:
    assert main(["say", "--into", "voice", "Hello", "there."]) == 0
    assert running.heard == [("text", "Hello there."), ("end", "")]


def test_a_pipe_goes_on_as_it_grows_and_ends_when_it_closes(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()

    def portion(client: Running, node: str, portions: Iterable[str]) -> list[bool]:
        os.write(writing, "One na\u00efve ".encode())
        first = next(iter(portions))
        assert first == "One na\u00efve "  # while the pipe is still open
        os.write(writing, b"two.")
        os.close(writing)
        return send(client, node, [first, *portions])

    send = say_into.send_text
    monkeypatch.setattr(say_into, "send_text", portion)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["say", "--into", "voice", "-"]) == 0
    assert running.heard == [("text", "One na\u00efve "), ("text", "two."), ("end", "")]


def test_a_long_text_goes_in_portions_that_an_event_can_hold(running: Running) -> None:
    assert main(["say", "--into", "voice", "word " * 9_999]) == 0
    assert "".join(text for _, text in running.heard).split() == ["word"] * 9_999
    assert max(len(text.encode()) for _, text in running.heard) < 65_536


def test_cancel_comes_before_the_new_text(running: Running) -> None:
    assert main(["say", "--into", "voice", "--cancel", "New."]) == 0
    assert running.heard == [("cancel", "voice"), ("text", "New."), ("end", "")]
    assert main(["say", "--into", "voice", "--cancel"]) == 0
    assert running.heard[3:] == [("cancel", "voice")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--into", "voice", " "], "there is no text to speak"),
        (["--into", "voice", "-o", "x.wav", "hi"], "goes without"),
        (["--cancel", "hi"], "--cancel and --pipeline go with --into"),
        ([], "expected a text to speak, or -"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    running: Running, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["say", *words]) != 0
    assert said in capsys.readouterr().err and not [kind for kind, _ in running.heard if kind == "end"]


def test_clean_speech_carries_no_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(48_000) * 0.1, 24_000)
    assert main(["detect", str(path)]) == 1
    assert "no mark found" in capsys.readouterr().out
