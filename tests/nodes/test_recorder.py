import errno
import json
import os
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import PipelineError
from audio_pipeline.frame import Flag, Samples, audio_frame, gap_frame
from audio_pipeline.nodes.recorder import NODE, Recorder, Settings
from tests.nodes.fake import FakeContext, noise
from tests.nodes.inline_disk import InlineDisk

RATE, FRAME = 48_000, 480
BOTH = Flag.SEGMENT_START | Flag.SEGMENT_END


def recorder(ctx: FakeContext, *inputs: str, **settings: Any) -> Recorder:
    node = NODE(Settings(**settings))
    node.input_settings = dict.fromkeys(inputs)
    node.open(ctx)
    return node


def feed(node: Recorder, ctx: FakeContext, x: Samples, position: int = 0, name: str = "a") -> None:
    for start in range(0, len(x), FRAME):
        frame = audio_frame(x[start : start + FRAME], position + start, RATE)
        node.process({name: frame}, ctx)
    settle(node, ctx)


def settle(node: Recorder, ctx: FakeContext) -> None:
    """Until everything that was given to the node is done."""
    node._disk.wait()
    node.poll(ctx)


def finish(node: Recorder, ctx: FakeContext) -> None:
    node.flush(ctx)
    settle(node, ctx)
    node.close()


def another_run(folder: Path, name: str = "another run") -> FakeContext:
    ctx = FakeContext(folder=str(folder))
    ctx.run_folder = name
    return ctx


def kill(node: Recorder) -> None:
    """What the system does when the process is killed: nothing of the program runs, files and locks are let go."""
    node._disk.kill()
    for track in node._take.tracks.values():
        os.close(track.writer._fd)
    for writing in node._recording.segments._open.values() if node._recording.segments else ():
        os.close(writing.writer._fd)
    os.close(node._take._lock._fd)


def read(path: Path) -> Samples:
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return np.asarray(x, np.float32)


def sidecar(folder: Path) -> dict[str, dict[str, object]]:
    tracks: dict[str, dict[str, object]] = json.loads((folder / "take.json").read_text())["tracks"]
    return tracks


def test_every_input_becomes_a_file_of_its_name(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "vocals", "band", subtype="float32")
    v, b = noise(RATE, seed=1), noise(RATE, 1, seed=2)
    feed(node, ctx, v, name="vocals")
    feed(node, ctx, b, name="band")
    finish(node, ctx)
    assert np.array_equal(read(tmp_path / "vocals.wav"), v)
    assert np.array_equal(read(tmp_path / "band.wav"), b)
    assert {event.data["track"] for event in ctx.events if event.kind == "saved"} == {"vocals", "band"}


def test_pcm_is_read_by_the_standard_library_while_it_is_written(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a", subtype="pcm24")
    feed(node, ctx, noise(RATE))
    node._disk.submit(node._take.tracks["a"].writer.sync)  # as the clock does once a second
    settle(node, ctx)
    with wave.open(str(tmp_path / "a.wav.part")) as unfinished:  # while it is being written
        assert unfinished.getnframes() == RATE
    finish(node, ctx)
    with wave.open(str(tmp_path / "a.wav")) as finished:
        assert (finished.getnframes(), finished.getsampwidth()) == (RATE, 3)


def test_holes_are_silence_and_listed(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a", subtype="float32")
    x = noise(9_600)
    feed(node, ctx, x[:4_800])
    feed(node, ctx, x[6_240:], 6_240)
    finish(node, ctx)
    expected = x.copy()
    expected[4_800:6_240] = 0
    assert np.array_equal(read(tmp_path / "a.wav"), expected)
    assert sidecar(tmp_path)["a"]["gaps"] == [{"at": 4_800, "samples": 1_440}]
    assert ctx.counters["filled_samples"] == 1_440


def test_gap_frames_are_listed_as_one_span(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a")
    feed(node, ctx, noise(FRAME))
    for position in (480, 960):
        node.process({"a": gap_frame(FRAME, position, RATE, 2)}, ctx)
    node.process({"a": gap_frame(0, 1_440, RATE, 2)}, ctx)  # idle: nothing to write
    finish(node, ctx)
    assert len(read(tmp_path / "a.wav")) == 3 * FRAME
    assert sidecar(tmp_path)["a"]["gaps"] == [{"at": 480, "samples": 960}]


def test_what_comes_twice_is_written_once(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a", subtype="float32")
    x = noise(4_800)
    feed(node, ctx, x[:2_400])
    feed(node, ctx, x[960:], 960)  # replayed from 960 on
    finish(node, ctx)
    assert np.array_equal(read(tmp_path / "a.wav"), x)


def test_tracks_that_begin_apart_line_up(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "early", "late", subtype="float32")
    feed(node, ctx, noise(4_800), 4_800, "late")  # the low-latency branch arrives first
    feed(node, ctx, noise(4_800), 0, "early")
    finish(node, ctx)
    assert sidecar(tmp_path)["late"]["base_position"] == sidecar(tmp_path)["early"]["base_position"] == 0
    assert not read(tmp_path / "late.wav")[:4_800].any()


def test_a_recorder_that_joins_after_an_hour_starts_at_its_first_frame(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a")
    feed(node, ctx, noise(4_800), 3_600 * RATE)
    finish(node, ctx)
    assert len(read(tmp_path / "a.wav")) == 4_800
    assert sidecar(tmp_path)["a"]["base_position"] == 3_600 * RATE


def test_an_absurd_jump_does_not_fill_the_disk(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a")
    feed(node, ctx, noise(FRAME))
    feed(node, ctx, noise(FRAME), 10**15)
    feed(node, ctx, noise(FRAME), 10**15 + FRAME)
    finish(node, ctx)
    assert len(read(tmp_path / "a.wav")) == 3 * FRAME
    assert sidecar(tmp_path)["a"]["jumps"] == [{"at": FRAME, "samples": 10**15 - FRAME}]


def test_a_restart_goes_on_where_the_dead_one_was_cut_off(tmp_path: Path) -> None:
    x = noise(2 * RATE)
    first = FakeContext(folder=str(tmp_path))
    dead = recorder(first, "a", subtype="float32")
    feed(dead, first, x[:RATE], 960)
    kill(dead)

    second = FakeContext(folder=str(tmp_path), incarnation=1)
    node = recorder(second, "a", subtype="float32")
    resume = node.resume_position("a")
    assert resume == 960 + RATE
    assert node.resume_position("b") is None
    feed(node, second, x[RATE - 480 :], 960 + RATE - 480)  # the engine replays a little more
    finish(node, second)
    recorded = read(tmp_path / "a.wav")
    assert np.array_equal(recorded[960:], x)  # the base is 0: 20 ms of silence, then everything
    assert sidecar(tmp_path)["a"]["gaps"] == [{"at": 0, "samples": 960}]


def test_no_silence_is_unstated_whenever_the_recorder_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at each of its writes in turn: what follows lists every sample that is not the stream's own."""
    monkeypatch.setattr("audio_pipeline.nodes.recorder.Disk", InlineDisk)
    x, real = noise(9_600), os.pwrite
    for fatal in range(2, 12):
        folder = tmp_path / str(fatal)
        first = FakeContext(folder=str(folder))
        dead, writes = recorder(first, "a", subtype="float32"), [0]

        def pwrite(fd: int, data: bytes, offset: int, fatal: int = fatal, writes: list[int] = writes) -> int:
            writes[0] += 1
            if writes[0] == fatal:
                raise KeyboardInterrupt  # nothing of the program runs after this, as with a kill
            return real(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", pwrite)
        with suppress(KeyboardInterrupt):
            feed(dead, first, x[:1_920])
            feed(dead, first, x[4_800:6_720], 4_800)  # a hole
            dead.process({"a": audio_frame(x[6_720:7_200], 6_720, RATE, flags=Flag.CONCEALED)}, first)
        monkeypatch.setattr(os, "pwrite", real)
        kill(dead)
        second = FakeContext(folder=str(folder), incarnation=1)
        node = recorder(second, "a", subtype="float32")
        resumed = node.resume_position("a") or 0
        feed(node, second, x[max(resumed, 4_800) : 6_720], max(resumed, 4_800))
        feed(node, second, x[7_200:], 7_200)
        finish(node, second)
        recorded, info = read(folder / "a.wav"), sidecar(folder)["a"]
        true = np.ones(len(x), bool)
        for span in [*info["gaps"], *info["concealed"]]:  # type: ignore[misc]
            true[span["at"] : span["at"] + span["samples"]] = False  # type: ignore[index]
        assert np.array_equal(recorded[true], x[true]), f"killed at write {fatal}"
        assert true.sum() >= 4_320
        assert not list(folder.glob(".take*"))


def test_what_stands_in_for_lost_sound_is_listed(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a")
    feed(node, ctx, noise(FRAME))
    for position in (480, 960):
        node.process({"a": audio_frame(noise(FRAME), position, RATE, flags=Flag.CONCEALED)}, ctx)
    feed(node, ctx, noise(FRAME), 1_440)
    finish(node, ctx)
    assert sidecar(tmp_path)["a"]["concealed"] == [{"at": 480, "samples": 960}]
    assert sidecar(tmp_path)["a"]["gaps"] == []


def test_an_unfinished_recording_of_an_earlier_run_is_kept(tmp_path: Path) -> None:
    first = FakeContext(folder=str(tmp_path))
    dead = recorder(first, "a")
    feed(dead, first, noise(RATE))
    kill(dead)
    ctx = another_run(tmp_path)
    node = recorder(ctx, "a")
    feed(node, ctx, noise(FRAME))
    finish(node, ctx)
    assert len(read(tmp_path / "a-rescued-1.wav")) == RATE
    assert len(read(tmp_path / "a.wav")) == FRAME
    assert "a-rescued-1.wav" in ctx.logs[0]


def test_a_finished_recording_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    for number, overwrite in enumerate((False, True)):
        ctx = another_run(tmp_path, str(number))
        node = recorder(ctx, "a", overwrite=overwrite)
        feed(node, ctx, noise(FRAME))
        finish(node, ctx)
    with pytest.raises(PipelineError, match=r"a\.wav: it exists already; set overwrite or another folder"):
        recorder(another_run(tmp_path), "a")
    assert not list(tmp_path.glob(".take*"))  # whoever is refused leaves no lock


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"recording folder .*/file/take: Not a directory"):
        recorder(FakeContext(), "a", folder=str(tmp_path / "file" / "take"))


def test_a_full_disk_ends_one_track_with_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "a", "b", subtype="float32")
    feed(node, ctx, noise(4_800), name="a")
    feed(node, ctx, noise(4_800), name="b")
    full, real = node._take.tracks["a"].writer._fd, os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if fd == full and offset > 1_000:  # the header has its place already
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    feed(node, ctx, noise(4_800), 4_800, "a")
    feed(node, ctx, noise(4_800), 4_800, "b")
    finish(node, ctx)
    errors = [event for event in ctx.events if event.kind == "error"]
    assert len(errors) == 1
    assert "a.wav: No space left on device" in errors[0].data["message"]
    assert len(read(tmp_path / "a.wav")) == 4_800
    assert len(read(tmp_path / "b.wav")) == 9_600


def test_offline_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = FakeContext(folder=str(tmp_path), live=False)
    node = recorder(ctx, "a")
    feed(node, ctx, noise(4_800))

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(PipelineError, match=r"a\.wav: No space left on device"):
        feed(node, ctx, noise(4_800), 4_800)
    monkeypatch.undo()
    node.close()


def test_events_become_lines(tmp_path: Path) -> None:
    ctx = FakeContext(folder=str(tmp_path))
    node = recorder(ctx, "speech")
    node.on_event("speech", {"kind": "segment", "start": 0, "end": 4_800}, 4_800, ctx)
    node.on_event("speech", {"kind": "segment", "start": 9_600, "end": 48_000}, 48_000, ctx)
    settle(node, ctx)
    node.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert lines[1] == {
        "input": "speech",
        "position": 48_000,
        "s": 1.0,
        "kind": "segment",
        "start": 9_600,
        "end": 48_000,
    }


def test_segments_are_cut_where_frames_are_flagged(tmp_path: Path) -> None:
    ctx, x = FakeContext(folder=str(tmp_path)), noise(100 * FRAME)
    node = recorder(ctx, "a", subtype="float32", segments=True)
    flags = {10: Flag.SEGMENT_START, 19: Flag.SEGMENT_END, 30: BOTH, 95: Flag.SEGMENT_START}
    for i in range(100):
        data = x[i * FRAME : (i + 1) * FRAME]
        node.process({"a": audio_frame(data, i * FRAME, RATE, flags=flags.get(i, Flag.NONE))}, ctx)
    finish(node, ctx)
    names = sorted(path.name for path in tmp_path.glob("*.wav"))
    assert names == ["segment_0001_0.10s.wav", "segment_0002_0.30s.wav", "segment_0003_0.95s.wav"]
    assert np.array_equal(read(tmp_path / names[0]), x[10 * FRAME : 20 * FRAME])
    assert np.array_equal(read(tmp_path / names[1]), x[30 * FRAME : 31 * FRAME])
    assert np.array_equal(read(tmp_path / names[2]), x[95 * FRAME :])  # the end of the stream ends it
    spans = [(event.data["start"], event.data["end"]) for event in ctx.events if event.kind == "segment"]
    assert spans == [(4_800, 9_600), (14_400, 14_880), (45_600, 48_000)]


def test_segment_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for incarnation in (0, 1):
        ctx = FakeContext(folder=str(tmp_path), incarnation=incarnation)
        node = recorder(ctx, "a", segments=True)
        frame = audio_frame(noise(FRAME), incarnation * RATE, RATE, flags=BOTH)
        node.process({"a": frame}, ctx)
        finish(node, ctx)
    names = sorted(path.name for path in tmp_path.glob("*.wav"))
    assert names == ["segment_0001_0.00s.wav", "segment_0002_1.00s.wav"]
