"""PID 1, and two PID namespaces on one runtime folder: containers that mount it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.environments.running import Running, everybody_runs, restarts, running

OWN = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")  # as in a container, with a /proc of its own
BARE = ("unshare", "--pid", "--fork", "--kill-child")  # /proc shows the processes of the host
PLAIN = ("unshare", "--user", "--map-root-user")


def allowed(prefix: tuple[str, ...]) -> bool:
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0


def prefix_of(own: tuple[str, ...]) -> list[str]:
    """A command in a PID namespace of its own, by whatever right there is."""
    for prefix in (own, (*PLAIN, *own[1:])):
        if sys.platform == "linux" and allowed(prefix):
            return list(prefix)
    pytest.skip("no PID namespaces here")


def tool(pipeline: Running, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A command of ours on the same runtime folder."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "audio_pipeline", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(pipeline.runtime)},
    )


def ended(pipeline: Running) -> int:
    """Its exit code after a request to end: a signal would reach `unshare` and not PID 1."""
    assert tool(pipeline, "stop").returncode == 0
    return pipeline.process.wait()


@pytest.mark.parametrize("own", [OWN, BARE], ids=["own proc", "proc of the host"])
def test_both_sides_of_a_pid_namespace_see_each_other_as_living(tmp_path: Path, own: tuple[str, ...]) -> None:
    """The ids in the lock are nobody's on the other side. A start and a sweep there leave the pipeline alone."""
    inside = prefix_of(own)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    with running(tmp_path / "in", prefix=inside) as contained:
        before = contained.plays_on()
        name = contained.folder.name
        assert f"running: {name}\n" in tool(contained, "leftovers", "--sweep").stdout
        with running(tmp_path / "out", runtime=contained.runtime) as host:  # its start sweeps
            host.until(lambda: len(list(contained.runtime.glob("audio-pipeline/[!.]*"))) == 2)
            found = tool(contained, "leftovers", "--sweep", prefix=tuple(inside)).stdout
            assert "nothing is left over" in found and found.count("matrix-") == 2, "seen from the other side"
            after = contained.when(lambda state: everybody_runs(state) and state["position"] > before["position"])
            assert restarts(after) == 0 and host.process.poll() is None
            host.process.kill()
            host.process.wait()
        found = tool(contained, "leftovers", "--sweep", prefix=tuple(inside)).stdout
        assert f"running: {name}\n" in found, "what the dead one left could be locked, and is swept"
        assert [path.name for path in contained.runtime.glob("audio-pipeline/*")] == [name]
        contained.plays_on()
        assert ended(contained) == 0


HELPED = """
import subprocess
from audio_pipeline.node import Filter
class Helped(Filter):
    def open(self, ctx):
        subprocess.run(["sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & setsid true &"])
    def filter(self, x): return x
NODE = Helped
"""
HELD = """
  song: {kind: noise, seed: 0}
  mix: {kind: helped, in: song}
  out: {kind: sink, inputs: {a: mix}}
"""


def processes(pipeline: Running) -> list[psutil.Process]:
    """All that runs on its runtime folder, zombies among their children."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("XDG_RUNTIME_DIR") == str(pipeline.runtime):
                found.append(process)
        except psutil.Error:
            continue
    return found


def inside(process: psutil.Process) -> int:
    """Its id in its own PID namespace."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))


@pytest.mark.parametrize("first", [True, False], ids=["PID 1", "subreaper"])
def test_what_dead_nodes_leave_is_ended_and_collected(tmp_path: Path, first: bool) -> None:
    """There every orphan is its own: helpers of a node that died are ended, and none stays as a zombie."""
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "helped.py").write_text(HELPED)
    with running(tmp_path, prefix=prefix_of(OWN) if first else (), nodes=HELD) as pipeline:
        before = pipeline.plays_on()
        pid = 1 if first else pipeline.process.pid
        supervisor = next(process for process in processes(pipeline) if inside(process) == pid)
        helpers = [process for process in processes(pipeline) if process.name() == "sleep"]
        assert len(helpers) == 2 and {helper.ppid() for helper in helpers} == {supervisor.pid}, "orphans, and PID 1's"
        node = next(process for process in processes(pipeline) if inside(process) == before["nodes"]["mix"]["pid"])
        node.kill()
        pipeline.when(lambda state: everybody_runs(state) and restarts(state) == restarts(before) + 1)
        pipeline.until(lambda: not any(helper.is_running() for helper in helpers))
        pipeline.until(lambda: not [p for p in supervisor.children() if p.status() == psutil.STATUS_ZOMBIE])
        assert ended(pipeline) == 0
