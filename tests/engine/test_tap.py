"""A tap on a real ZeroMQ link, and what `tap` makes of what it hears. One thread: the producer acts when asked."""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zmq

from audio_pipeline.cli import tap as cli_tap
from audio_pipeline.cli.main import main
from audio_pipeline.cli.tap import Listener, Screen
from audio_pipeline.control.client import Client
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.frame import Flag, Frame, audio_frame, event_frame, gap_frame
from audio_pipeline.links.limits import TAP_FRAMES
from audio_pipeline.links.port_specs import OutSpec
from audio_pipeline.links.producer import OutPort
from audio_pipeline.links.tap import Tap
from audio_pipeline.view.tap import Filled, Level, Picture, Recording, find_port, write_event
from audio_pipeline.view.tap_screen import PALETTE, Waterfall, shades
from tests.engine.graphs import noise
from tests.engine.states import FakeClient, full, karaoke

RATE, N = 48_000, 480
TOKEN = "secret"


def sound(number: int, **fields: Any) -> Frame:
    return audio_frame(noise(number * N, N), number * N, RATE, **fields)


class Producer:
    """A port on ipc that a tap may listen to."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/song.out"
        self.counts: Counter[str] = Counter()
        self.context: zmq.Context[Any] = zmq.Context()
        self.port = self._bind(1)

    def _bind(self, epoch: int) -> OutPort:
        spec = OutSpec("out", self.endpoint, 0, RATE, 2, "song", RATE, {})
        return OutPort(self.context, spec, TOKEN, epoch, lambda name: lambda what, n: self.counts.update({what: n}))

    def restart(self) -> None:
        self.port.close()
        self.port = self._bind(self.port.epoch + 1)

    def offer(self, *frames: Frame) -> None:
        for frame in frames:
            self.port.offer(frame)

    def meet(self, tap: Tap) -> None:
        """Until they know each other."""
        self.until(lambda: tap.connected, tap)

    def until(self, so: Callable[[], object], tap: Tap) -> list[Frame]:
        got: list[Frame] = []
        for _ in range(3000):
            if so():
                return got
            frame = tap.take(0.002)
            got += [frame] if frame is not None else []
            self.port.handle()
        raise AssertionError("it never came to that")

    def collect(self, tap: Tap, count: int) -> list[Frame]:
        got: list[Frame] = []
        for _ in range(3000):
            frame = tap.take(0.002)
            got += [frame] if frame is not None else []
            self.port.handle()
            if len(got) >= count:
                return got
        raise AssertionError(f"only {len(got)} of {count} frames came")


@pytest.fixture
def producer(tmp_path: Path) -> Iterator[Producer]:
    made = Producer(tmp_path)
    yield made
    made.port.close()
    made.context.term()


@pytest.fixture
def tap(producer: Producer) -> Iterator[Tap]:
    with Tap(producer.endpoint, TOKEN) as made:
        yield made


def test_a_tap_hears_every_frame_to_the_bit_until_the_end(producer: Producer, tap: Tap) -> None:
    producer.meet(tap)
    frames = [sound(number) for number in range(60)]  # more than a window
    producer.offer(*frames, gap_frame(0, 60 * N, RATE, 2, flags=Flag.END))
    got = producer.collect(tap, 61)
    for frame, sent in zip(got, frames, strict=False):
        assert frame.position == sent.position and frame.audio().tobytes() == sent.audio().tobytes()
    assert tap.ended and tap.lost == 0 and tap.welcome is not None and tap.welcome.rate == RATE
    assert list(tap.frames()) == []


def test_a_tap_that_does_not_wait_takes_what_has_arrived(producer: Producer, tap: Tap) -> None:
    producer.meet(tap)
    producer.offer(sound(0))
    taken = None
    for _ in range(3000):
        producer.port.handle()
        if (taken := tap.take(0)) is not None:
            break
    assert taken is not None and taken.position == 0


def test_a_tap_that_is_too_slow_loses_frames_and_knows_how_many(producer: Producer, tap: Tap) -> None:
    producer.meet(tap)
    total = TAP_FRAMES + 200
    producer.offer(*[sound(number) for number in range(total)])
    producer.until(lambda: tap.counts["delivered"] + tap.lost == total, tap)
    assert tap.lost == producer.counts["dropped.oldest"] > 50


def test_a_tap_goes_on_with_a_restarted_producer(producer: Producer, tap: Tap) -> None:
    producer.meet(tap)
    producer.offer(sound(0))
    producer.collect(tap, 1)
    producer.restart()
    producer.until(lambda: producer.port.connected, tap)
    producer.offer(sound(1), sound(2))
    assert [frame.epoch for frame in producer.collect(tap, 2)] == [2, 2]
    assert tap.lost == 0, "numbers begin anew with an epoch"


def test_cancelled_sound_is_not_heard_and_its_credit_goes_back(producer: Producer, tap: Tap) -> None:
    producer.meet(tap)
    producer.offer(sound(0, generation=1), sound(1, generation=0), sound(2, generation=1))
    assert [frame.position for frame in producer.collect(tap, 2)] == [0, 2 * N]
    assert tap.counts["dropped.cancelled"] == 1
    producer.until(lambda: producer.counts["delivered"] == 3, tap)


def test_since_brings_what_is_remembered(producer: Producer) -> None:
    producer.offer(*[sound(number) for number in range(20)])
    with Tap(producer.endpoint, TOKEN, since=10 * N) as tap:
        got = producer.collect(tap, 10)
    assert got[0].position == 10 * N and got[0].flags & Flag.REPLAY


def test_a_wrong_token_is_one_sentence(producer: Producer) -> None:
    with Tap(producer.endpoint, "wrong") as tap, pytest.raises(ControlError, match="refused .*: wrong token"):
        producer.collect(tap, 1)


# -- which port ----------------------------------------------------------------------------------------


def with_ports() -> dict[str, Any]:
    state = karaoke()
    ports = {
        "song": (["out"], []),
        "split": (["vocals", "accompaniment"], ["mode"]),
        "mix": (["out"], []),
        "rec": ([], []),
        "out": ([], []),
        "mic": (["out"], ["events"]),
    }
    for name, (outputs, events) in ports.items():
        state["nodes"][name].update(outputs=outputs, events=events)
    return {**state, "run": "karaoke-1-x"}


@pytest.mark.parametrize(
    ("target", "port"),
    [
        ("song", "song.out"),
        ("split", "split.vocals"),
        ("split.accompaniment", "split.accompaniment"),
        ("split.mode", "split.mode"),
        ("mix.vocals", "split.vocals"),
        ("out", "mix.out"),
        ("rec.mix", "mix.out"),
    ],
)
def test_a_port_by_output_input_or_node_alone(target: str, port: str) -> None:
    assert str(find_port(full(with_ports()).description, target)) == port


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("mixx", "unknown node 'mixx', did you mean 'mix'?; known: song, split"),
        (
            "split.vocal",
            "node 'split' has no port 'vocal', did you mean 'vocals'?; known: vocals, accompaniment, mode",
        ),
        ("song.x", "node 'song' has no port 'x'; known: out"),
    ],
)
def test_a_port_that_is_not_there(target: str, said: str) -> None:
    with pytest.raises(ControlError) as error:
        find_port(full(with_ports()).description, target)
    assert str(error.value).startswith(said)


# -- what becomes of it --------------------------------------------------------------------------------


def test_holes_are_filled_by_position_and_counted() -> None:
    filled = Filled()
    frames = [sound(3), sound(4), sound(7), gap_frame(N, 8 * N, RATE, 2), gap_frame(0, 9 * N, RATE, 2), sound(9)]
    blocks = [block for frame in frames for block in filled.add(frame)]
    x = np.concatenate(blocks)
    assert filled.begin == 3 * N and filled.filled_samples == 3 * N and filled.samples == len(x) == 7 * N
    np.testing.assert_array_equal(x[: 2 * N], noise(3 * N, 2 * N))
    assert not x[2 * N : 4 * N].any() and not x[5 * N : 6 * N].any()
    np.testing.assert_array_equal(x[6 * N :], noise(9 * N, N))


def test_what_came_twice_is_used_once_and_a_far_jump_is_a_new_beginning() -> None:
    filled = Filled()
    blocks = [block for frame in (sound(0), sound(1), sound(1), sound(100_000)) for block in filled.add(frame)]
    assert sum(map(len, blocks)) == 3 * N and filled.filled_samples == 0


def test_a_recording_is_the_link_sample_for_sample(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "tap.wav")
    assert recording.close() is None
    for number in range(10):
        recording.add(noise(number * N, N), RATE)
    with pytest.raises(ControlError, match="now sends 1 channels"):
        recording.add(np.zeros((1, 1), np.float32), RATE)
    path = recording.close()
    assert path is not None
    got, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE and got.tobytes() == noise(0, 10 * N).tobytes()


def test_levels_since_the_last_look() -> None:
    level = Level()
    assert level.take() == []
    level.add(np.array([[0.5, 0.0], [-0.5, 0.0]], np.float32))
    (left, right) = level.take()
    assert left == pytest.approx((-6.02, -6.02), abs=0.01) and right == (-120.0, -120.0)
    assert level.take() == [(-120.0, -120.0)] * 2


def test_a_picture_is_a_png_with_axes(tmp_path: Path) -> None:
    picture = Picture()
    assert picture.save(tmp_path / "none.png", "x") is None
    picture.add(noise(0, RATE), RATE)
    path = picture.save(tmp_path / "tap.png", "demo: mix.out")
    assert path is not None and path.read_bytes().startswith(b"\x89PNG") and len(picture.columns) == 20
    with pytest.raises(ControlError, match="cannot be written: No such file"):
        picture.save(tmp_path / "no" / "tap.png", "x")


def test_events_are_json_lines() -> None:
    out = io.StringIO()
    write_event(event_frame({"kind": "segment", "position": 7, "text": "ü"}, 7, RATE), out)
    write_event(sound(0), out)
    assert json.loads(out.getvalue()) == {"kind": "segment", "position": 7, "text": "ü"}


def test_the_waterfall_is_as_wide_as_asked_for_and_brighter_the_louder() -> None:
    fall = Waterfall(16, [float(hz) for hz in np.geomspace(40, 20_000, 17)])
    fall.add(np.full((3, 16), -200, np.float32))
    fall.add(np.full((2, 16), 0, np.float32))
    lines = fall.lines(40)
    assert len(lines) == 8 and all(sum(len(text) for text, _ in line) == 40 for line in lines)
    assert lines[0][-1] == ("▀▀", f"{PALETTE[-1]} on {PALETTE[-1]}")
    levels = shades(np.linspace(-120, 0, 50))
    assert (np.diff(levels) >= 0).all() and levels[0] == 0 and levels[-1] == len(PALETTE) - 1


# -- the command ---------------------------------------------------------------------------------------


class Recorded:
    """A tap whose frames are known beforehand."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self.lost, self.ended, self.received_ns = 0, False, 1 << 62

    def take(self, timeout_s: float) -> Frame | None:
        frame = self._frames.pop(0) if self._frames else None
        self.ended = frame is None or bool(frame.flags & Flag.END)
        return frame

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *error: object) -> None: ...


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    frames = [sound(number) for number in range(100)]
    client = FakeClient(with_ports())

    class Run:
        token = TOKEN

        def endpoint(self, node: str, port: str) -> str:
            return f"ipc://{node}.{port}"

    monkeypatch.setattr(Client, "attach", lambda which=None: client)
    monkeypatch.setattr("audio_pipeline.host.runtime.attach", lambda which=None: Run())
    monkeypatch.setattr(cli_tap, "Tap", lambda *args, **words: Recorded(frames))
    return frames


def test_tap_records_so_many_seconds(running: list[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, png = tmp_path / "a.wav", tmp_path / "a.png"
    assert main(["tap", "mix", "--wav", str(path), "--spectrogram", str(png), "--seconds", "0.505"]) == 0
    got, _ = soundfile.read(path, dtype="float32")
    assert got.tobytes() == noise(0, round(0.505 * RATE)).tobytes()
    said = capsys.readouterr().out
    assert said == f"wrote {path}: 0.505 s from position 0\nwrote {png}\n"
    assert main(["tap", "mix", "--wav", str(path), "--seconds", "0.1"]) == 1
    assert "the file exists already" in capsys.readouterr().err


def test_tap_says_levels_where_there_is_no_terminal(running: list[Frame], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tap", "mix", "--level"]) == 0
    assert "rms dBFS" in capsys.readouterr().out


def test_tap_prints_events(running: list[Frame], capsys: pytest.CaptureFixture[str]) -> None:
    running[:] = [event_frame({"kind": "mode", "step": 1}, 0, RATE)]
    assert main(["tap", "split.mode"]) == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "mode", "step": 1}


def test_tap_that_hears_nothing_says_so(
    running: list[Frame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running.clear()
    assert main(["tap", "mix", "--wav", str(tmp_path / "a.wav")]) == 0
    assert "nothing came from mix.out" in capsys.readouterr().err


def test_tap_of_a_pipeline_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["tap", "mix"]) == 7
    assert capsys.readouterr().err == "audio-pipeline: no running pipeline; running: none\n"


def test_silence_on_the_wire_is_looked_into(
    running: list[Frame], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = argparse.Namespace(wav=None, seconds=None, level=True, spectrogram=None, pipeline=None)
    tap = Recorded([])
    listener = Listener(tap, "mix.out", with_ports(), args)  # type: ignore[arg-type]
    tap.received_ns = 0
    assert not listener.over and tap.received_ns > 0, "it is there, and just quiet"

    def gone(which: str | None = None) -> None:
        raise PipelineError("no running pipeline")

    monkeypatch.setattr("audio_pipeline.host.runtime.attach", gone)
    tap.received_ns = 0
    assert listener.over
    assert capsys.readouterr().err == "the pipeline has ended\n"


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 40)])
def test_the_screen_fits_its_terminal(running: list[Frame], size: tuple[int, int]) -> None:
    args = argparse.Namespace(wav=None, seconds=None, level=False, spectrogram=None, pipeline=None)
    listener = Listener(Recorded(running), "mix.out", with_ports(), args)  # type: ignore[arg-type]
    screen = Screen(listener)
    assert "waiting for mix.out" in screen.lines(size)[0][0][0]
    for _ in range(50):
        listener.use(running.pop(0))
        lines = screen.lines(size)
    assert len(lines) <= size[1] - 1
    assert all(sum(len(text) for text, _ in line) <= size[0] for line in lines[2:])
    assert "mix.out" in lines[0][0][0]
