"""Real processes: a node that dies whenever it works, alone or in a group, and a supervisor without descriptors."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.control.client import Client
from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.supervisor import parked, records
from tests.proofs.live import Pipeline, State, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
KINDS = str(Path(__file__).parents[1] / "engine" / "kinds")
DOOMED = '''
from audio_pipeline.node import Filter
class Doomed(Filter):
    """Works until its file is there, then fails with each frame."""
    def filter(self, x):
        if __import__("os").path.exists(MARK):
            raise ValueError("it always fails here")
        return x
NODE = Doomed
'''
GRAPH = """
song: {kind: noise, KEYS}
bad: {kind: doomed, in: song, KEYS}
mix: {kind: mixer, inputs: {wet: {from: bad, on_loss: silence}, dry: {from: song, on_loss: silence}}}
rec: {kind: recorder, subtype: float32, inputs: {a: {from: mix, policy: block}}}
"""


def graph_file(folder: Path, keys: str = "") -> Path:
    kinds = folder / "kinds"
    kinds.mkdir()
    (kinds / "doomed.py").write_text(DOOMED.replace("MARK", repr(str(folder / "mark"))))
    body = "".join(f"  {line}\n" for line in GRAPH.replace(", KEYS", keys).strip().split("\n"))
    file = folder / "graph.yaml"
    file.write_text(f"version: 1\nrate: 48000\nnode_paths: [{KINDS}, {kinds}]\nnodes:\n{body}")
    return file


def is_parked(state: State) -> bool:
    return bool(state["nodes"]["bad"]["state"] == "failed")


@pytest.mark.parametrize("keys", ["", ", process: light"])
def test_a_node_that_always_fails_is_parked_and_comes_back_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    monkeypatch.setattr(records, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(parked, "PARKED_S", 3.0)
    with running(graph_file(tmp_path, keys), tmp_path / "take") as pipeline:
        pipeline.play(1)
        (tmp_path / "mark").touch()
        state = pipeline.until("it is parked", is_parked, 120)
        state = pipeline.until("the others sound", lambda s: s["nodes"]["mix"]["levels_db"]["out"][0] > -60)
        assert is_parked(state)
        others = [node["state"] for name, node in state["nodes"].items() if name != "bad"]
        assert "failed 13 times in a row (ValueError: it always fails here)" in state["nodes"]["bad"]["note"]
        assert others.count("failed") == 0 and not state["ended"]
        pipeline.until("it is tried again", lambda s: s["incident_count"] > 13, 60)
        (tmp_path / "mark").unlink()
        back = pipeline.until("it is back", lambda s: {n["state"] for n in s["nodes"].values()} == {"running"}, 60)
        assert back["nodes"]["bad"]["process"] == "bad", "a process of its own"
        pipeline.play(1)
        final = pipeline.finish()
        assert pipeline.run.exit_code == 0 and not pipeline.leftovers()
    sound, _ = soundfile.read(str(tmp_path / "take" / "a.wav"))
    heard = float(np.mean(np.abs(sound).max(axis=1) > 0))
    print(f"{len(sound) / 48_000:.1f} s recorded, sound in {heard:.0%} of it")
    assert keys or heard > 0.9, "the dry sound went on"
    assert final["nodes"]["rec"]["restarts"] == 0


def test_a_run_that_ends_without_a_node_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BACKOFF_S", (0.0,))
    with running(graph_file(tmp_path), tmp_path / "take") as pipeline:
        (tmp_path / "mark").touch()
        pipeline.until("it is parked", is_parked, 120)
        began = time.monotonic()
        pipeline.finish()
        took_s = time.monotonic() - began
        run = pipeline.run
    print(f"stop with a parked node: {took_s:.2f} s")
    assert run.exit_code == NodeError.exit_code and "bad failed 13 times" in str(run.error)


def test_a_supervisor_without_descriptors_goes_on_when_there_are_some_again(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "audio_pipeline",
        "run",
        str(graph_file(tmp_path)),
        "--no-view",
        "--folder",
        str(tmp_path / "take"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            client = attached(process.pid)
            pipeline = Watching(client)
            pipeline.until("everybody runs", lambda s: {n["state"] for n in s["nodes"].values()} == {"running"})
            limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            pid = pipeline.state()["nodes"]["bad"]["pid"]
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (8, limits[1]))  # it holds more than that already
            os.kill(pid, signal.SIGKILL)
            time.sleep(3)
            assert process.poll() is None, "the pipeline plays on"
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
            state = pipeline.until(
                "it is back", lambda s: s["nodes"]["bad"]["state"] == "running" and s["nodes"]["bad"]["restarts"] > 0
            )
            shortages = [line for line in state["log"] if "Too many open files" in line]
            assert shortages, state["log"]
            print("\n".join(shortages))
            client.stop()
            client.close()
            process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0


class Watching(Pipeline):
    """A pipeline of another process; what cannot be asked now is asked again."""

    def __init__(self, client: Client) -> None:
        self.client, self.pids = client, set()

    def state(self) -> State:
        try:
            return super().state()
        except PipelineError as error:
            return {"nodes": {"bad": {"state": "", "restarts": 0}}, "log": [str(error)]}


def attached(pid: int) -> Client:
    deadline = time.monotonic() + 60
    while True:
        try:
            return Client.attach(f"graph-{pid}")
        except PipelineError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
