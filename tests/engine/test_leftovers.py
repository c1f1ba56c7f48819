"""`audio-pipeline leftovers`: processes, sockets and files of pipelines that are gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from audio_pipeline.cli.main import main
from audio_pipeline.host import runtime
from audio_pipeline.host.parent import adopting_orphans
from audio_pipeline.host.processes import here, reap, started
from audio_pipeline.host.strays import MARK, Mark, end_strays, mark, note, strays

DEAD = 2**22 + 1  # above Linux's largest pid


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder) / "audio-pipeline"


@contextmanager
def waiting(marked: dict[str, str], shell: str = "read x") -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that waits for its standard input."""
    child = subprocess.Popen(
        ["sh", "-c", shell],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **marked},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def orphan(home: Path, name: str = "old") -> Path:
    """A folder whose owner is gone, with a socket and a board in it."""
    runtime.base_dir()
    folder = home / name
    folder.mkdir(mode=0o700)
    (folder / "lock").write_text(json.dumps({"pid": DEAD, "started": 1.0}))
    (folder / "mix.0.board").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "control"))
    return folder


def gone(folder: Path) -> dict[str, str]:
    """What a process of a dead supervisor has in its environment."""
    return {MARK: str(Mark(DEAD, 1.0, here(), 1, folder))}


def test_nothing_is_left_over(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert main(["leftovers"]) == 0
    assert capsys.readouterr().out == "nothing is left over; running: nothing\n"


def test_folders_and_processes_of_the_dead_are_shown_and_swept(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    folder = orphan(home)
    with waiting(gone(folder)) as child:
        assert main(["leftovers"]) == 1
        assert capsys.readouterr().out.splitlines() == [
            f"process {child.pid} (sh) of old, which has no supervisor",
            f"folder {folder} of a dead pipeline: 1 board, 1 other, 1 socket",
        ]
        assert folder.exists() and child.poll() is None, "to look changes nothing"
        assert main(["leftovers", "--sweep"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[:2] == [f"ended process {child.pid} (sh)", f"removed {folder}"]
        assert child.wait() == -9 and not folder.exists()
    assert main(["leftovers"]) == 0


def test_what_runs_is_no_leftover(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runtime.create("karaoke", "secret")
    with waiting(mark(run.path)):
        assert main(["leftovers", "--sweep"]) == 0
    assert capsys.readouterr().out == f"nothing is left over; running: {run.name}\n"
    assert run.path.exists()
    run.remove()


def test_what_a_dead_node_started_is_left_over_though_the_supervisor_lives(home: Path) -> None:
    """Its parent is gone and it left the session, so nothing of the kernel's ends it."""
    script = f"{sys.executable} -c 'import os, sys; os.setsid(); print(os.getpid(), flush=True); sys.stdin.read()' &"
    with waiting(mark(home / "live"), f"exec 3<&0; {script.replace(' &', ' <&3 &')}") as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.wait()
        assert [stray.pid for stray in strays(home)] == [pid]
        assert psutil.Process(pid).is_running()


def test_the_next_start_ends_marked_processes_too(home: Path) -> None:
    folder = orphan(home)
    with waiting(gone(folder)) as child:
        assert runtime.sweep() == [f"ended leftover process {child.pid}", "removed old"]
        assert child.wait() == -9


OTHERS = f"{DEAD}:1.0:{{here}}:1:/elsewhere/old"


@pytest.mark.parametrize("said", ["", "x", "1:2", "{ours}", "a:b:c:d:e", OTHERS, f"{DEAD}:1.0:/elsewhere/old"])
def test_a_mark_that_is_none_ends_nobody(home: Path, said: str) -> None:
    with waiting({MARK: said.format(ours=os.getpid(), here=here())}) as child:
        assert child.pid not in [stray.pid for stray in strays(home)]


def test_who_is_above_us_is_never_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = "from pathlib import Path; from audio_pipeline.host.strays import strays"
    code = f"{look}; print(list(strays(Path('{home}'))))"
    marked = {**os.environ, **gone(home / "old")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=marked)
    assert done.stdout == "[]\n" and started(os.getpid()) > 0


STAYS = "import os, sys; os.setsid(); print(os.getpid(), flush=True); sys.stdin.read()"


@contextmanager
def orphaned(marked: dict[str, str]) -> Iterator[int]:
    """A process whose parent, a node say, is gone, and which left its session; this process is a subreaper."""
    helper = f'{sys.executable} -c "{STAYS}" <&3 &'
    with adopting_orphans(), waiting(marked, f"exec 3<&0; {helper}") as node:
        assert node.stdout is not None
        pid = int(node.stdout.readline())
        node.wait()
        assert psutil.Process(pid).ppid() == os.getpid()
        yield pid


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_as_pid_1_the_helpers_of_a_dead_node_are_ended_and_collected(home: Path) -> None:
    """The kernel gives orphans to PID 1 and to subreapers: there they are below the supervisor, and yet nobody's."""
    folder = home / "live"
    folder.mkdir(parents=True, mode=0o700)
    with orphaned(mark(folder, 7)) as pid, waiting(mark(folder, 8)) as other:
        note(folder, {7: DEAD, 8: other.pid})
        assert [stray.pid for stray in strays(home)] == [pid], "the child that it came from is gone"
        assert end_strays(folder, 7) == [pid] and other.poll() is None
        reaped = []
        while not reaped:
            reaped = reap(frozenset([other.pid]))
        assert reaped == [pid] and not psutil.pid_exists(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_only_orphans_are_collected(home: Path) -> None:
    """Exit codes of whatever this process waits for itself stay where they are."""
    mine = subprocess.Popen(["sh", "-c", "exit 3"])
    spared = subprocess.Popen(["sh", "-c", "exit 4"], start_new_session=True)
    for child in (mine, spared):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert reap(frozenset([spared.pid])) == []
    assert (mine.wait(), spared.wait()) == (3, 4)


def test_a_mark_of_another_pid_namespace_is_judged_by_the_lock(home: Path) -> None:
    """Seen from the host, the supervisor in a container has an id that is nobody's or somebody else's."""
    run = runtime.create("karaoke", "secret")
    with waiting({MARK: str(Mark(DEAD, 1.0, "elsewhere", 1, run.path))}) as child:
        assert main(["leftovers", "--sweep"]) == 0 and child.poll() is None
        folder = orphan(home)
    with waiting({MARK: str(Mark(os.getpid(), started(os.getpid()), "elsewhere", 1, folder))}) as child:
        assert [stray.pid for stray in strays(home)] == [child.pid]
    run.remove()
