"""A runtime folder that something takes away, in whole or in part."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from audio_pipeline.errors import PipelineError
from audio_pipeline.host import runtime
from audio_pipeline.host.keeper import EVERY_S, Keeper
from audio_pipeline.metrics import Board, Reading


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[runtime.RunDir]:
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        made = runtime.create("karaoke", "secret")
        yield made
        made.remove()


@pytest.fixture
def keeper(run: runtime.RunDir) -> Iterator[Keeper]:
    made = Keeper(run, "secret")
    yield made
    made.close()


@pytest.mark.parametrize("above", [False, True])
def test_a_lost_folder_is_made_again_with_lock_token_and_the_same_boards(
    run: runtime.RunDir, keeper: Keeper, above: bool
) -> None:
    path = run.path / "mix.0.board"
    board = Board(path)
    board.add("count.frames", 3)
    assert keeper.turn(0.0, [path]) == []
    shutil.rmtree(run.path.parent if above else run.path)
    assert len(keeper.turn(EVERY_S, [path])) == 2
    assert runtime.running() == [run] and run.token == "secret" and runtime.sweep() == []
    board.add("count.frames", 4)
    assert Reading(path)["count.frames"] == 7, "who opens it now sees what its process writes"
    assert path.parent.stat().st_mode & 0o777 == 0o700 and keeper.turn(2 * EVERY_S, [path]) == []
    board.close()


def test_a_lock_that_is_put_back_holds_the_folder_too(run: runtime.RunDir, keeper: Keeper) -> None:
    """That is what keeps `systemd-tmpfiles` out, also when it has taken the lock away once."""
    for turn in range(2):
        (run.path / "lock").unlink()
        keeper.turn(turn * EVERY_S, [])
        for path in (run.path, run.path / "lock"):
            number = os.open(path, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.close(number)


@pytest.mark.parametrize("name", ["lock", "token"])
def test_a_lost_file_is_put_back(run: runtime.RunDir, keeper: Keeper, name: str) -> None:
    (run.path / name).unlink()
    (said,) = keeper.turn(0.0, [])
    assert said.startswith(f"{name} was removed from") and (run.path / name).stat().st_mode & 0o777 == 0o600
    assert runtime.is_alive(run.path) and run.token == "secret"


def test_nothing_in_the_folder_looks_old(run: runtime.RunDir, keeper: Keeper) -> None:
    """Clean-ups go by the newest of a file's times."""
    (run.path / "sub.board").touch()
    paths = [run.path.parent, run.path, *run.path.iterdir()]
    for path in paths:
        os.utime(path, (0, 0))
    keeper.turn(0.0, [])
    assert all(path.stat().st_mtime > 0 and path.stat().st_atime > 0 for path in paths)


def test_files_that_are_not_wanted_any_more_are_let_go(run: runtime.RunDir, keeper: Keeper) -> None:
    """A hundred thousand boards come and go; descriptors do not add up."""
    before = len(os.listdir("/proc/self/fd"))
    for at in range(200):
        path = run.path / f"mix.{at}.board"
        path.touch()
        keeper.turn(at * EVERY_S, [path])
        path.unlink()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    keeper.turn(1e6, [])
    assert not list(run.path.glob("*.board"))


def test_a_full_disk_leaves_neither_descriptors_nor_an_empty_token(
    run: runtime.RunDir, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again four times a second, for as long as the disk is full."""
    with monkeypatch.context() as patched:
        patched.setattr(runtime, "write_whole", full)
        shutil.rmtree(run.path)
        before = len(os.listdir("/proc/self/fd"))
        for turn in range(5):
            said = keeper.turn(turn * EVERY_S, [])
            assert len(said) == (turn == 0)
        assert len(os.listdir("/proc/self/fd")) == before and not list(run.path.parent.iterdir())
    keeper.turn(5 * EVERY_S, [])
    assert run.token == "secret"


def test_a_token_is_there_whole_or_not_at_all(run: runtime.RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.path / runtime.TOKEN).unlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(PipelineError, match="No space left on device"):
            runtime.restore(run, "secret")
    assert not (run.path / runtime.TOKEN).exists()
    assert runtime.restore(run, "secret") == [runtime.TOKEN] and run.token == "secret"


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_where_the_folder_cannot_be_made_again_that_is_one_line(
    run: runtime.RunDir, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log-out takes /run/user/1000 away: what is connected plays on."""
    base = run.path.parent
    shutil.rmtree(base)
    base.write_text("not a folder")
    (said,) = keeper.turn(0.0, [])
    assert said.startswith("the runtime folder is lost (") and "plays on without it" in said
    assert keeper.turn(EVERY_S, []) == []
    base.unlink()
    assert len(keeper.turn(2 * EVERY_S, [])) == 1 and runtime.running() == [run]
