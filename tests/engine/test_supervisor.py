"""The supervisor while its graph changes, while nodes fail, and while somebody asks more than it can answer."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from audio_pipeline.control.client import Client
from audio_pipeline.control.codec import VERSION, encode
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.graph.job import ScheduledSetting
from audio_pipeline.host import runtime
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.records import Phase
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.graphs import KINDS, graph_of
from tests.fuzz.control import Quiet
from tests.patience import PATIENCE_S
from tests.plain_state import plain_state

NODES = """
song: {kind: noise, seed: 0}
mix: {kind: sum, inputs: {dry: {from: song, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""
SLOW = """
import time
from audio_pipeline.node import Filter
class Slow(Filter):
    def open(self, ctx): time.sleep(30)
    def filter(self, x): return x
NODE = Slow
"""
BROKEN = """
from audio_pipeline.node import Filter
class Broken(Filter):
    @classmethod
    def estimate(cls, settings, rate): raise RuntimeError("no such model")
    def filter(self, x): return x
NODE = Broken
"""


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    """A folder of node kinds with mistakes."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    (folder / "broken.py").write_text(BROKEN)
    return folder


@pytest.fixture
def pipeline(tmp_path: Path, kinds: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    before = set(psutil.Process().children())
    with tempfile.TemporaryDirectory(prefix="s") as folder:  # short: names of sockets are
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        supervisor = Supervisor(graph_of(NODES, node_paths=f"[{KINDS}, {kinds}]"), folder=tmp_path / "take")
        supervisor.start()
        yield supervisor
        supervisor.stop()
        assert supervisor.wait(PATIENCE_S)
    left = set(psutil.Process().children()) - before
    assert not [child for child in left if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def client(pipeline: Supervisor) -> Iterator[Client]:
    """One of a pipeline that plays."""
    made = pipeline.client()
    until(lambda: {node["state"] for node in plain_state(made)["nodes"].values()} == {"running"})
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def add(name: str, **node: Any) -> dict[str, Any]:
    return {"op": "add", "name": name, "node": {"in": "song", **node}}


def test_the_state_can_be_seen_and_the_end_comes_while_a_node_is_loading(pipeline: Supervisor, client: Client) -> None:
    said: list[str] = []
    other = pipeline.client()

    def change() -> None:
        with pytest.raises(ControlError) as caught:
            other.request("edit", changes=[add("late", kind="slow")], revision=1, timeout_s=PATIENCE_S)
        said.append(str(caught.value))
        other.close()

    asking = threading.Thread(target=change)
    asking.start()
    until(lambda: "late" in pipeline.parts.state.joining)
    assert set(plain_state(client)["nodes"]) == {"song", "mix", "out"}
    pipeline.stop()
    assert pipeline.wait(PATIENCE_S) and pipeline.exit_code == 0
    asking.join(PATIENCE_S)
    assert said == ["the pipeline ended"] and not pipeline.run_dir.path.exists()


def test_a_kind_that_fails_while_a_change_is_planned_is_refused_and_the_next_change_goes_through(
    client: Client,
) -> None:
    with pytest.raises(ControlError, match="RuntimeError: no such model"):
        client.request("edit", changes=[add("bad", kind="broken")], revision=1)
    assert client.request("edit", changes=[add("good", kind="fader")], revision=1)["added"] == ["good"]


def test_a_runtime_folder_that_is_gone_is_made_again(pipeline: Supervisor, client: Client) -> None:
    before = plain_state(client)
    shutil.rmtree(pipeline.run_dir.path, ignore_errors=True)  # some of it may be back already
    until(lambda: (pipeline.run_dir.path / "control").exists() and (pipeline.run_dir.path / "mix.out").exists())
    after = plain_state(client)
    assert [node["pid"] for node in after["nodes"].values()] == [node["pid"] for node in before["nodes"].values()]
    assert runtime.running() == [pipeline.run_dir]
    until(lambda: all(link.balanced for link in client.ledger().links))  # boards come back one after the other


def test_whoever_asks_without_end_does_not_keep_it_from_its_nodes(pipeline: Supervisor, client: Client) -> None:
    """A question takes longer to answer than to ask, so the backlog of this flood only grows."""
    over = threading.Event()

    def ask() -> None:
        question = encode({"v": VERSION, "token": pipeline.access["token"], "id": 1, "op": "ledger"})
        with zmq.Context() as context, context.socket(zmq.DEALER) as flood:
            flood.setsockopt(zmq.LINGER, 0)
            flood.connect(pipeline.run_dir.control)
            while not over.is_set():
                with suppress(zmq.Again):
                    flood.send(question, flags=zmq.DONTWAIT)

    pid = plain_state(client)["nodes"]["mix"]["pid"]
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: pipeline.nodes["mix"].incarnation == 1)
        pipeline.stop()
        assert pipeline.wait(PATIENCE_S)
    finally:
        over.set()
        asking.join()


def test_what_cannot_be_sent_is_refused_here(client: Client) -> None:
    for value in (1 << 70, object()):
        with pytest.raises(ControlError, match="set: this cannot be sent"):
            client.set("mix", "inputs.dry.gain", value)


# -- without processes -----------------------------------------------------------------------------


def say(quiet: Quiet, node: str, **word: Any) -> None:
    quiet.notify(node, **word)


def ask(quiet: Quiet, **word: Any) -> dict[str, Any]:
    quiet.answers.clear()
    quiet.request(**word)
    quiet.settle()
    return quiet.answers[0]


def test_a_setting_that_waits_is_in_force_when_the_node_says_so(quiet: Quiet) -> None:
    record = quiet.parts.state.nodes["mix"]
    wanted = {"op": "set", "node": "mix", "name": "inputs.dry.gain", "value": 0.25, "at": 48_000}
    assert ask(quiet, **wanted)["ok"]
    assert (
        record.schedule == [ScheduledSetting(48_000, "inputs.dry.gain", 0.25)]
        and record.input_settings["dry"].gain == 1.0
    )
    state = quiet.parts.state
    job = JobMaker(state, quiet.parts.playhead).job(record, state.run)
    assert list(job.schedule) == record.schedule, "a successor waits for it as well"
    say(quiet, "mix", op="applied", at=48_000, name="inputs.dry.gain", value=0.25)
    assert record.schedule == [] and record.input_settings["dry"].gain == 0.25
    assert not ask(quiet, **{**wanted, "value": "loud"})["ok"] and record.schedule == []


def test_a_source_whose_process_went_after_its_end_takes_no_command(quiet: Quiet) -> None:
    record = quiet.parts.state.nodes["song"]
    record.phase, record.child = Phase.ENDED, None
    answer = ask(quiet, op="transport", node="song", command="pause")
    assert not answer["ok"] and answer["error"] == "song has ended, and so has its process"


def test_a_successor_of_one_that_joins_switches_nothing_a_second_time(quiet: Quiet) -> None:
    editor = quiet.parts.editor
    quiet.request(op="edit", revision=1, changes=[add("more", kind="fader")])
    say(quiet, "more", op="ready", latency=[0, 0, 0, 0], live=[])
    assert (quiet.parts.state.graph_revision, len(editor.history.undos)) == (2, 1)
    say(quiet, "more", op="ready", latency=[0, 0, 0, 0], live=[])
    assert (quiet.parts.state.graph_revision, len(editor.history.undos)) == (2, 1)


def test_a_mistake_at_the_end_is_told_and_nobody_waits_for_ever(
    pipeline: Supervisor, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.parts.overview, "state", lambda: {}["nothing"])
    pipeline.stop()
    assert pipeline.wait(PATIENCE_S)
    assert isinstance(pipeline.error, PipelineError) and "KeyError" in str(pipeline.error)
    assert not pipeline.run_dir.path.exists()
