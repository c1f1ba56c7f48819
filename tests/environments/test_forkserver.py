"""The process that forks workers, on odd hosts: as PID 1, with few descriptors, no process to be had, Ctrl-C."""

from __future__ import annotations

import os
import pty
import resource
from pathlib import Path

import psutil
import pytest

from audio_pipeline.host.strays import MARK, Mark
from audio_pipeline.supervisor.forkserver_process import MODULE
from tests.environments.running import Running, everybody_runs, restarts, running
from tests.environments.test_namespaces import OWN, ended, inside, prefix_of, processes

FEW_DESCRIPTORS = ("prlimit", "--nofile=512:512")
HOSTS = {"PID 1": OWN, "512 descriptors": FEW_DESCRIPTORS}


def forkserver_of(pipeline: Running) -> psutil.Process | None:
    """The one that is alive. What it forks has its command line, but a mark of its own."""
    return next((process for process in processes(pipeline) if is_forkserver(process)), None)


def is_forkserver(process: psutil.Process) -> bool:
    try:
        mark = Mark.parsed(process.environ().get(MARK, ""))
        return MODULE in process.cmdline() and mark is not None and mark.number == 0
    except psutil.Error:  # it has ended
        return False


def server_in(pipeline: Running) -> psutil.Process:
    """The parent of the node's process."""
    return pipeline.until(lambda: forkserver_of(pipeline))


def node_in(pipeline: Running, name: str) -> psutil.Process:
    pid = pipeline.when(everybody_runs)["nodes"][name]["pid"]
    return next(process for process in processes(pipeline) if inside(process) == pid)


@pytest.mark.parametrize("where", HOSTS)
def test_a_forkserver_that_dies_takes_nobody_along_and_is_replaced(tmp_path: Path, where: str) -> None:
    """As PID 1 its workers become the supervisor's own children; their end is seen, and none stays as a zombie."""
    prefix = prefix_of(OWN) if where == "PID 1" else FEW_DESCRIPTORS
    with running(tmp_path, prefix=prefix) as pipeline:
        pipeline.plays_on()
        before = server_in(pipeline)
        node = node_in(pipeline, "mix")
        assert node.ppid() == before.pid, "it is a fork"
        before.kill()
        after = pipeline.until(lambda: found if (found := forkserver_of(pipeline)) != before else None)
        assert restarts(pipeline.plays_on()) == 0
        node.kill()
        pipeline.when(lambda state: everybody_runs(state) and restarts(state) == 1)
        assert node_in(pipeline, "mix").ppid() in (after.pid, after.ppid()), "a fork of the next, or a child"
        supervisor = psutil.Process(after.ppid())
        pipeline.until(lambda: not [p for p in supervisor.children() if p.status() == psutil.STATUS_ZOMBIE])
        assert ended(pipeline) == 0


def test_where_it_cannot_fork_a_node_comes_back_all_the_same(tmp_path: Path) -> None:
    """It has no descriptor left: it says so to the supervisor, which starts a process itself."""
    log = tmp_path / "log"
    with running(tmp_path, args=["--log-file", str(log), "--log-format", "text"]) as pipeline:
        pipeline.plays_on()
        server, node = server_in(pipeline), node_in(pipeline, "mix")
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (4, 4))  # less than it has: none is taken away
        node.kill()
        pipeline.when(lambda state: everybody_runs(state) and restarts(state) == 1)
        assert node_in(pipeline, "mix").ppid() != server.pid
        pipeline.plays_on()
        assert pipeline.end() == 0


def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(tmp_path: Path) -> None:
    """The terminal sends SIGINT to its whole foreground group; workers and forkserver are in sessions of their own."""
    control, terminal = pty.openpty()
    try:
        # a session whose controlling terminal this is, as a shell in a window makes it
        with running(tmp_path, prefix=("setsid", "--ctty", "--wait"), stdin=terminal) as pipeline:
            pipeline.plays_on()
            group = os.tcgetpgrp(control)
            members = [p for p in processes(pipeline) if os.getpgid(p.pid) == group]
            assert members and not any(MODULE in p.cmdline() for p in members)
            os.write(control, b"\x03")
            assert pipeline.process.wait() == 0
            assert not [process for process in processes(pipeline) if process.is_running()]
            assert "died" not in pipeline.said and "KeyboardInterrupt" not in pipeline.said
    finally:
        os.close(control)
        os.close(terminal)
