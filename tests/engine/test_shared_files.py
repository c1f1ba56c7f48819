"""Files that several processes change at once: every change is there afterwards, whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import zmq

from audio_pipeline.keys import FOLDER, Keys
from audio_pipeline.private_file import LOCK, create_private, locked, write_private

PROCESSES, ROUNDS = 4, 12

# Each process waits for the word, so that they work at once; it ends with what it could not do.
CHANGES = """
import sys
from audio_pipeline.keys import Keys
me, rounds, public = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
print("ready", flush=True)
sys.stdin.readline()
for number, key in enumerate(public):
    Keys().allow(f"{me}-{number}", key, "listen")
    if number % 2:
        Keys().remove(f"{me}-{number}")
        assert f"{me}-{number}" not in Keys().known, "what was removed is there"
    Keys().new(f"{me}-{number}")
"""


def start(program: str, *args: str, folder: Path) -> subprocess.Popen[str]:
    env = os.environ | {FOLDER: str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )


def together(running: list[subprocess.Popen[str]]) -> list[int]:
    """Lets them go once all are ready; their exit codes."""
    for process in running:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    codes = [process.wait() for process in running]
    for process in running:
        process.communicate()
    return codes


def test_keys_that_are_allowed_and_removed_at_once_are_all_as_they_were_left(tmp_path: Path) -> None:
    """No removed key is back and no allowed one is gone, though every process reads, changes and writes one file."""
    public = [[zmq.curve_keypair()[0].decode() for _ in range(ROUNDS)] for _ in range(PROCESSES)]
    running = [start(CHANGES, str(me), str(ROUNDS), *keys, folder=tmp_path) for me, keys in enumerate(public)]
    assert together(running) == [0] * PROCESSES
    held = Keys(tmp_path)
    expected = {f"{me}-{n}": public[me][n] for me in range(PROCESSES) for n in range(0, ROUNDS, 2)}
    assert {name: known.public for name, known in held.known.items()} == expected
    assert set(held.own) == {f"{me}-{n}" for me in range(PROCESSES) for n in range(ROUNDS)}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        "own.json": 0o600,
        "known.json": 0o600,
        LOCK: 0o600,
    }


def test_an_old_view_does_not_bring_a_removed_key_back(tmp_path: Path) -> None:
    first, second = (zmq.curve_keypair()[0].decode() for _ in range(2))
    Keys(tmp_path).allow("gone", first, "control")
    old = Keys(tmp_path)
    Keys(tmp_path).remove("gone")
    old.allow("other", second, "listen")
    assert set(Keys(tmp_path).known) == set(old.known) == {"other"}


def test_a_change_waits_for_the_one_before_it(tmp_path: Path) -> None:
    order: list[str] = []
    with locked(tmp_path):
        waiting = threading.Thread(target=_note, args=(tmp_path, order))
        waiting.start()
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def _note(folder: Path, order: list[str]) -> None:
    with locked(folder):
        order.append("second")


def test_a_holder_that_stands_still_hangs_nobody(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(TimeoutError, match="another process has held .*lock for 0 s"):
        with locked(tmp_path, patience_s=0):
            pass
    with locked(tmp_path, patience_s=0):
        pass  # free again


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_of_two_that_create_a_file_one_does(tmp_path: Path) -> None:
    create_private(tmp_path / "token", b"first")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "token", b"second")
    assert (tmp_path / "token").read_bytes() == b"first"
    write_private(tmp_path / "token", b"third")
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


TOKEN = """
import sys
from pathlib import Path
from audio_pipeline.observe.exporter import the_token
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    Path(sys.argv[1], f"{number}.seen.{sys.argv[2]}").write_text(the_token(Path(sys.argv[1], f"{number}.token")))
"""


def test_exporters_that_start_at_once_have_one_token(tmp_path: Path) -> None:
    """A token that another process is making is seen whole."""
    running = [start(TOKEN, str(tmp_path), str(me), folder=tmp_path) for me in range(3)]
    assert together(running) == [0] * 3
    for number in range(40):
        assert len({(tmp_path / f"{number}.seen.{me}").read_text() for me in range(3)}) == 1
