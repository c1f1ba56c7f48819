"""Socket files that somebody takes, with real sockets."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from audio_pipeline.links.socket_guard import EVERY_S, SocketGuard

held: list[zmq.Socket[bytes]] = []


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made: zmq.Context[Any] = zmq.Context()
    held.clear()
    yield made
    made.destroy(linger=0)


def bind(context: zmq.Context[Any], path: Path) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    socket.bind(f"ipc://{path}")
    held.append(socket)  # or it would be closed, and its file removed
    return socket


def test_a_second_bind_steals_without_a_word_and_is_noticed(tmp_path: Path, context: zmq.Context[Any]) -> None:
    bind(context, tmp_path / "control")
    bind(context, tmp_path / "mix.out")
    bind(context, tmp_path / "mix.direct_song")
    bind(context, tmp_path / "song.out")
    guard = SocketGuard(tmp_path, "control")
    owners = {"mix": 10, "song": 11}
    assert guard.turn(0.0, owners) == {} and not guard.control_taken
    bind(context, tmp_path / "mix.out")  # nobody is told
    assert guard.turn(EVERY_S / 2, owners) == {}, "it looks once a second"
    assert guard.turn(EVERY_S, owners) == {"mix": "mix.out"}
    assert guard.turn(2 * EVERY_S, owners) == {}, "once is enough"


def test_a_successor_that_binds_anew_is_no_thief(tmp_path: Path, context: zmq.Context[Any]) -> None:
    bind(context, tmp_path / "mix.out")
    guard = SocketGuard(tmp_path, "control")
    guard.turn(0.0, {"mix": 10})
    bind(context, tmp_path / "mix.out")
    assert guard.turn(EVERY_S, {}) == {}, "between the two nobody owns it"
    assert guard.turn(2 * EVERY_S, {"mix": 12}) == {}


def test_a_socket_that_is_removed_is_bound_again_by_its_owner(tmp_path: Path, context: zmq.Context[Any]) -> None:
    bind(context, tmp_path / "mix.out")
    guard = SocketGuard(tmp_path, "control")
    guard.turn(0.0, {"mix": 10})
    (tmp_path / "mix.out").unlink()
    assert guard.turn(EVERY_S, {"mix": 10}) == {}, "nobody needs to be restarted"
    bind(context, tmp_path / "mix.out")
    assert guard.turn(2 * EVERY_S, {"mix": 10}) == {}
    (tmp_path / "mix.out").unlink()
    guard.expect("mix")
    bind(context, tmp_path / "mix.out")
    assert guard.turn(3 * EVERY_S, {"mix": 10}) == {}, "removed and bound again between two looks"


def test_a_folder_that_cannot_be_looked_into_accuses_nobody(
    tmp_path: Path, context: zmq.Context[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a descriptor nothing is seen: every node was restarted for that."""

    def refuse(folder: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    bind(context, tmp_path / "mix.out")
    bind(context, tmp_path / "control")
    guard = SocketGuard(tmp_path, "control")
    guard.turn(0.0, {"mix": 10})
    monkeypatch.setattr(os, "scandir", refuse)
    assert guard.turn(EVERY_S, {"mix": 10}) == {} and not guard.control_taken


def test_a_file_that_goes_meanwhile_accuses_nobody(
    tmp_path: Path, context: zmq.Context[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scratch file, or the socket of a tap that leaves: the others are there all the same."""
    for name in ("control", "mix.out", "a.scratch", "z.scratch"):
        bind(context, tmp_path / name)
    guard = SocketGuard(tmp_path, "control")
    look = os.scandir

    @contextmanager
    def racing(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        with look(folder) as entries:
            yield (entry for entry in gone_between(list(entries)))

    def gone_between(entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        for entry in entries:
            if entry.name.endswith(".scratch"):
                os.unlink(entry.path)
        return sorted(entries, key=lambda entry: entry.name)

    monkeypatch.setattr(os, "scandir", racing)
    assert guard.turn(0.0, {"mix": 10}) == {} and not guard.control_taken


def test_the_control_socket_is_watched_as_well(tmp_path: Path, context: zmq.Context[Any]) -> None:
    bind(context, tmp_path / "control")
    guard = SocketGuard(tmp_path, "control")
    bind(context, tmp_path / "control")
    guard.turn(0.0, {})
    assert guard.control_taken
    guard.took_back()
    guard.turn(EVERY_S, {})
    assert not guard.control_taken


def test_a_folder_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    assert SocketGuard(tmp_path / "gone", "control").turn(0.0, {"mix": 1}) == {}
