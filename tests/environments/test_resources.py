"""Descriptors, a runtime folder that is cleaned under a pipeline, and processes that die beside it."""

from __future__ import annotations

import http.client
import os
import re
import resource
import shutil
import signal
import socket
from pathlib import Path

import psutil

from tests.environments.running import Running, everybody_runs, restarts, running
from tests.patience import PATIENCE_S


def metrics_port(pipeline: Running) -> int:
    found = pipeline.until(lambda: re.search(r"metrics at http://127\.0\.0\.1:(\d+)/", pipeline.said))
    return int(found.group(1))


def scrape(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def serving(pipeline: Running) -> psutil.Process | None:
    """The process that answers scrapes."""
    for child in psutil.Process(pipeline.process.pid).children():
        try:
            if "audio_pipeline.observe.metrics_process" in child.cmdline():
                return child
        except psutil.Error:
            continue
    return None


def test_connections_to_the_metrics_port_cost_the_pipeline_nothing(tmp_path: Path) -> None:
    """With 512 descriptors, 600 connections are held open; the supervisor holds none of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held: list[socket.socket] = []
    with running(tmp_path, prefix=["prlimit", "--nofile=512:512"], args=["--metrics", "0"]) as pipeline:
        port = metrics_port(pipeline)
        before = pipeline.plays_on()
        files = psutil.Process(pipeline.process.pid).num_fds()
        pipeline.until(lambda: scrape(port) == 200)
        for _ in range(600):
            held.append(socket.create_connection(("127.0.0.1", port)))
        assert pipeline.until(lambda: scrape(port) == 200)
        after = pipeline.plays_on()
        assert restarts(after) == restarts(before) == 0 and not after["incidents"]
        assert psutil.Process(pipeline.process.pid).num_fds() <= files + 8
        assert pipeline.end() == 0
    for connection in held:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_process_for_metrics_comes_back_and_goes_with_the_pipeline(tmp_path: Path) -> None:
    with running(tmp_path, args=["--metrics", "0"]) as pipeline:
        port = metrics_port(pipeline)
        first = pipeline.until(lambda: serving(pipeline))
        pipeline.until(lambda: scrape(port) == 200)
        first.kill()
        pipeline.until(lambda: (found := serving(pipeline)) and found.pid != first.pid)
        pipeline.until(lambda: scrape(port) == 200)
        state = pipeline.plays_on()
        assert restarts(state) == 0
        assert any("the process for metrics ended (killed by signal 9)" in line for line in state["log"])
        second = pipeline.until(lambda: serving(pipeline))
        pipeline.process.kill()
        pipeline.process.wait()
        second.wait()


def test_a_supervisor_without_descriptors_plays_on_and_replaces_the_dead(tmp_path: Path) -> None:
    """Whatever takes them all: that is an incident, and a node that dies meanwhile is started again."""
    log = tmp_path / "log"
    with running(tmp_path, args=["--log-file", str(log), "--log-format", "text"]) as pipeline:
        before = pipeline.plays_on()["nodes"]
        for name in ("song", "mix"):  # the spare process is there for one of them
            resource.prlimit(pipeline.process.pid, resource.RLIMIT_NOFILE, (8, 4096))  # less than it has
            os.kill(before[name]["pid"], signal.SIGKILL)
        pipeline.until(lambda: "Too many open files; it is tried again" in log.read_text())
        resource.prlimit(pipeline.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
        after = pipeline.when(lambda state: everybody_runs(state) and restarts(state) >= 2)
        assert after["nodes"]["out"]["restarts"] == 0
        assert any(incident["node"] == "supervisor" for incident in after["incidents"])
        pipeline.plays_on()
        assert pipeline.end() == 0


def test_a_runtime_folder_that_is_removed_is_made_again_and_nothing_is_restarted(tmp_path: Path) -> None:
    with running(tmp_path) as pipeline:
        before = pipeline.plays_on()
        folder = pipeline.folder
        shutil.rmtree(pipeline.runtime / "audio-pipeline", ignore_errors=True)
        after = pipeline.plays_on()
        assert pipeline.folder == folder and restarts(after) == 0
        assert {name: node["pid"] for name, node in after["nodes"].items()} == {
            name: node["pid"] for name, node in before["nodes"].items()
        }
        assert any("is put back" in line for line in after["log"])
        os.kill(after["nodes"]["mix"]["pid"], signal.SIGKILL)  # its successor finds clocks, boards and sockets
        pipeline.when(lambda state: everybody_runs(state) and state["nodes"]["mix"]["restarts"] == 1)
        last = pipeline.plays_on()
        assert restarts(last) == 1 and all(link["balanced"] for link in last["links"])
        assert pipeline.end() == 0
    assert not folder.exists()


PRINTS = """
from audio_pipeline.node import Filter
class Prints(Filter):
    lines = 0
    def filter(self, x):
        for _ in range(40):  # 400 kB a second
            self.lines += 1
            print(self.lines, "a node that prints " + 80 * "x", flush=True)
        return x
NODE = Prints
"""
PRINTING = """
  song: {kind: noise, seed: 0}
  mix: {kind: prints, in: song}
  out: {kind: sink, inputs: {a: mix}}
"""


def test_a_node_that_prints_without_end_fills_no_folder_and_its_last_lines_stay(tmp_path: Path) -> None:
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "prints.py").write_text(PRINTS)
    with running(tmp_path, nodes=PRINTING) as pipeline:
        logs = pipeline.folder

        def printed() -> int:
            return max(path.stat().st_size for path in logs.glob("*.log"))

        def room() -> int:
            return sum(path.stat().st_blocks * 512 for path in logs.glob("*.log"))

        pipeline.until(lambda: printed() > 2_000_000)
        pipeline.until(lambda: room() < 1_000_000)  # 256 KiB, and what came since the last look
        state = pipeline.when(everybody_runs)
        os.kill(state["nodes"]["mix"]["pid"], signal.SIGKILL)
        after = pipeline.when(lambda state: everybody_runs(state) and restarts(state) == 1)
        last = after["incidents"][-1]["log"]
        numbers = [int(line.split()[0]) for line in last]
        assert len(numbers) == 20 and numbers == list(range(numbers[0], numbers[0] + 20)) and numbers[0] > 10_000
        assert pipeline.end() == 0
