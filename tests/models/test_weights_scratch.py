"""Folders of fetches: gone after a kill, never taken from a living fetch; bytes in them are counted beside pip."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from audio_pipeline.models.weights import scratch, sources

FETCH = """
import sys, time
from pathlib import Path
from audio_pipeline.models.weights import scratch
with scratch.folder(Path(sys.argv[1]), "some") as folder:
    (folder / "half.bin").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.read()
"""


def fetching(cache: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process in the middle of a fetch, and its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(cache)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_fetch_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    killed, living = fetching(tmp_path), fetching(tmp_path)
    try:
        killed[0].kill()
        killed[0].communicate()
        assert killed[1].is_dir(), "a killed process cannot clean up"
        scratch.sweep(tmp_path)
        assert not killed[1].exists()
        assert (living[1] / "half.bin").exists()
    finally:
        living[0].communicate()
    assert list(tmp_path.iterdir()) == [], "a fetch that ends removes its own"


def test_a_folder_that_a_sweep_takes_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, found = scratch._open, []

    def taken(path: Path) -> int | None:
        lock = opened(path)
        if not found:
            path.rmdir()  # as a sweep does before the lock is taken
        found.append(path)
        return lock

    monkeypatch.setattr(scratch, "_open", taken)
    with scratch.folder(tmp_path, "some") as folder:
        assert folder.is_dir()
    assert len(found) == 2


def test_bytes_are_counted_while_folders_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "kept.bin").write_bytes(bytes(1000))
    ended = threading.Event()

    def churn() -> None:
        while not ended.is_set():
            folder = tmp_path / "pip-unpack" / "wheel"
            folder.mkdir(parents=True)
            (folder / "part").write_bytes(bytes(10))
            (folder / "part").unlink()
            folder.rmdir()
            folder.parent.rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        assert all(1000 <= sources._folder_bytes(tmp_path) <= 1010 for _ in range(3000))
    finally:
        ended.set()
        thread.join()
