"""The disk's thread: nothing waits for a slow disk, its queue has a bound, and what it refuses is stated."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import PipelineError
from audio_pipeline.files.disk import ITEM_BYTES, Disk
from audio_pipeline.files.recording import Block, Recording
from audio_pipeline.files.segments import Segments
from audio_pipeline.files.sidecar import read_tracks
from audio_pipeline.files.take import Take
from audio_pipeline.files.wav import WavWriter
from audio_pipeline.frame import Flag, audio_frame
from audio_pipeline.nodes.recorder import Recorder, Settings
from tests.nodes.fake import FakeContext, noise
from tests.nodes.test_recorder import RATE, feed, finish, kill, recorder, settle, sidecar

FRAME = 480


class Gate:
    """A disk that does not answer while it is shut."""

    def __init__(self) -> None:
        self.opened, self.reached = threading.Event(), threading.Event()
        self.opened.set()

    def shut(self) -> None:
        self.opened.clear()
        self.reached.clear()

    def __call__(self) -> None:
        self.reached.set()
        self.opened.wait()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Stands before each write of sound."""
    gate, real = Gate(), os.pwrite

    def pwrite(fd: int, data: bytes, at: int) -> int:
        gate()
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    yield gate
    gate.opened.set()


class Nothing:
    """Files that need nothing."""

    def flush(self) -> None:
        """All is there."""

    def tick(self) -> None:
        """Nothing is due."""


def test_what_waits_is_bounded_in_bytes_and_in_seconds() -> None:
    gate, now, done = Gate(), [0.0], []
    disk = Disk(Nothing(), "test", max_bytes=4 * (100 + ITEM_BYTES), max_s=10, clock=lambda: now[0])
    gate.shut()
    assert disk.offer(gate, 100)
    gate.reached.wait()
    assert [disk.offer(lambda i=i: done.append(i), 100) for i in range(5)] == [True] * 3 + [False] * 2  # type: ignore[misc]
    disk.submit(lambda: done.append("must"))
    now[0] = 11.0
    assert disk.age_s == 11.0
    assert not disk.offer(lambda: done.append("late"), 0)
    gate.opened.set()
    disk.wait()
    assert done == [0, 1, 2, "must"] and disk.held_bytes == 0 and disk.age_s == 0
    assert disk.offer(lambda: done.append("again"), 100)
    disk.close()
    assert done[-1] == "again"


def test_one_block_is_taken_however_large() -> None:
    disk, done = Disk(Nothing(), "test", max_bytes=10), []
    assert disk.offer(lambda: done.append(1), 1_000)
    disk.close()
    assert done == [1]


def test_a_disk_that_does_not_answer_holds_up_no_turn_and_loses_nothing(tmp_path: Path, gate: Gate) -> None:
    ctx, x = FakeContext(folder=str(tmp_path)), noise(RATE)
    node = recorder(ctx, "a", "b")
    gate.shut()
    for at in range(0, RATE, FRAME):  # each turn comes back, or this would never end
        frame = audio_frame(x[at : at + FRAME], at, RATE)
        node.process({"a": frame, "b": frame}, ctx)
    gate.reached.wait()
    assert node.busy and ctx.gauges["unwritten_bytes"] > 0
    ctx.gauges["unwritten_bytes"] = 0
    node.flush(ctx)
    assert node.busy and ctx.gauges["unwritten_bytes"] > 0  # its END waits, and so does that of the pipeline
    gate.opened.set()
    settle(node, ctx)
    assert not node.busy and ctx.gauges["unwritten_bytes"] == 0
    node.close()
    for name in "ab":
        assert np.array_equal(soundfile.read(tmp_path / f"{name}.wav", dtype="float32")[0], x)
        assert sidecar(tmp_path)[name]["gaps"] == []


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_finds_no_room_is_counted_and_a_stated_hole(tmp_path: Path, gate: Gate, goes_on: bool) -> None:
    """Also where the stream ends before the disk answers."""
    ctx, x = FakeContext(folder=str(tmp_path)), noise(100 * FRAME)
    node = recorder(ctx, "a")
    node._disk._max_bytes = 20 * (8 * FRAME + ITEM_BYTES)
    gate.shut()
    node.process({"a": audio_frame(x[:FRAME], 0, RATE)}, ctx)
    gate.reached.wait()
    for at in range(FRAME, 50 * FRAME, FRAME):
        node.process({"a": audio_frame(x[at : at + FRAME], at, RATE)}, ctx)
    gate.opened.set()
    settle(node, ctx)
    end = 50 * FRAME
    node._disk._max_bytes = 1 << 20
    if goes_on:
        feed(node, ctx, x[end:], end)
        end = len(x)
    finish(node, ctx)
    assert ctx.counters["overflow_samples"] == 30 * FRAME
    assert sidecar(tmp_path)["a"]["gaps"] == [{"at": 20 * FRAME, "samples": 30 * FRAME}]
    x[20 * FRAME : 50 * FRAME] = 0
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], x[:end])


@pytest.mark.parametrize("stays", [True, False])
def test_what_waits_when_the_recorder_is_killed_is_a_stated_hole(tmp_path: Path, gate: Gate, stays: bool) -> None:
    """Also of an input that was just taken away: how far it came is known outside of the process."""
    first, x = FakeContext(folder=str(tmp_path)), noise(60 * FRAME)
    dead = recorder(first, "a")
    feed(dead, first, x[: 10 * FRAME])
    gate.shut()
    for at in range(10 * FRAME, 30 * FRAME, FRAME):
        dead.process({"a": audio_frame(x[at : at + FRAME], at, RATE)}, first)
        gate.reached.wait()  # in the first; the others wait behind it
    if not stays:
        dead.input_settings = {}
        dead.on_inputs(first)
    state = dead.snapshot()
    dead._disk._killed = True
    gate.opened.set()
    kill(dead)

    second = FakeContext(folder=str(tmp_path), incarnation=1)
    node = Recorder(Settings())
    node.restore(state)
    node.input_settings = {"a": None} if stays else {}
    node.open(second)
    end = 30 * FRAME
    if stays:
        feed(node, second, x[40 * FRAME :], 40 * FRAME)  # its producer remembers no more
        end = len(x)
    finish(node, second)
    true = np.ones(end, bool)
    for span in sidecar(tmp_path)["a"]["gaps"]:  # type: ignore[attr-defined]
        true[span["at"] : span["at"] + span["samples"]] = False
    recorded = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    assert len(recorded) == end and np.array_equal(recorded[true], x[:end][true])
    assert 10 * FRAME <= true.sum() < end


def test_it_is_said_once_that_the_disk_is_slow_and_once_that_it_is_not(tmp_path: Path, gate: Gate) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a")
    now = [0.0]
    node._disk._clock = lambda: now[0]
    gate.shut()
    node.process({"a": audio_frame(noise(FRAME), 0, RATE)}, ctx)
    gate.reached.wait()
    for now[0] in (1.0, 3.0, 30.0):
        node.poll(ctx)
    gate.opened.set()
    settle(node, ctx)
    node.poll(ctx)
    finish(node, ctx)
    assert len(ctx.logs) == 2
    assert "has not answered for 3 s; sound waits in memory" in ctx.logs[0] and "answers again" in ctx.logs[1]


def test_offline_a_slow_disk_is_waited_for(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(folder=str(tmp_path), live=False), noise(20 * FRAME)
    node = recorder(ctx, "a")
    monkeypatch.setattr("audio_pipeline.nodes.recorder.OFFLINE_BYTES", 2 * (8 * FRAME + ITEM_BYTES))
    monkeypatch.setattr("audio_pipeline.files.disk.POLL_S", 0.001)
    monkeypatch.setattr(ctx, "alive", gate.opened.set)  # it says that it lives while it waits
    gate.shut()
    feed(node, ctx, x)
    finish(node, ctx)
    assert gate.opened.is_set() and not ctx.counters["overflow_samples"]
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], x)


def test_frames_that_wait_are_one_write(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes 50 ms for a write could not keep up with a hundred frames a second one by one."""
    ctx, x = FakeContext(folder=str(tmp_path)), noise(100 * FRAME)
    node = recorder(ctx, "a")
    gate.shut()
    node.process({"a": audio_frame(x[:FRAME], 0, RATE)}, ctx)
    gate.reached.wait()
    for at in range(FRAME, len(x), FRAME):
        node.process({"a": audio_frame(x[at : at + FRAME], at, RATE)}, ctx)
    counted, real = [], os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: (counted.append(at), real(fd, data, at))[1])
    gate.opened.set()
    settle(node, ctx)
    assert len([at for at in counted if at > 0]) <= 2
    finish(node, ctx)
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], x)


def test_a_hole_costs_neither_time_nor_space(tmp_path: Path) -> None:
    """Nine minutes are 207 MB of float32; the file system holds what was written, and the rest of a second."""
    ctx, hole = FakeContext(folder=str(tmp_path)), 9 * 60 * RATE
    node = recorder(ctx, "a")
    written: list[int] = []
    feed(node, ctx, noise(FRAME))
    writer = node._take.tracks["a"].writer
    writer._keep = lambda data, keep=writer._keep: (written.append(len(data)), keep(data))[1]  # type: ignore[method-assign]
    feed(node, ctx, noise(FRAME), FRAME + hole)
    finish(node, ctx)
    file = tmp_path / "a.wav"
    assert sum(written) == 8 * FRAME
    assert file.stat().st_size == 92 + 8 * (2 * FRAME + hole)
    assert file.stat().st_blocks * 512 < 1 << 20
    assert soundfile.info(file).frames == 2 * FRAME + hole
    assert json.loads((tmp_path / "take.json").read_text())["tracks"]["a"]["gaps"] == [{"at": FRAME, "samples": hole}]


def test_files_are_synced_by_the_clock_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk takes for one file, what came for the others meanwhile is written before the next one."""
    now, synced = [10.0], []

    def sync(writer: WavWriter) -> None:
        synced.append(writer.path.stem)
        now[0] += 30.0
        real(writer)

    real = WavWriter.sync
    take = Take(tmp_path, "float32", run="run")
    take.begin(["a", "b"])
    recording = Recording(take, None, tmp_path / "events.jsonl", clock=lambda: now[0])
    for name in "ab":
        recording.put(Block(name, 0, noise(FRAME), RATE, 2))
    recording.flush()
    monkeypatch.setattr(WavWriter, "sync", sync)
    assert recording.tick() == 0.0
    assert synced == ["a"]
    assert recording.tick() == 0.0
    assert synced == ["a", "b"]
    assert recording.tick() is None  # nothing new
    recording.put(Block("a", FRAME, noise(FRAME), RATE, 2))
    recording.flush()
    assert recording.tick() == 0.0 and synced == ["a", "b", "a"]
    recording.close()
    take.close()


def test_a_track_that_the_disk_refuses_has_its_name_before_the_error_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline the error ends the run, and with it the process that would rename the file."""
    recording = Recording(Take(tmp_path, "float32"), None, tmp_path / "events.jsonl")
    recording.put(Block("track", 0, np.zeros((10, 1), np.float32), 48_000, 1, 0, ""))
    known: list[int] = []
    finish = recording.take.finish

    def finished(name: str, end: int | None = None) -> object:
        known.append(len(recording.notices))
        return finish(name, end)

    monkeypatch.setattr(recording.take, "finish", finished)
    recording._fail("track", PipelineError("recording track.wav: File too large"), 10)
    assert known == [0] and [notice.kind for notice in recording.notices] == ["error"]
    assert (tmp_path / "track.wav").exists()


@pytest.mark.parametrize("refused_at", ["sound", "journal"])
def test_a_track_that_ends_while_the_disk_refuses_its_rest_keeps_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused_at: str
) -> None:
    """Put and finished in one batch: the disk says no when the file is closed, not when it is written."""
    take = Take(tmp_path, "float32", run="run")
    recording = Recording(take, None, tmp_path / "events.jsonl")
    recording.put(Block("a", 0, noise(FRAME), RATE, 2))
    recording.flush()
    recording.put(Block("a", 2 * FRAME, noise(FRAME), RATE, 2))
    refuse_beyond(8 * 2 * FRAME, monkeypatch)
    if refused_at == "journal":
        monkeypatch.setattr(take._sidecar, "flush", lambda: refuse("take.json"))
    recording.finish("a", 4 * FRAME)
    kinds = [notice.kind for notice in recording.notices]
    info = read_tracks(tmp_path / "take.json")["a"]
    recorded = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    take.close()
    assert kinds == ["counted", "error"] and not list(tmp_path.glob("*.part"))
    assert len(recorded) == info.samples == FRAME and info.finished and info.gaps == []
    assert np.array_equal(recorded, noise(FRAME))


def test_a_segment_that_the_disk_refuses_leaves_the_others_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments(tmp_path, "float32")
    for name in "ab":
        segments.put(name, audio_frame(noise(FRAME), 0, RATE, flags=Flag.SEGMENT_START))
    real = WavWriter.close

    def close(writer: WavWriter) -> Path:
        path = real(writer)
        return refuse(path.name) if "0001" in path.name else path

    monkeypatch.setattr(WavWriter, "close", close)
    with pytest.raises(PipelineError, match="0001"):
        segments.close()
    assert len(list(tmp_path.glob("segment_*.wav"))) == 2 and not list(tmp_path.glob("*.part"))


def refuse(name: str) -> Path:
    """As a full disk does."""
    raise PipelineError(f"recording {name}: File too large")


def refuse_beyond(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may grow beyond `size` bytes, as where the disk is full; half a block may fit."""
    real = os.pwrite

    def pwrite(fd: int, data: memoryview, at: int) -> int:
        if at >= size:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return real(fd, data[: size - at], at)

    monkeypatch.setattr(os, "pwrite", pwrite)
