"""Tracks that come and go while a take is recorded, with and without deaths in between: no sound is ever replaced."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import PipelineError
from audio_pipeline.files.sidecar import TrackInfo, journal_of, read_folder, text_of
from audio_pipeline.frame import Samples, audio_frame
from audio_pipeline.nodes.recorder import Recorder
from tests.nodes.fake import FakeContext, noise
from tests.nodes.inline_disk import InlineDisk
from tests.nodes.test_recorder import RATE, another_run, finish, kill, read, recorder, settle, sidecar

STEP = 480
SONG = noise(40 * STEP, seed=3)
EDITS = ("on", "off", "hold", "out", "in")


class Session:
    """A run in which input b of a recorder comes and goes, and the recorder itself; it may die after each step."""

    def __init__(self, folder: Path, *, overwrite: bool, deadly: bool) -> None:
        self.folder, self.overwrite, self.deadly = folder, overwrite, deadly
        self.inputs, self.position, self.incarnation = ["a", "b"], 0, 0
        self.node: Recorder | None = None
        self.start()

    def start(self) -> None:
        self.ctx = FakeContext(folder=str(self.folder), incarnation=self.incarnation)
        self.ctx.run_folder = "this run"
        self.incarnation += 1
        self.node = recorder(self.ctx, *self.inputs, overwrite=self.overwrite)

    def step(self, edit: str) -> None:
        getattr(self, f"_{edit}")()
        self._play()
        if self.deadly and self.node is not None:
            kill(self.node)
            self.start()

    def _change(self, inputs: list[str]) -> None:
        self.inputs = inputs
        if self.node is not None:
            self.node.input_settings = dict.fromkeys(inputs)
            self.node.on_inputs(self.ctx)

    def _hold(self) -> None:
        """No edit."""

    def _on(self) -> None:
        self._change(["a", "b"])

    def _off(self) -> None:
        self._change(["a"])

    def _out(self) -> None:
        if self.node is not None:
            finish(self.node, self.ctx)
            self.node = None

    def _in(self) -> None:
        if self.node is None:
            self.start()

    def _play(self) -> None:
        x = SONG[self.position : self.position + STEP]
        for name in self.inputs if self.node is not None else ():
            assert self.node is not None
            self.node.process({name: audio_frame(x, self.position, RATE)}, self.ctx)
        self.position += STEP

    def end(self) -> dict[str, tuple[bytes, object]]:
        """The files that it left, each with what is said of it."""
        self._out()
        tracks = sidecar(self.folder)
        assert all(info["finished"] for info in tracks.values())
        assert sorted(path.stem for path in self.folder.glob("*.wav")) == sorted(tracks)
        assert not list(self.folder.glob("*.part")) and not list(self.folder.glob(".take*"))
        for info in tracks.values():
            del info["peak"]  # of the last second before a death it may not be known
        return {name: ((self.folder / str(info["file"])).read_bytes(), info) for name, info in tracks.items()}


@pytest.mark.parametrize("overwrite", [False, True])
def test_deaths_change_nothing_in_what_any_sequence_of_edits_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    monkeypatch.setattr("audio_pipeline.nodes.recorder.Disk", InlineDisk)
    monkeypatch.setattr("os.fsync", lambda fd: None)
    monkeypatch.setattr("audio_pipeline.files.wav._sync", lambda fd: None)
    for number, edits in enumerate(itertools.product(EDITS, repeat=3)):
        left = []
        for deadly in (False, True):
            session = Session(tmp_path / f"{number}-{deadly}", overwrite=overwrite, deadly=deadly)
            for edit in ("hold", *edits):
                session.step(edit)
            left.append(session.end())
        assert left[0] == left[1], edits
        _check_sound(session.folder, edits)


def _check_sound(folder: Path, edits: Sequence[str]) -> None:
    """Every sample that came is in one of the files."""
    inputs, plays, came = {"a", "b"}, True, []
    for position, edit in enumerate(("hold", *edits)):
        inputs = {"on": {"a", "b"}, "off": {"a"}}.get(edit, inputs)
        plays = {"out": False, "in": True}.get(edit, plays)
        came += [(name, position * STEP) for name in inputs if plays]
    tracks = json.loads((folder / "take.json").read_text())["tracks"].values()
    for name, position in came:
        held = [info for info in tracks if info["track"] == name and _holds(folder, info, position)]
        assert len(held) == 1, (edits, name, position)


def _holds(folder: Path, info: dict[str, object], position: int) -> bool:
    x = read(folder / str(info["file"]))
    start = position - int(str(info["base_position"]))
    return 0 <= start and np.array_equal(x[start : start + STEP], SONG[position : position + STEP])


def test_an_input_that_is_back_after_a_death_gets_a_file_of_its_own(tmp_path: Path) -> None:
    """Disconnect, kill, connect: the finished file stays, also where files may be replaced."""
    for overwrite in (False, True):
        session = Session(tmp_path / str(overwrite), overwrite=overwrite, deadly=False)
        session.step("hold")
        session.step("off")
        assert session.node is not None
        settle(session.node, session.ctx)
        kill(session.node)
        session.start()
        session.step("on")
        left = session.end()
        assert set(left) == {"a", "b", "b-2"}
        assert np.array_equal(read(session.folder / "b.wav"), SONG[:STEP])


def test_a_new_take_may_replace_an_earlier_one_alone(tmp_path: Path) -> None:
    for number in range(2):
        ctx = another_run(tmp_path, f"run {number}")
        node = recorder(ctx, "a", overwrite=True)
        node.process({"a": audio_frame(SONG[: STEP * (2 - number)], 0, RATE)}, ctx)
        finish(node, ctx)
    assert [path.name for path in tmp_path.glob("*.wav")] == ["a.wav"]
    assert len(read(tmp_path / "a.wav")) == STEP
    assert sidecar(tmp_path)["a"]["run"] == "run 1"


def test_what_an_earlier_take_says_of_its_files_stays(tmp_path: Path) -> None:
    for run, name, position in (("one", "a", STEP), ("two", "b", 0)):
        ctx = another_run(tmp_path, run)
        node = recorder(ctx, name)
        node.process({name: audio_frame(SONG[:STEP], position, RATE)}, ctx)
        finish(node, ctx)
    assert {name: info["gaps"] for name, info in sidecar(tmp_path).items()} == {
        "a": [{"at": 0, "samples": STEP}],
        "b": [],
    }


def test_two_recorders_of_a_run_share_a_folder_and_its_sidecar(tmp_path: Path) -> None:
    nodes: list[tuple[Recorder, FakeContext]] = []
    for name in ("rec", "other"):
        ctx = another_run(tmp_path, "run")
        ctx.name = name
        nodes.append((recorder(ctx, "a"), ctx))
    for node, ctx in nodes:
        node.process({"a": audio_frame(SONG[:STEP], 0, RATE)}, ctx)
        settle(node, ctx)
    for node, ctx in nodes:
        finish(node, ctx)
    assert {name: info["node"] for name, info in sidecar(tmp_path).items()} == {"a": "rec", "a-2": "other"}


def test_a_second_run_is_refused_while_the_first_one_records(tmp_path: Path) -> None:
    ctx = another_run(tmp_path, "first")
    first = recorder(ctx, "a")
    with pytest.raises(PipelineError, match=r"recording folder .*: another run records there; expected a folder"):
        recorder(another_run(tmp_path, "second"), "b")
    first.process({"a": audio_frame(SONG[:STEP], 0, RATE)}, ctx)
    finish(first, ctx)
    assert np.array_equal(read(tmp_path / "a.wav"), SONG[:STEP])
    after = another_run(tmp_path, "second")
    finish(recorder(after, "b"), after)


def test_the_folder_of_a_dead_run_is_free(tmp_path: Path) -> None:
    kill(recorder(another_run(tmp_path, "dead"), "a"))
    ctx = another_run(tmp_path, "next")
    finish(recorder(ctx, "a"), ctx)
    assert not (tmp_path / ".take.lock").exists()


def test_a_damaged_sidecar_is_kept_and_nothing_is_replaced_after_it(tmp_path: Path) -> None:
    session = Session(tmp_path, overwrite=True, deadly=False)
    session.step("off")
    assert session.node is not None
    settle(session.node, session.ctx)
    kill(session.node)
    (tmp_path / "take.json").write_text("{")
    session.start()
    assert "is not the sidecar of a take" in session.ctx.logs[0]
    session.step("on")
    assert session.node is not None
    finish(session.node, session.ctx)
    assert (tmp_path / "take.json-2.damaged").exists() or list(tmp_path.glob("take*damaged*"))
    assert np.array_equal(read(tmp_path / "a-rescued-1.wav"), SONG[:STEP])


def test_what_is_known_of_a_rescued_recording_goes_with_it(tmp_path: Path) -> None:
    first = another_run(tmp_path, "first")
    dead = recorder(first, "a")
    dead.process({"a": audio_frame(SONG[:STEP], STEP, RATE)}, first)
    settle(dead, first)
    kill(dead)
    second = another_run(tmp_path, "second")
    finish(recorder(second, "a"), second)
    assert sidecar(tmp_path)["a-rescued-1"]["gaps"] == [{"at": 0, "samples": STEP}]


def test_levels_beyond_full_scale_are_kept_in_float_and_stems_still_add_up(tmp_path: Path) -> None:
    """The residual of a float sum is its rounding: below -120 dB of the mix, at any level."""
    ctx = another_run(tmp_path)
    node = recorder(ctx, "voice", "band")
    loud: dict[str, Samples] = {"voice": 4 * SONG[:4_800] / np.abs(SONG).max(), "band": 3 * SONG[4_800:9_600]}
    for name, x in loud.items():
        node.process({name: audio_frame(x, 0, RATE)}, ctx)
    finish(node, ctx)
    residual = sum(loud.values()) - read(tmp_path / "voice.wav") - read(tmp_path / "band.wav")
    assert np.sqrt(np.mean(np.square(residual))) < 1e-6 * np.sqrt(np.mean(np.square(sum(loud.values()))))
    assert not ctx.counters["clipped"] and sidecar(tmp_path)["voice"]["clipped"] == 0
    assert sidecar(tmp_path)["voice"]["peak"] == pytest.approx(float(np.abs(loud["voice"]).max()))


def test_what_pcm_cuts_is_counted_and_said_with_what_helps(tmp_path: Path) -> None:
    ctx = another_run(tmp_path, "one")
    node = recorder(ctx, "a", subtype="pcm24")
    x = np.full((STEP, 2), 0.5, np.float32)
    x[:10] = 2.0
    node.process({"a": audio_frame(x, 0, RATE)}, ctx)
    finish(node, ctx)
    assert ctx.counters["clipped"] == 20
    assert sidecar(tmp_path)["a"]["clipped"] == 20 and sidecar(tmp_path)["a"]["peak"] == 2.0
    assert len(ctx.logs) == 2 and "a is beyond full scale and is cut there" in ctx.logs[0]
    assert "a.wav: 20 values beyond full scale were cut, the highest at +6.0 dBFS" in ctx.logs[-1]
    saved = next(event for event in ctx.events if event.kind == "saved")
    assert (saved.data["clipped"], saved.data["peak_db"]) == (20, 6.02)

    again = another_run(tmp_path, "two")
    node = recorder(again, "b", subtype="pcm24", gain_db=-6.1)  # as the log says
    node.process({"b": audio_frame(x, 0, RATE)}, again)
    finish(node, again)
    assert sidecar(tmp_path)["b"]["clipped"] == 0 and sidecar(tmp_path)["b"]["gain_db"] == -6.1
    assert np.allclose(read(tmp_path / "b.wav"), x * 10 ** (-6.1 / 20), atol=2**-23)


def test_a_journal_of_another_recorder_says_nothing_of_a_track_of_the_same_name(tmp_path: Path) -> None:
    """Its recorder died; the next run records into the folder under the same names, by a recorder called otherwise."""
    info = TrackInfo("one.wav", RATE, 0, RATE, track="one", node="rec", run="now")
    (tmp_path / "take.json").write_text(text_of({"one": info}))
    for node, hole in (("old", 480), ("rec", 960)):
        (tmp_path / journal_of(node)).write_text(json.dumps(["one", "gaps", hole, 10]) + "\n")
    assert read_folder(tmp_path)["one"].gaps == [{"at": 960, "samples": 10}]
