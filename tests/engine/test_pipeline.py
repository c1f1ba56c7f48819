"""The front door: a pipeline that a program loads, starts, watches and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

import audio_pipeline
from audio_pipeline import Options, Pipeline
from audio_pipeline.errors import ConfigError, ControlError, NodeError, PipelineError
from audio_pipeline.graph.load import find_config
from audio_pipeline.host.parent import adopting_orphans
from tests.engine.graphs import KINDS, text_of
from tests.fuzz.control import Quiet

COPY = """
song: {kind: file_source, path: %s}
rec: {kind: recorder, subtype: float32, inputs: {copy: {from: song, policy: block}}}
"""
ENDLESS = """
song: {kind: noise, seed: 0}
out: {kind: sink, in: song}
"""
CRASHING = """
from audio_pipeline import Filter
class Crash(Filter):
    def filter(self, x): raise ValueError("it always fails here")
NODE = Crash
"""
PROGRAM = """
import signal, sys
from contextlib import closing
from audio_pipeline import Options, Pipeline

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

def show(pipeline):
    pipeline.wait_playing()
    print("plays", *[node.pid for node in pipeline.state().meters.nodes.values()], flush=True)

pipeline = Pipeline.load(sys.argv[1], options=Options(folder=sys.argv[2])).start()
"""
ENDINGS = {
    "its last line": "show(pipeline)",
    "Ctrl-C": "show(pipeline); pipeline.wait()",
    "Ctrl-C in a context": "with closing(pipeline): show(pipeline); pipeline.wait()",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A pipeline file that copies 0.1 s of sound."""
    soundfile.write(tmp_path / "song.wav", np.full((4_800, 2), 0.25, np.float32), 48_000, subtype="FLOAT")
    file = tmp_path / "copy.yaml"
    file.write_text(text_of(COPY % "song.wav", name="copy"))
    return file


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A pipeline file that plays noise until it is stopped."""
    file = tmp_path / "endless.yaml"
    file.write_text(text_of(ENDLESS, name="endless"))
    return file


# -- names ---------------------------------------------------------------------------------------------


def test_the_import_costs_no_package_and_each_name_is_that_of_its_home() -> None:
    code = "import sys, audio_pipeline; print(sorted({'numpy', 'zmq', 'msgpack', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    for name in audio_pipeline.__all__:
        found = getattr(audio_pipeline, name)
        assert found.__name__ == name and name in dir(audio_pipeline)
    with pytest.raises(AttributeError, match="has no attribute 'Pipelin'"):
        audio_pipeline.Pipelin  # noqa: B018


def test_a_file_of_exactly_that_name_wins_over_a_bundled_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundled = find_config("karaoke")
    assert bundled.is_absolute() and find_config("karaoke.yaml") == bundled
    (tmp_path / "karaoke.yaml").touch()
    assert find_config("karaoke") == bundled and find_config("karaoke.yaml") == Path("karaoke.yaml")
    (tmp_path / "karaoke").touch()
    assert find_config("karaoke") == Path("karaoke")


# -- overrides -----------------------------------------------------------------------------------------


def test_overrides_are_python_values_and_paths_in_them_are_those_of_the_working_directory(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    overrides = {"nodes.song.path": Path("other.wav"), "nodes.rec.subtype": "pcm24", "frame_ms": 20}
    graph = Pipeline.load(copy, overrides).graph
    assert graph.nodes["song"].settings.path == "other.wav" and graph.frame_samples == 960
    assert graph.nodes["rec"].settings.subtype == "pcm24"
    assert Pipeline.load(copy, ["nodes.song.path=other.wav"]).graph.nodes["song"].settings.path == "other.wav"


def test_text_stays_text_whatever_yaml_would_make_of_it() -> None:
    assert Pipeline.load("karaoke", {"nodes.speaker.device": "null"}).graph.nodes["speaker"].settings.device == "null"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"nodes.sung.path": "x"}, "nodes.sung.path: unknown node 'sung', did you mean 'song'?"),
        ({"nodes.song.pth": "x"}, "nodes.song.pth: unknown key, did you mean 'path'?"),
        ({"rate": "fast"}, "rate: expected a whole number"),
        ({"": 1}, "'': expected the key of a setting as text"),
    ],
)
def test_a_wrong_override_is_one_sentence_before_anything_starts(
    copy: Path, overrides: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline.load(copy, overrides)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_what_needs_a_start_is_refused_before_it(copy: Path) -> None:
    pipeline = Pipeline.load(copy)
    for use in (lambda: pipeline.client, lambda: pipeline.folder, lambda: pipeline.set("song.x", 1), pipeline.state):
        with pytest.raises(ControlError, match="pipeline 'copy' has not been started"):
            use()
    pipeline.stop()
    pipeline.close()
    assert pipeline.error is None and pipeline.exit_code == 0 and pipeline.result is None
    with pytest.raises(ConfigError, match=r"'gain': expected NODE\.NAME"):
        pipeline.set("gain", 1)


# -- runs ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_offline_run_leaves_its_recordings_a_report_and_the_last_state(copy: Path, tmp_path: Path) -> None:
    options = Options(offline=True, folder=tmp_path / "take", log=tmp_path / "events.jsonl")
    pipeline = Pipeline.load(copy, options=options)
    events = pipeline.events()
    with pipeline:
        with pytest.raises(PipelineError, match="has been started already"):
            pipeline.start()
        kinds = {event.kind for event in events}
        assert pipeline.wait()
    assert pipeline.result is not None and pipeline.error is None
    assert pipeline.result.tracks == [tmp_path / "take" / "copy.wav"]
    assert pipeline.result.report == tmp_path / "take" / "report.html" and pipeline.result.report.is_file()
    assert pipeline.state().meters.ended and pipeline.state().meters.nodes["rec"].state == "ended"
    assert "media" in kinds and '"event": "media"' in (tmp_path / "events.jsonl").read_text()


@pytest.mark.slow
def test_two_at_once_from_threads_are_independent(copy: Path, tmp_path: Path) -> None:
    def run(number: int) -> None:
        with Pipeline.load(
            copy, options=Options(offline=True, folder=tmp_path / str(number), report=False)
        ) as pipeline:
            pipeline.wait()

    workers = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number in (1, 2):
        kept, _ = soundfile.read(tmp_path / str(number) / "copy.wav")
        assert np.array_equal(kept, np.full((4_800, 2), 0.25))


@pytest.mark.slow
def test_the_error_that_ended_a_run_leaves_the_context_as_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text(CRASHING)
    nodes = "song: {kind: noise, seed: 0}\nbad: {kind: crash, in: song}\nout: {kind: sink, in: bad}"
    text = text_of(nodes, node_paths=[str(KINDS), str(tmp_path)])
    with (
        pytest.raises(NodeError) as caught,
        Pipeline.loads(text, options=Options(offline=True, folder=tmp_path / "take")) as pipeline,
    ):
        pipeline.wait()
        pipeline.set("song.seed", 2)  # what is asked of it now is refused because it has ended: that is not the cause
    assert "bad" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_exception_in_the_body_ends_every_process_and_goes_on(endless: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Pipeline.load(endless, options=Options(folder=tmp_path / "take")) as pipeline,
    ):
        assert pipeline.wait_playing()
        pids = [node.pid for node in pipeline.state().meters.nodes.values()]
        _ = 1 / 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert pipeline.result is not None and pipeline.result.report is not None


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_ends_leaves_no_process(endless: Path, tmp_path: Path, ending: str) -> None:
    command = [sys.executable, "-c", PROGRAM + ENDINGS[ending], str(endless), str(tmp_path / "take")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        word, *pids = program.stdout.readline().split()
        assert word == "plays" and len(pids) == 2
        if "Ctrl-C" in ending:
            program.send_signal(signal.SIGINT)
        _, errors = program.communicate()
    assert ("KeyboardInterrupt" in errors) == ("Ctrl-C" in ending)
    assert not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert (tmp_path / "take" / "report.html").exists() == ("context" in ending)


# -- beside other things -------------------------------------------------------------------------------


def test_the_exit_status_of_a_programs_own_children_is_left_to_it(quiet: Quiet) -> None:
    def dead_child() -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], start_new_session=True)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return child

    child = dead_child()
    quiet.parts.housekeeping.turn(1e9)
    assert child.wait() == 3
    orphan = dead_child()
    with adopting_orphans():  # as `audio-pipeline run` does
        quiet.parts.housekeeping.turn(2e9)
    assert not psutil.pid_exists(orphan.pid)
    orphan.wait()
