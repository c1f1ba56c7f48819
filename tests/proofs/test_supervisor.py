"""The supervisor itself frozen and killed, again and again: nothing outlives it, the next start sweeps."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from audio_pipeline.control.client import Client
from audio_pipeline.errors import PipelineError
from audio_pipeline.files import wav, wav_part
from audio_pipeline.host import runtime
from tests.leftovers import leftovers, processes
from tests.plain_state import plain_state
from tests.proofs.chaos import seed
from tests.proofs.live import NO_CARD, State

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
GONE_S = 2.0


def test_nothing_outlives_a_supervisor(private: Path, tmp_path: Path, proof_scale: float) -> None:
    number = seed()
    rng = random.Random(number)
    rounds = max(round(10 * proof_scale), 2)
    print(f"AUDIO_PIPELINE_SEED={number}")
    slowest_s = 0.0
    for turn in range(rounds):
        folder = tmp_path / str(turn)
        # one in three is killed while it starts, when some nodes exist and others do not
        slowest_s = max(slowest_s, _one_life(folder, rng, starting=turn % 3 == 1, swept=turn > 0, private=private))
        _check_recordings(folder)
    runtime.sweep()
    assert not leftovers(private), "the last one is swept as well"
    print(f"{rounds} supervisors killed: the last process was gone after {slowest_s:.2f} s at most")


def _one_life(folder: Path, rng: random.Random, *, starting: bool, swept: bool, private: Path) -> float:
    """Start, freeze, kill; seconds until no process was left."""
    before = {path.name for path in private.glob("audio-pipeline/*")}
    assert bool(before) == swept, "a killed supervisor cannot clean up after itself"
    command = [sys.executable, "-m", "audio_pipeline", "run", "karaoke", "--no-view", "--folder", str(folder)]
    with subprocess.Popen([*command, "--set", *NO_CARD], stdout=subprocess.DEVNULL) as parent:
        try:
            if starting:
                _until_some_start(private, rng.uniform(0.0, 1.0))
            else:
                _freeze(parent.pid, rng.uniform(0.5, 3.0))
            names = {path.name for path in private.glob("audio-pipeline/*")}
            assert not names & before, f"the start sweeps what its predecessor left: {names & before}"
        finally:
            parent.kill()
        began_s = time.monotonic()
    while alive := processes(private):
        assert time.monotonic() - began_s < GONE_S, f"still there {GONE_S:g} s after the supervisor's death: {alive}"
    return time.monotonic() - began_s


def _until_some_start(private: Path, delay_s: float) -> None:
    while len(processes(private)) < 3:
        time.sleep(0.02)
    time.sleep(delay_s)


def _freeze(pid: int, seconds: float) -> None:
    """While the supervisor stands still everybody else plays on, and nobody is taken for dead afterwards."""
    client = _attached()
    try:
        before = _playing(client)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)
        after = plain_state(client)
    finally:
        client.close()
    played_s = (after["position"] - before["position"]) / before["rate"]
    assert played_s >= seconds
    assert _restarts(after) == _restarts(before), after["incidents"]
    missing = after["nodes"]["speaker"]["counters"]["gaps"] - before["nodes"]["speaker"]["counters"]["gaps"]
    print(f"supervisor frozen for {seconds:.1f} s: {played_s:.1f} s played meanwhile, {missing} gaps")


def _restarts(state: State) -> dict[str, int]:
    return {name: node["restarts"] for name, node in state["nodes"].items()}


def _attached() -> Client:
    for _ in range(600):
        with suppress(PipelineError, OSError):
            return Client.attach()
        time.sleep(0.1)
    raise AssertionError("no pipeline came up within a minute")


def _playing(client: Client) -> State:
    for _ in range(600):
        state = plain_state(client)
        if state["uptime_s"] > 2:
            return state
        time.sleep(0.1)
    raise AssertionError(f"does not play: {state['log']}")


def _check_recordings(folder: Path) -> None:
    """Whatever was begun can be opened."""
    for path in wav_part.scan(folder):
        assert wav.repair(path).path.exists()


def test_processes_are_told_apart_by_their_runtime_folder(private: Path) -> None:
    """What the proof above counts: it would see a process that stays."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stays:
        assert any(line.startswith(f"{stays.pid} ") for line in processes(private))
        stays.kill()
    assert not processes(private)
