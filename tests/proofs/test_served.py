"""The model's host dies, or stands still, while two graphs use it: both play the song as it is until it is back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import soundfile

from audio_pipeline.serving.service import LINGER
from audio_pipeline.serving.services import RunningService, running_services
from tests.leftovers import processes
from tests.proofs.live import NO_CARD, Pipeline, running, silent_runs_ms

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
SERVED = (*NO_CARD, "nodes.split.worker=served", "nodes.split.hop=8")  # two of them fit on two cores
GRAPHS = ("one", "two")
# none where there are cores to spare; on two, the next host's loading of its network keeps light threads waiting (as
# `CROWDED_MS` in test_faults): 0 to 60 ms were seen
LONGEST_SILENCE_MS = 150
SETTLE_S, LONGEST_S = 5.0, 60.0


def host() -> RunningService:
    """The one that serves the model."""
    (found,) = running_services()
    return found


def voice_db(pipeline: Pipeline) -> float:
    """Peak of the separated voice."""
    return max(pipeline.state()["nodes"]["split"]["levels_db"]["vocals"])


def lost(pipeline: Pipeline) -> int:
    return int(pipeline.state()["nodes"]["split"]["counters"].get("hosts_lost", 0))


def until(what: str, true: Callable[[], bool]) -> float:
    """Seconds until something is so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < LONGEST_S, f"not so after {LONGEST_S:g} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_two_graphs_play_on_without_their_models_host(
    fault: signal.Signals, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof_scale: float
) -> None:
    monkeypatch.setenv(LINGER, "0")
    rounds = max(round(10 * proof_scale), 1)
    with ExitStack() as stack:
        graphs = [stack.enter_context(running("karaoke", tmp_path / name, SERVED)) for name in GRAPHS]
        for graph in graphs:
            graph.until("the voice is separated", lambda s: s["nodes"]["mix"]["levels_db"]["out"][1] > -60)
            graph.play(SETTLE_S)
        for number in range(1, rounds + 1):
            _lose(graphs, fault, number)
        finals = [graph.finish() for graph in graphs]
    for name, final in zip(GRAPHS, finals, strict=True):
        assert all(node["restarts"] == 0 for node in final["nodes"].values()), f"{name}: nothing else is restarted"
        assert all(link["balanced"] for link in final["links"]), f"{name}: every frame is accounted for"
        mix, rate = soundfile.read(tmp_path / name / "mix.wav")
        longest_ms = max(silent_runs_ms(mix[round(SETTLE_S * rate) :], rate), default=0.0)
        print(f"{name}: longest silence {longest_ms:.0f} ms")
        assert longest_ms <= LONGEST_SILENCE_MS, f"{name}: the song stands in for the separator"
    until("no process is left", lambda: not processes(private))


def _lose(graphs: list[Pipeline], fault: signal.Signals, number: int) -> None:
    """Takes the host away once, and waits until both graphs have a voice again."""
    before = host()
    assert before.pid is not None
    users = before.status.users
    assert len(users) == len(graphs), users
    missed = [graph.state()["nodes"]["split"]["counters"].get("missed_deadlines", 0) for graph in graphs]
    os.kill(before.pid, fault)
    noticed_s = until("both have noticed", lambda: all(lost(graph) == number for graph in graphs))
    until("the voice is silent", lambda: all(voice_db(graph) < -90 for graph in graphs))
    back_s = until("the voice is back", lambda: all(voice_db(graph) > -60 for graph in graphs))
    after = host()
    assert after.pid != before.pid and len(after.status.users) == len(graphs)
    for graph, count in zip(graphs, missed, strict=True):
        split = graph.play(SETTLE_S / len(graphs))["nodes"]["split"]
        assert split["counters"]["missed_deadlines"] > count, "what came too late was the song as it is"
    print(f"{fault.name}: noticed after {noticed_s:.2f} s, the voice was back {back_s:.1f} s later in both")
