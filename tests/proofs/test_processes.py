"""Groups, caps, hangs and priorities of real processes: who dies, who returns, with what, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from audio_pipeline.node import Node
from tests.engine.environments import environment
from tests.proofs.chaos import Chaos, Fault
from tests.proofs.live import Pipeline, State, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
KINDS = [str(Path(__file__).parent / "kinds"), str(Path(__file__).parents[1] / "engine" / "kinds")]
HANG_S = Node.hang_s  # without a beat a live node is given up
BUDGET_S = 1.5  # from its death to the frames of its successor
PROGRAM = [sys.executable, "-m", "audio_pipeline"]
CORE = min(os.sched_getaffinity(0))
GRAPH = """
song: {kind: noise, process: light}
fade: {kind: unruly, in: song, process: light}
mix: {kind: mixer, inputs: {a: {from: fade, on_loss: silence}}, process: light}
bad: {kind: unruly, in: mix, BAD}
rec: {kind: recorder, subtype: float32, inputs: {a: {from: mix, policy: block}}}
"""


def graph_file(folder: Path, keys: str = "memory_mb: 300") -> Path:
    body = "".join(f"  {line}\n" for line in GRAPH.replace("BAD", keys).strip().split("\n"))
    file = folder / "graph.yaml"
    file.write_text(f"version: 1\nrate: 48000\nnode_paths: [{', '.join(KINDS)}]\nnodes:\n{body}")
    return file


@contextmanager
def playing(folder: Path, keys: str = "memory_mb: 300") -> Iterator[Pipeline]:
    with running(graph_file(folder, keys), folder / "take") as pipeline:
        pipeline.until("sound flows", lambda s: s["nodes"]["mix"]["levels_db"].get("out", [-120])[0] > -60)
        yield pipeline


def back(pipeline: Pipeline, nodes: tuple[str, ...], since: State) -> tuple[State, float]:
    """The state in which successors of all these nodes run, and how long that took."""

    def is_back(state: State) -> bool:
        return all(
            state["nodes"][name]["state"] == "running"
            and state["nodes"][name]["restarts"] > since["nodes"][name]["restarts"]
            for name in nodes
        )

    began = time.monotonic()
    return pipeline.until(f"{', '.join(nodes)} run again", is_back), time.monotonic() - began


def test_a_group_dies_and_returns_together_with_its_state(tmp_path: Path) -> None:
    with playing(tmp_path) as pipeline:
        pipeline.client.set("fade", "gain", 0.25)
        pipeline.client.set("mix", "inputs.a.gain_db", -6.0)
        before = pipeline.play(1)
        pids = {before["nodes"][name]["pid"] for name in ("song", "fade", "mix")}
        assert len(pids) == 1 and {n["process"] for n in before["nodes"].values()} == {"light", "bad", "rec"}
        os.kill(pids.pop(), signal.SIGKILL)
        after, took_s = back(pipeline, ("song", "fade", "mix"), before)
        final_level = pipeline.play(2)["nodes"]["mix"]["levels_db"]["out"][1]
        final = pipeline.finish()
    print(f"kill -9 a group of three: all back after {took_s:.2f} s")
    (incident,) = after["incidents"]
    assert (incident["node"], incident["cause"], incident["others"]) == ("song", "killed by signal 9", ("fade", "mix"))
    assert after["nodes"]["fade"]["settings"]["gain"] == 0.25
    assert final_level == pytest.approx(before["nodes"]["mix"]["levels_db"]["out"][1], abs=0.5), "as loud as before"
    assert [final["nodes"][name]["restarts"] for name in ("bad", "rec")] == [0, 0]
    assert all(link["balanced"] for link in final["links"]), "every frame is accounted for"
    assert took_s < BUDGET_S and not pipeline.leftovers()


@pytest.mark.parametrize(("node", "others"), [("bad", ()), ("fade", ("song", "mix"))])
def test_a_node_that_blocks_forever_is_ended_and_returns(tmp_path: Path, node: str, others: tuple[str, ...]) -> None:
    with playing(tmp_path) as pipeline:
        before = pipeline.play(HANG_S)
        pipeline.client.set(node, "do", "hang")
        after, took_s = back(pipeline, (node, *others), before)
    print(f"{node} blocks in process(): runs again after {took_s:.2f} s")
    (incident,) = after["incidents"]
    assert incident["node"] == node, "the one whose turn it was is named"
    assert incident["cause"] == "hung: its loop did not turn" and incident["others"] == tuple(others)
    worst_s = 3 * before["nodes"][node]["worst_step_ms"] / 1000
    assert took_s < max(HANG_S, worst_s) + BUDGET_S


def test_a_loudspeaker_that_stands_still_is_found_and_replaced_in_time(tmp_path: Path) -> None:
    """It stops for good, as a driver does that never returns; from there to the frames of its successor."""
    song = 'song: {kind: noise}\n  speaker: {kind: playback, device: "null", in: {from: song, on_loss: silence}}'
    file = tmp_path / "graph.yaml"
    file.write_text(f"version: 1\nrate: 48000\nnode_paths: [{', '.join(KINDS)}]\nnodes:\n  {song}\n")
    with running(file, tmp_path / "take") as pipeline:
        pipeline.play(Node.hang_s)
        outcome = Chaos(pipeline).strike(Fault("hang", "speaker", 0.0))
        (incident,) = pipeline.state()["incidents"]
    print(f"a loudspeaker's process stopped for good: frames again after {outcome.back_s:.2f} s")
    assert incident["node"] == "speaker" and incident["cause"] == "hung: its loop did not turn"
    assert outcome.back_s < BUDGET_S


def test_a_crash_in_a_group_names_the_node(tmp_path: Path) -> None:
    with playing(tmp_path) as pipeline:
        before = pipeline.state()
        pipeline.client.set("fade", "do", "crash")
        after, _ = back(pipeline, ("song", "fade", "mix"), before)
    (incident,) = after["incidents"]
    assert (incident["node"], incident["cause"]) == ("fade", "ValueError: asked to")


@pytest.mark.parametrize("how", ["eat", "spawn"])
def test_memory_beyond_the_cap_is_an_incident(tmp_path: Path, how: str) -> None:
    """What the node's own process holds, or what a process that it started does."""
    cap_mb = 150 if how == "spawn" else 300
    with playing(tmp_path, f"memory_mb: {cap_mb}") as pipeline:
        before = pipeline.state()
        pipeline.client.set("bad", "do", how)
        spawned = int(pipeline.play(0.2)["nodes"]["bad"]["gauges"].get("spawned", 0))
        after, took_s = back(pipeline, ("bad",), before)
        pipeline.play(1)
        assert not spawned or not _lives(spawned), "what a node started goes with it"
    (incident,) = after["incidents"]
    print(f"{how}: {incident['cause']}, back after {took_s:.2f} s")
    assert incident["cause"].startswith(f"memory cap {cap_mb} MB exceeded: ") and incident["node"] == "bad"
    assert float(incident["cause"].split()[-2]) > cap_mb


def test_cores_nice_and_real_time_are_as_asked_or_said(tmp_path: Path) -> None:
    with playing(tmp_path, f"cpus: [{CORE}], nice: 7, realtime: 5") as pipeline:
        state = pipeline.play(1)
        bad = psutil.Process(state["nodes"]["bad"]["pid"])
        threads = [
            Path(f"/proc/{bad.pid}/task/{thread.id}/stat").read_text(encoding="utf-8") for thread in bad.threads()
        ]
        rest = psutil.Process(state["nodes"]["rec"]["pid"])
        assert bad.cpu_affinity() == [CORE] and bad.nice() == 7 and rest.nice() == os.nice(0)
        policies = {int(stat.rpartition(")")[2].split()[38]) for stat in threads}
    allowed = policies == {os.SCHED_RR}
    print(f"real-time priority 5: {'had by all its threads' if allowed else 'not allowed: ' + str(state['log'])}")
    assert allowed or any("real-time priority 5 is not allowed here" in line for line in state["log"])


def test_nothing_outlives_the_supervisor_and_leftovers_shows_what_lies_about(tmp_path: Path) -> None:
    """Groups, another interpreter, and a process that a node started and that left its session."""
    python = environment(tmp_path / "thin")
    with tempfile.TemporaryDirectory(prefix="r") as home:
        env = {**os.environ, "XDG_RUNTIME_DIR": home}

        def command(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*PROGRAM, *words], env=env, capture_output=True, text=True, check=False)

        file = graph_file(tmp_path, f"python: {python}")
        words = ["run", str(file), "--no-view", "--folder", str(tmp_path / "take")]
        with subprocess.Popen([*PROGRAM, *words], env=env, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            next(line for line in iter(parent.stdout.readline, "") if float(line.split(" s ")[0]) > 1)
            assert command("set", "bad.do=spawn").returncode == 0
            family = _until(lambda: _grown(parent.pid, 5), "the node's own child runs")
            assert command("leftovers").returncode == 0, "what runs is no leftover"
            parent.kill()
        _, alive = psutil.wait_procs(family, timeout=2)
        shown = command("leftovers")
        print(shown.stdout, end="")
        assert shown.returncode == 1 and "boards" in shown.stdout and "sockets" in shown.stdout
        assert len(alive) == 1 and f"process {alive[0].pid} " in shown.stdout, "what no kernel ends is shown"
        assert command("leftovers", "--sweep").returncode == 0
        assert not psutil.wait_procs(alive, timeout=2)[1]
        assert command("leftovers").stdout == "nothing is left over; running: nothing\n"


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _grown(pid: int, count: int) -> list[psutil.Process]:
    family = psutil.Process(pid).children(recursive=True)
    return family if any(process.ppid() != pid for process in family) and len(family) >= count else []


def _until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        time.sleep(0.05)
    return value
