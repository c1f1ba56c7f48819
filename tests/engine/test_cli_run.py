"""`run`: what it hands to the supervisor, what it shows, what it leaves, how it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.cli import run as cli_run
from audio_pipeline.cli.main import main
from audio_pipeline.cli.observer import stopping
from audio_pipeline.control.state import State
from audio_pipeline.errors import ConfigError, ControlError, NodeError
from audio_pipeline.files.sidecar import TrackInfo, text_of
from audio_pipeline.graph.load import load
from audio_pipeline.run import pipeline as run_pipeline
from audio_pipeline.run import result as run_result
from audio_pipeline.run.assignment import schedule
from audio_pipeline.run.folder import recorded, run_folder
from audio_pipeline.supervisor.event_log import EventLog
from tests.engine.states import FakeClient, full, karaoke


class FakeSupervisor:
    """Ends after three looks, as `outcome` says."""

    made: list[FakeSupervisor] = []
    outcome: NodeError | None = None

    def __init__(self, graph: Any, **words: Any) -> None:
        self.words, self.folder = words, words["folder"]
        self.error, self.exit_code, self.looks, self.stops = None, 0, 0, 0
        self.listeners: list[Any] = []
        self.event_log = EventLog()
        FakeSupervisor.made.append(self)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def client(self) -> FakeClient:
        return FakeClient()

    def wait(self, timeout_s: float | None = None) -> bool:
        self.looks += 1
        if self.looks == 3 and self.outcome:
            self.error, self.exit_code = self.outcome, self.outcome.exit_code
        return self.looks >= 3

    def stop(self) -> None:
        self.stops += 1

    def final_state(self) -> State:
        return full({**karaoke(), "ended": True, "uptime_s": 0.0 if self.error else 83.4})


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> type[FakeSupervisor]:
    monkeypatch.setattr(FakeSupervisor, "made", [])
    monkeypatch.setattr(FakeSupervisor, "outcome", None)
    monkeypatch.setattr(run_pipeline, "Supervisor", FakeSupervisor)
    return FakeSupervisor


def test_run_logs_leaves_a_report_and_hands_everything_on(
    config: Path, tmp_path: Path, supervisor: type[FakeSupervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--duration", "30", "--folder", str(tmp_path / "take"), "--at", "0.5s:wet.gain_db=-60"]
    assert main(["run", str(config), *words]) == 0
    (made,) = supervisor.made
    assert made.words["duration_s"] == 30.0 and made.words["offline"] is False
    assert made.words["schedule"] == {"wet": [[24_000, "gain_db", -60]]}
    assert made.stops >= 1
    shown = capsys.readouterr().out
    assert shown.count("restarts 1") == 2
    assert f"wrote {tmp_path / 'take' / 'report.html'}" in shown
    assert (tmp_path / "take" / "report.html").stat().st_size > 10_000


def test_the_first_argument_may_be_the_file_and_takes_get_a_folder_of_their_own(
    config: Path, supervisor: type[FakeSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    assert main(["demo.yaml", "--offline"]) == 0
    (made,) = supervisor.made
    assert made.words["offline"] is True and made.words["schedule"] == {}
    assert made.folder.parent == config.parent / "takes" and made.folder.name.startswith("demo-")


def test_a_run_that_fails_prints_the_reason_and_has_its_exit_code(
    config: Path, tmp_path: Path, supervisor: type[FakeSupervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.outcome = NodeError("node 'wet': no weights")
    assert main(["run", str(config), "--folder", str(tmp_path / "take")]) == 6
    assert capsys.readouterr().err == "audio-pipeline: node 'wet': no weights\n"
    assert not (tmp_path / "take").exists()


@pytest.mark.parametrize(
    "error",
    [
        KeyError("levels_db"),
        BrokenPipeError(32, "Broken pipe"),
        OSError(5, "Input/output error"),
        EOFError(),
        UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"),
        ControlError("no answer"),
    ],
)
def test_whatever_a_view_dies_of_is_one_line_and_ends_nothing(
    config: Path,
    tmp_path: Path,
    supervisor: type[FakeSupervisor],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def dies(*args: Any, **words: Any) -> str:
        raise error

    monkeypatch.setattr(cli_run, "follow", dies)
    monkeypatch.setattr("audio_pipeline.cli.observer.abandon", lambda stream: None)  # it is pytest's
    waited: list[float | None] = []
    monkeypatch.setattr(supervisor, "wait", lambda self, timeout_s=None: waited.append(timeout_s) or True)
    assert main(["run", str(config), "--folder", str(tmp_path / "take")]) == 0
    assert waited[0] is None  # until its own end, before anything is stopped
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "view" in line]
    assert line.startswith("audio-pipeline: the view ended (") and "the pipeline continues" in line
    assert (tmp_path / "take" / "report.html").exists()


@pytest.mark.parametrize("error", [RuntimeError("cannot cache function"), OSError(28, "No space left on device")])
def test_a_report_that_fails_is_one_sentence_and_never_the_exit_code(
    config: Path,
    tmp_path: Path,
    supervisor: type[FakeSupervisor],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fails(*args: Any) -> Path:
        raise error

    monkeypatch.setattr(run_result, "write_report", fails)
    assert main(["run", str(config), "--folder", str(tmp_path / "take")]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "report" in line]
    assert line.startswith(f"audio-pipeline: no report in {tmp_path / 'take'}: ") and str(error.args[-1]) in line


@pytest.mark.parametrize("content", ["a take", "an empty folder of the user's"])
def test_a_run_that_fails_takes_no_folder_away_but_its_own_empty_one(
    config: Path, tmp_path: Path, supervisor: type[FakeSupervisor], monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    supervisor.outcome = NodeError("node 'wet': no weights")
    folder = tmp_path / "takes" / "one"
    if content == "a take":
        monkeypatch.setattr(supervisor, "stop", lambda self: (self.folder / "voice.wav").write_bytes(b""))
    else:
        folder.mkdir(parents=True)
        monkeypatch.setattr(supervisor, "start", lambda self: None)
    assert main(["run", str(config), "--folder", str(folder)]) == 6
    assert folder.is_dir()


def test_the_folder_around_goes_too_where_it_came_with_the_run(
    config: Path, supervisor: type[FakeSupervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    supervisor.outcome = NodeError("node 'wet': no weights")
    (config.parent / "kept").mkdir()
    assert main(["run", str(config)]) == main(["run", str(config), "--folder", "kept/deep/er"]) == 6
    assert not (config.parent / "takes").exists() and not list((config.parent / "kept").iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5s:wett.gain_db=0", "unknown node 'wett'"),
        ("5s:wet.gain_db=loud", "expected a number"),
        ("5s:wet.folder=x", "cannot be changed while the pipeline runs"),
        ("-1s:wet.gain_db=0", "expected TIME:NODE.NAME=VALUE"),
        ("wet.gain_db=0", "expected TIME:NODE.NAME=VALUE"),
    ],
)
def test_wrong_schedules_are_refused_before_anything_starts(config: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        schedule(load(config), [text])


def test_takes_are_found_where_the_recorder_puts_them(config: Path, tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "run"
    for place in (elsewhere, folder):
        place.mkdir()
    old, new = elsewhere / "old.wav", elsewhere / "voice.wav"
    tracks = {}
    for path, run in ((old, "before"), (new, "this")):
        path.write_bytes(b"")
        tracks[path.stem] = TrackInfo(path.name, 48_000, 0, run=run, finished=True)
    (elsewhere / "take.json").write_text(text_of(tracks))
    graph = load(config, [f"nodes.rec.folder={elsewhere}"])
    assert recorded(graph, folder, "this") == (elsewhere, [new])
    assert recorded(graph, folder, "another") == (folder, [])


def test_two_runs_of_one_second_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with run_folder(None, "song-1") as first, run_folder(None, "song-1") as second:
        assert first.is_dir() and second.is_dir()
        assert (first.name, second.name) == ("song-1", "song-1-2")
        (first / "mix.wav").touch()
    assert first.is_dir() and not second.exists()


def test_a_folder_whose_name_a_file_has_is_left_to_the_run_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "takes").touch()
    with run_folder(None, "song-1") as folder:
        assert not folder.exists()
    assert (tmp_path / "takes").is_file()


def test_a_hangup_that_was_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nohup audio-pipeline run ... &`"""
    before, stops = signal.signal(signal.SIGHUP, signal.SIG_IGN), []
    try:
        with stopping(lambda: stops.append(1)):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and not stops
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def heeded_signals() -> Iterator[None]:
    """No signal is ignored, as those are that `nohup` and a shell's `&` set so."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("heeded_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_pipeline_and_a_second_ctrl_c_does_not_wait(number: int) -> None:
    before, stops = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt), stopping(lambda: stops.append(number)):
        os.kill(os.getpid(), number)
        assert stops == [number]
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


@pytest.mark.slow
def test_offline_run_from_the_command_line_leaves_sound_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np, soundfile = pytest.importorskip("numpy"), pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "song.wav", np.full((4_800, 2), 0.25, np.float32), 48_000, subtype="FLOAT")
    (tmp_path / "copy.yaml").write_text(
        "version: 1\nname: copy\nrate: 48000\nnodes:\n"
        "  song: {kind: file_source, path: song.wav}\n"
        "  rec: {kind: recorder, subtype: float32, inputs: {copy: {from: song, policy: block}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["run", "copy.yaml", "--offline", "--folder", "take"]) == 0
    kept, rate = soundfile.read(tmp_path / "take" / "copy.wav")
    assert rate == 48_000 and np.array_equal(kept, np.full((4_800, 2), 0.25))
    assert "copy.wav" in (tmp_path / "take" / "report.html").read_text()
