"""A world that refuses: each thing is survived, or ends the command with one sentence and leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.leftovers import leftovers
from tests.patience import PATIENCE_S
from tests.shared import ROOT

pytestmark = pytest.mark.live  # whole programs on terminals of many kinds
RATE = 44_100
FILE = f"""
version: 1
name: twin
rate: {RATE}
nodes:
  song: {{kind: file_source, path: song.wav, loop: true}}
  rec: {{kind: recorder, subtype: float32, inputs: {{track: {{from: song, policy: block}}}}}}
"""
PROGRAM = str(ROOT / "run_pipeline.py")
NO_MORE_FORKS = """
import errno, os
def fork():
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
os.fork = fork
"""
NO_MORE_PROCESSES = """
import errno, os, subprocess, sys
os.environ["PYTHONPATH"] = {path!r}  # of the processes that it starts
made, real = [], subprocess.Popen
def popen(*args, **kwargs):
    made.append(1)
    if len(made) > {most}:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    return real(*args, **kwargs)
subprocess.Popen = popen
from audio_pipeline.cli.main import main
sys.exit(main())
"""
HASTY = """
from audio_pipeline.node import Filter
class Hasty(Filter):
    def context_samples(self):
        return self._window  # which only `open` makes
NODE = Hasty
"""


class Place:
    """A folder with a song and a pipeline, and a private runtime folder."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder, self.runtime = folder, runtime
        (folder / "twin.yaml").write_text(FILE)
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
        soundfile.write(folder / "song.wav", np.repeat(tone[:, None], 2, axis=1), RATE)

    def start(
        self,
        *words: str,
        entry: tuple[str, ...] = (PROGRAM,),
        runtime: str | None = None,
        take: str = "take",
        before: Callable[[], None] | None = None,
        **streams: Any,
    ) -> subprocess.Popen[Any]:
        """The command line, started."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(
            [sys.executable, *entry, "run", "twin.yaml", "--folder", take, *words],
            cwd=self.folder,
            preexec_fn=before,  # noqa: PLW1509 - it sets a limit or closes a file, and no thread of ours holds a lock
            env={**os.environ, "XDG_RUNTIME_DIR": runtime or str(self.runtime), "TERM": "xterm"},
            **streams,
        )

    def end(self, process: subprocess.Popen[Any], *, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Exit code and everything it said; nothing of it may be left."""
        out, err = process.communicate(timeout=timeout_s)
        said = ((out or b"") + (err or b"")).decode(errors="replace")
        assert "Traceback" not in said, said
        assert not leftovers(self.runtime)
        return process.returncode, said

    def recorded_s(self, take: str = "take") -> float:
        """What was recorded whole, in seconds."""
        samples, rate = soundfile.read(self.folder / take / "track.wav")
        return len(samples) / float(rate)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="ap-") as runtime:  # short: socket paths hold 107 characters
        yield Place(tmp_path, Path(runtime))


def until_it_plays(process: subprocess.Popen[bytes]) -> bytes:
    """Its first line: one a second, once the clock runs."""
    assert process.stdout is not None
    return process.stdout.readline()


def one_sentence(said: str, *parts: str) -> None:
    assert said.startswith("audio-pipeline: ") and said.count("\n") == 1, said
    assert all(part in said for part in parts), said


# -- where sockets and locks go --------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["/proc", "/dev/null", "/nowhere/\u00e9"])
def test_a_runtime_folder_in_which_nothing_can_be_made_is_named_with_the_way_out(place: Place, runtime: str) -> None:
    """/proc takes no folder from anybody, root included."""
    if runtime.startswith("/nowhere") and os.access("/", os.W_OK):
        runtime = "/proc" + runtime
    code, said = place.end(place.start("--offline", "--duration", "1", runtime=runtime))
    one_sentence(said, f"{runtime}/audio-pipeline cannot be made", "set XDG_RUNTIME_DIR to a folder of yours")
    assert code == 1


def test_one_pipeline_started_twice_runs_twice_and_has_to_be_told_apart(place: Place) -> None:
    twins = [place.start("--no-view", take=take) for take in ("one", "two")]
    for twin in twins:
        until_it_plays(twin)
    command = [sys.executable, PROGRAM, "stop"]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(place.runtime)}
    asked = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    one_sentence(asked.stderr, "several pipelines run, name one: twin-", f"-{twins[0].pid}-", f"-{twins[1].pid}-")
    assert asked.returncode == 7
    twins[0].send_signal(signal.SIGTERM)
    twins[0].communicate(timeout=PATIENCE_S)
    twins[1].send_signal(signal.SIGTERM)
    assert place.end(twins[1])[0] == twins[0].returncode == 0
    assert place.recorded_s("one") > 0 and place.recorded_s("two") > 0


# -- nothing more to be had --------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [16, 40, 79])
def test_a_limit_of_files_that_is_too_low_is_said_before_anything_starts(place: Place, files: int) -> None:
    """Later would be too late: ZeroMQ ends its process where it cannot open another."""
    code, said = place.end(place.start("--offline", before=lambda: limit_files(files, files)))
    one_sentence(said, f"a process may open {files} files here (ulimit -n), expected 80 or more for 2 nodes")
    assert code == 1 and not (place.folder / "take").exists()


def test_a_limit_of_files_that_may_be_raised_is(place: Place) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code, said = place.end(place.start("--offline", "--duration", "1", before=lambda: limit_files(16, hard)))
    assert code == 0, said
    assert abs(place.recorded_s() - 1.0) < 0.01


def limit_files(soft: int, hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("most", [0, 1])
def test_without_processes_it_says_so(place: Place, most: int) -> None:
    """Neither a process that forks nodes, or forks of it, nor children in place of them."""
    (place.folder / "sitecustomize.py").write_text(NO_MORE_FORKS)
    entry = ("-c", NO_MORE_PROCESSES.format(most=most, path=str(place.folder)))
    code, said = place.end(place.start("--offline", entry=entry))
    one_sentence(said, "Resource temporarily unavailable")
    assert code == 1


def test_a_node_that_errs_while_it_is_planned_ends_the_start(place: Place) -> None:
    """`check` and the supervisor ask classes before any process runs."""
    (place.folder / "kinds").mkdir()
    (place.folder / "kinds" / "hasty.py").write_text(HASTY)
    file = place.folder / "twin.yaml"
    file.write_text(file.read_text().replace("nodes:", "node_paths: [kinds]\nnodes:\n  odd: {kind: hasty, in: song}"))
    code, said = place.end(place.start("--no-view", "--duration", "1"))
    one_sentence(said, "cannot start: AttributeError", "'Hasty' object has no attribute '_window'")
    assert code == 1


# -- the terminal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_a_whole_recording(place: Place, number: signal.Signals) -> None:
    process = place.start("--no-view")
    until_it_plays(process)
    process.send_signal(number)
    code, _ = place.end(process)
    assert code == 0 and place.recorded_s() > 0


def test_whoever_stops_reading_ends_nothing(place: Place) -> None:
    """`audio-pipeline run ... | head -1`"""
    process = place.start("--no-view", "--duration", "4")
    until_it_plays(process)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    code, said = place.end(process)
    one_sentence(said, "the view ended (its reader has closed it); the pipeline continues")
    assert code == 0 and abs(place.recorded_s() - 4.0) < 0.1
    assert "track.wav" in (place.folder / "take" / "report.html").read_text()


@pytest.mark.parametrize("hangup", [True, False])
@pytest.mark.parametrize("view", [[], ["--no-view"]])
def test_a_closed_terminal_leaves_the_recording_and_the_report(place: Place, view: list[str], hangup: bool) -> None:
    """With SIGHUP, as a terminal window or a lost ssh session sends it, it ends as with q; after `nohup` it goes on."""
    master, slave = pty.openpty()
    sized(slave, 80, 24)

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if not hangup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = place.start(*view, "--duration", "6", stdin=slave, stdout=slave, stderr=slave, before=own_terminal)
    os.close(slave)
    playing = b"dBFS" if view else b"running"
    shown = b""
    while playing not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert process.wait(PATIENCE_S) == 0 and not leftovers(place.runtime)
    assert b"Traceback" not in shown
    assert "track.wav" in (place.folder / "take" / "report.html").read_text()
    assert place.recorded_s() > 0 if hangup else abs(place.recorded_s() - 6.0) < 0.1


@pytest.mark.parametrize(("view", "closed"), [([], (0, 1, 2)), (["--no-view"], (1,)), (["--offline"], (1,))])
def test_closed_streams_are_no_reason_to_fail(place: Place, view: list[str], closed: tuple[int, ...]) -> None:
    """As some job runners start a program: `>&-`."""
    process = place.start(*view, "--duration", "1", before=lambda: [os.close(fd) for fd in closed] and None)
    code, said = place.end(process)
    assert code == 0, said
    assert place.recorded_s() > 0.5


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (12, 3), (300, 2)])
def test_a_terminal_of_any_size_may_change_it_at_any_time(place: Place, columns: int, lines: int) -> None:
    master, slave = pty.openpty()
    sized(slave, 80, 24)
    process = place.start("--duration", "3", stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    shown = reading(master)
    for size in ((columns, lines), (80, 24), (columns, lines)):
        try:
            process.wait(0.7)
        except subprocess.TimeoutExpired:
            sized(master, *size)
            process.send_signal(signal.SIGWINCH)
    code, said = place.end(process)
    os.close(master)
    assert code == 0, said
    assert b"Traceback" not in b"".join(shown) and place.recorded_s() > 0.5


def sized(fd: int, columns: int, lines: int) -> None:
    """Tells a terminal its size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def reading(master: int) -> list[bytes]:
    """What a terminal is shown, read as it comes, so that nobody waits to write."""
    shown: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(master, 4096):
                shown.append(data)
        except OSError:
            return  # everybody has closed it

    threading.Thread(target=read, daemon=True).start()
    return shown
