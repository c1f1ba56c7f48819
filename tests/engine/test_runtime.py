from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_pipeline.errors import PipelineError
from audio_pipeline.host import runtime
from tests.patience import PATIENCE_S

DEAD = 2**22 + 1  # above Linux's largest pid


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder with a path as short as on a real host."""
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder) / "audio-pipeline"


def orphan(home: Path, name: str = "old", pid: int = DEAD, started: float = 1.0) -> Path:
    """A folder whose owner is gone."""
    runtime.base_dir()
    folder = home / name
    folder.mkdir(mode=0o700)
    (folder / "lock").write_text(json.dumps({"pid": pid, "started": started}))
    (folder / "token").write_text("x")
    return folder


# -- folders -----------------------------------------------------------------------------------------


def test_folders_and_what_is_in_them_are_private(home: Path) -> None:
    before = os.umask(0)
    try:
        run = runtime.create("karaoke", "secret")
    finally:
        os.umask(before)
    assert run.path.parent == home and run.name.startswith(f"karaoke-{os.getpid()}-")
    assert [path.name for path in home.iterdir()] == [run.name]
    for path, mode in ((home, 0o700), (run.path, 0o700), (run.path / "lock", 0o600), (run.path / "token", 0o600)):
        assert path.stat().st_mode & 0o777 == mode, path
    assert run.token == "secret" and run.control == f"ipc://{run.path}/control"
    run.remove()
    assert not run.path.exists()


def test_without_a_runtime_folder_it_is_one_of_ones_own_below_tmp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path))  # type: ignore[attr-defined]
    assert runtime.base_dir() == tmp_path / f"audio-pipeline-{os.getuid()}"


def test_a_folder_that_others_may_enter_is_refused(home: Path) -> None:
    runtime.base_dir().chmod(0o750)
    with pytest.raises(PipelineError, match=r"audio-pipeline must be a folder of yours with mode 0700, .*; remove it"):
        runtime.create("x", "t")


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.base_dir()
    monkeypatch.setattr(os, "getuid", lambda: 12_345)
    with pytest.raises(PipelineError, match="must be a folder of yours"):
        runtime.base_dir()


@pytest.mark.parametrize("what", ["link", "file", "dangling"])
def test_what_is_no_folder_is_refused(home: Path, tmp_path: Path, what: str) -> None:
    if what == "file":
        home.write_text("", encoding="utf-8")
    else:
        target = tmp_path / "target"
        if what == "link":
            target.mkdir(mode=0o700)
        home.symlink_to(target)
    with pytest.raises(PipelineError, match="must be a folder of yours"):
        runtime.base_dir()


def test_where_no_folder_can_be_made_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(PipelineError, match="cannot be made .*set XDG_RUNTIME_DIR"):
        runtime.base_dir()


def test_endpoints_fit_a_socket_address_and_never_meet() -> None:
    """Names of 40 letters are legal in a file; the path of a Unix socket has 107 bytes."""
    run = runtime.create("a_pipeline_with_a_long_name", "t")
    names = [(node * 39 + last, port) for node in "ab" for last in "xy" for port in ("out", "o" * 40)]
    endpoints = {run.endpoint(node, port) for node, port in names}
    assert len(endpoints) == len(names)
    assert all(len(endpoint.removeprefix("ipc://")) <= 107 for endpoint in endpoints)
    assert run.endpoint("mix", "out") == f"ipc://{run.path}/mix.out"


@pytest.mark.parametrize("length", [30, 60, 70, 71, 80, 200])
def test_sockets_fit_below_any_folder_or_it_is_said_that_they_do_not(
    home: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    folder = home.parent / ("x" * (length - len(str(home)) - 1))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    try:
        run = runtime.create("a_pipeline_with_a_long_name", "t")
    except PipelineError as error:
        assert length > 70 and "is too long a path for sockets; set XDG_RUNTIME_DIR to a shorter one" in str(error)
    else:
        assert length <= 70 and len(run.endpoint("n" * 40, "o" * 40).removeprefix("ipc://")) <= 107


# -- sweeping ----------------------------------------------------------------------------------------


def test_what_dead_pipelines_left_is_swept_and_what_lives_is_not(home: Path) -> None:
    alive = runtime.create("alive", "t")
    old = orphan(home)
    assert runtime.sweep() == ["removed old"]
    assert not old.exists() and alive.path.exists()


def test_a_new_pipeline_sweeps(home: Path) -> None:
    old = orphan(home)
    runtime.create("new", "t")
    assert not old.exists()


def test_a_pid_that_was_given_to_another_process_is_not_the_owner(home: Path) -> None:
    old = orphan(home, pid=os.getpid(), started=1.0)
    assert not runtime.is_alive(old) and runtime.sweep() == ["removed old"]


def test_the_owner_is_known_whatever_the_wall_clock_says(home: Path) -> None:
    """A clock that is set on a host must not make a living pipeline look dead: its sockets would be swept."""
    run = runtime.create("alive", "t")
    started = json.loads((run.path / "lock").read_text())["started"]
    code = "import sys; from audio_pipeline.host.processes import started; print(started(int(sys.argv[1])))"
    told = subprocess.run([sys.executable, "-c", code, str(os.getpid())], capture_output=True, text=True, check=True)
    assert float(told.stdout) == started
    if sys.platform == "linux":
        assert started < 1e9, "ticks since boot, not seconds since 1970"


def test_a_folder_that_is_just_being_made_is_left_alone(home: Path) -> None:
    """Two pipelines start at once: one has its folder but not yet its lock when the other sweeps."""
    runtime.base_dir()
    young = home / "young"
    young.mkdir()
    assert runtime.sweep() == [] and young.exists() and runtime.running() == []
    os.utime(young, (0, 0))
    assert runtime.sweep() == ["removed young"]


def test_processes_that_a_dead_pipeline_left_are_ended_and_no_others(home: Path) -> None:
    old = orphan(home)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    runtime.RunDir(old).note_children({3: child.pid})
    with (old / "pids").open("a") as file:
        file.write(f"4 {other.pid} 12.5\n5 {DEAD} 1.0\ngarbage\n1\n6 -1 -1\n7 {other.pid} nan\n{other.pid} 1e999\n\n")
    try:
        assert runtime.sweep() == [f"ended leftover process {child.pid}", "removed old"]
        assert child.wait(PATIENCE_S) == -9 and other.poll() is None
    finally:
        for process in (child, other):
            process.kill()
            process.communicate()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_in_lock_and_pids_are_swept_without_a_crash(home: Path, lock: bytes, pids: bytes) -> None:
    old = orphan(home)
    assert not pids.startswith(b"%d " % os.getpid())
    (old / "lock").write_bytes(lock)
    (old / "pids").write_bytes(pids)
    assert runtime.sweep()[-1] == "removed old"


# -- life is held ------------------------------------------------------------------------------------

OWNER = """
import sys
from audio_pipeline.host import runtime
from tests.patience import PATIENCE_S
from tests.patience import PATIENCE_S
print(runtime.create("held", "t").path, flush=True)
sys.stdin.read()
"""


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that owns a folder until it is killed."""
    child = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child, Path(child.stdout.readline().strip())
    finally:
        child.kill()
        child.communicate()


def test_who_lives_is_seen_by_its_lock_whatever_the_ids_say(home: Path) -> None:
    """In another PID namespace the id in the lock is nobody's here, or somebody else's."""
    with owner() as (child, folder):
        (folder / "lock").write_text(json.dumps({"pid": DEAD, "started": 1.0}))
        assert runtime.is_alive(folder) and runtime.sweep() == []
        assert [run.path for run in runtime.running()] == [folder]
        child.kill()
        child.wait()
        assert not runtime.is_alive(folder) and runtime.sweep() == [f"removed {folder.name}"]


@pytest.mark.parametrize("lost", [["lock"], ["lock", "token"]])
def test_a_lock_file_that_something_removed_does_not_give_a_living_pipeline_away(home: Path, lost: list[str]) -> None:
    """`systemd-tmpfiles` removes what is old; the lock on the folder itself is still held."""
    with owner() as (_, folder):
        for name in lost:
            (folder / name).unlink()
        os.utime(folder, (0, 0))
        assert runtime.is_alive(folder) and runtime.sweep() == [] and folder.exists()


def test_a_folder_has_its_lock_when_it_gets_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no moment in which a sweep elsewhere sees half a lock, or none."""
    seen: list[tuple[str, bool]] = []
    rename = os.rename

    def look(source: Path, target: Path) -> None:
        assert runtime.running() == [] and runtime.sweep() == []
        seen.append((target.name.partition("-")[0], runtime.is_alive(source)))
        rename(source, target)

    monkeypatch.setattr(os, "rename", look)
    run = runtime.create("karaoke", "t")
    assert seen == [("karaoke", True)] and runtime.running() == [run]


def test_a_file_system_without_locks_is_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(PipelineError, match=r"is on a file system without locks \(No locks available\); set XDG_RUNT"):
        runtime.create("karaoke", "t")
    assert list(home.iterdir()) == [], "and nothing is left"
    assert runtime.is_alive(orphan(home)), "what could not be locked is not swept"


def test_ids_of_another_pid_namespace_are_not_taken_for_ours(home: Path) -> None:
    """A dead pipeline in a container noted the id of a child; here that id is another process."""
    old = orphan(home)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        runtime.RunDir(old).note_children({1: child.pid})
        (old / "lock").write_text(json.dumps({"pid": DEAD, "started": 1.0, "here": "elsewhere"}))
        assert runtime.sweep() == ["removed old"] and child.poll() is None
    finally:
        child.kill()
        child.communicate()


# -- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "a/b", "..", ".", "", "\0", "-x", "\ud800", "日本語", "ü" * 99]
)
def test_no_name_of_a_pipeline_is_a_path_or_too_long_a_one(home: Path, name: str) -> None:
    run = runtime.create(name, "t")
    assert run.path.parent == home and run.path.resolve() == home.resolve() / run.name and run.name.isascii()
    assert len(run.endpoint("n" * 40, "o" * 40).removeprefix("ipc://")) <= 107
    assert runtime.attach(name) == run


def test_a_folder_with_letters_of_several_bytes_counts_by_bytes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home.parent / ("ü" * 30)))
    with pytest.raises(PipelineError, match="is too long a path for sockets"):
        runtime.create("x", "t")


# -- attaching ---------------------------------------------------------------------------------------


def test_the_only_pipeline_is_found_by_itself_or_by_the_start_of_its_name() -> None:
    run = runtime.create("karaoke", "t")
    assert runtime.attach() == runtime.attach("kara") == runtime.attach(run.name) == run


def test_none_and_several_are_answered_with_their_names(home: Path) -> None:
    with pytest.raises(PipelineError, match="^no running pipeline; running: none$"):
        runtime.attach()
    orphan(home)
    first, second = runtime.create("karaoke", "t"), runtime.create("karaoke", "t")
    third = runtime.create("stems", "t")
    with pytest.raises(PipelineError, match=f"^several pipelines run, name one: .*{first.name}"):
        runtime.attach()
    with pytest.raises(PipelineError, match="^several pipelines run"):
        runtime.attach("karaoke")
    with pytest.raises(PipelineError, match=f"^no running pipeline called 'radio'; running: .*{third.name}"):
        runtime.attach("radio")
    assert runtime.attach("stems") == third and runtime.attach(second.name) == second
