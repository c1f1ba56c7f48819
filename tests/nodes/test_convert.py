"""The node that converts voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyworld")

from audio_pipeline.errors import ConfigError, MediaError, NodeError
from audio_pipeline.frame import Flag, audio_frame
from audio_pipeline.graph.load import loads
from audio_pipeline.models.convert import live as convert_live
from audio_pipeline.models.convert.blocks import BlockConverter
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.weights import store
from audio_pipeline.nodes import convert
from audio_pipeline.nodes.convert import NODE, Settings
from audio_pipeline.supervisor.local import LocalGraph
from tests.models.test_world_voice import vowel
from tests.nodes.fake import SECOND, FakeContext, InTurn, run
from tests.shared import shared

RATE = 16_000
PIPELINE = """
version: 1
rate: 48000
frame_ms: 5
nodes:
  me: {{kind: file_source, path: {me}}}
  voice: {{kind: convert, in: me, pitch_semitones: 4}}
  rec: {{kind: recorder, subtype: float32, inputs: {{out: {{from: voice, policy: block}}}}}}
"""


@pytest.fixture(autouse=True)
def _networks() -> None:
    if any(store.locate(name).folder is None for name in ("perth", "ge2e")):
        pytest.skip("the weights are not here (audio-pipeline models fetch perth ge2e)")


def _voice(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return vowel(seconds, rate=rate)[:, None]


@pytest.mark.parametrize("size", [17, 160, 1 << 20])
def test_any_cutting_gives_the_same_samples_at_the_same_places(size: int) -> None:
    x, outputs = _voice(), []
    for chunk in (size, 480):
        ctx = FakeContext(RATE, live=False)
        run(NODE(Settings(pitch_semitones=3.0)), ctx, x, chunk, position=4_800)
        assert ctx.sent["out"][0].position == 4_800
        outputs.append(ctx.emitted())
    assert outputs[0].shape == x.shape and np.array_equal(*outputs)


def test_a_stream_that_begins_within_a_block_keeps_the_grid() -> None:
    x, ctx, later = _voice(), FakeContext(RATE, live=False), FakeContext(RATE, live=False)
    run(NODE(Settings()), ctx, x, 480)
    run(NODE(Settings()), later, x[8_123:], 480, position=8_123)
    assert later.sent["out"][0].position == 8_123
    assert len(later.emitted()) == len(x) - 8_123


def test_what_comes_out_is_marked() -> None:
    ctx = FakeContext(RATE, live=False)
    path = sorted(shared("speech/1998").glob("*.flac"))[0]
    x = soundfile.read(path, dtype="float32", always_2d=True)[0][: 4 * RATE]
    run(NODE(Settings(pitch_semitones=-3.0, formant=0.9)), ctx, x, 160)
    assert perth.confidence(perth.load(), ctx.emitted(), RATE) > 0.9


def test_no_mark_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perth.Perth, "residual", lambda self, x: x * 0)
    with pytest.raises(NodeError, match="the watermark is not found in what was just marked"):
        NODE(Settings()).open(FakeContext(RATE))


def test_the_mark_cannot_be_left_out_by_the_pipeline_alone() -> None:
    with pytest.raises(ConfigError, match="watermark: false requires the same in this host's voice policy"):
        NODE(Settings(watermark=False)).open(FakeContext(RATE))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(voice="no such voice"), "voice: no voice is enrolled as 'no such voice'|no voice is called"),
        (Settings(sample="b.wav"), r"b\.wav"),
        (Settings(engine="freevc"), "engine 'freevc' needs a voice or a sample"),
    ],
)
def test_what_cannot_be_meant_is_said(settings: Settings, message: str) -> None:
    with pytest.raises((ConfigError, MediaError), match=message):
        NODE(settings).open(FakeContext(RATE))


def test_a_sample_without_speech_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hum.wav", np.zeros(RATE * 3), RATE)
    with pytest.raises(ConfigError, match=r"sample: a target needs 2 s of speech or more, this has 0\.0 s"):
        NODE(Settings(sample=str(tmp_path / "hum.wav"))).open(FakeContext(RATE))


def _live(node: NODE, ctx: FakeContext, x: np.ndarray) -> None:
    """In real time by the virtual clock: a frame of 10 ms each 10 ms."""
    for i in range(0, len(x), RATE // 100):
        ctx.advance(0.01)
        node.process({"in": audio_frame(x[i : i + RATE // 100], i, RATE, captured_ns=ctx.now)}, ctx)
        node.poll(ctx)


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No threads and no time of this machine's own."""
    monkeypatch.setattr(convert.threads, "pool", InTurn)
    monkeypatch.setattr(convert_live, "at_leisure", InTurn)
    monkeypatch.setattr(convert_live, "perf_counter", lambda: 0.0)


@pytest.mark.usefixtures("in_turn")
def test_live_it_learns_the_formants_and_says_so() -> None:
    them = sorted(shared("speech/3005").glob("*.flac"))[0]
    me = sorted(shared("speech/1998").glob("*.flac"))[1]
    x = soundfile.read(me, dtype="float32", always_2d=True)[0][: 8 * RATE]
    node, ctx = NODE(Settings(sample=str(them))), FakeContext(RATE)
    node.open(ctx)
    _live(node, ctx, x)
    assert [event.data["how"] for event in ctx.events if event.kind == "formant"] == ["guess", "search"]
    assert ctx.counters["missed_deadlines"] == 0 and ctx.gauges["f0_hz"] > 60
    state = node.snapshot()
    node.close()
    successor = NODE(Settings(sample=str(them)))
    successor.restore(state)
    successor.open(FakeContext(RATE))
    assert successor._ready.gauges()["formant"] == pytest.approx(ctx.gauges["formant"])
    successor.close()


def test_a_machine_that_stood_still_gets_the_own_voice_and_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    node, ctx, x = NODE(Settings(pitch_semitones=5.0)), FakeContext(RATE), _voice()
    node.open(ctx)
    for i in range(0, len(x), 160):
        ctx.advance(0.01)
        node.process({"in": audio_frame(x[i : i + 160], i, RATE, captured_ns=ctx.now - SECOND)}, ctx)
    node.close()
    y = ctx.emitted()
    assert ctx.counters["missed_deadlines"] == len(ctx.sent["out"]) > 10
    assert all(frame.flags & Flag.CONCEALED for frame in ctx.sent["out"])
    assert y == pytest.approx(x[: len(y)], abs=1e-6)


def test_bypass_pitch_and_formant_can_be_set_while_it_runs() -> None:
    node, ctx = NODE(Settings()), FakeContext(RATE, live=False)
    node.open(ctx)
    x = _voice(2.0)
    for i in range(0, len(x), 160):
        if i == 8_000:
            for name, value in (("pitch_semitones", 12.0), ("formant", 1.2), ("gate_db", -60.0), ("gain_db", 0.0)):
                node.on_param(name, value, i, ctx)
        if i == 24_000:
            node.on_param("bypass", True, i, ctx)
        node.process({"in": audio_frame(x[i : i + 160], i, RATE, captured_ns=0)}, ctx)
    node.flush(ctx)
    node.close()
    y = ctx.emitted()
    assert len(y) == len(x) and y[-6_000:] == pytest.approx(x[-6_000:], abs=1e-5)
    assert np.abs(y[16_000:20_000] - x[16_000:20_000]).max() > 0.05
    assert ctx.gauges["formant"] == pytest.approx(1.2)


def test_after_a_jump_nothing_old_is_heard() -> None:
    node, ctx, x = NODE(Settings()), FakeContext(RATE, live=False), _voice()
    node.open(ctx)
    node.process({"in": audio_frame(x[:5_000], 0, RATE, captured_ns=0)}, ctx)
    node.process({"in": audio_frame(x[:5_000], 50_000, RATE, captured_ns=0)}, ctx)
    node.flush(ctx)
    node.close()
    positions = [(frame.position, frame.end) for frame in ctx.sent["out"]]
    assert positions[0][0] == 0 and max(end for _, end in positions) == 55_000
    assert sum(end - begin for begin, end in positions) == 10_000


def test_stated_latency_is_lookahead_block_and_compute() -> None:
    node = NODE(Settings())
    assert node.context_samples() >= 48_000 * 86 // 1_000, "known before it is opened"
    node.open(FakeContext(48_000))
    node.close()
    assert node.latency() == NODE.estimate(Settings(), 48_000)
    assert node.latency().total == 48_000 * (36 + 50 + 30) // 1_000
    assert isinstance(node._ready.blocks, BlockConverter)


def test_a_whole_pipeline_offline(tmp_path: Path) -> None:
    """Stereo and broken samples included; frames of the file and of the grid do not matter."""
    x = np.repeat(_voice(1.0, 48_000), 2, axis=1)
    x[20_000:20_010] = np.nan
    soundfile.write(tmp_path / "me.wav", x, 48_000, subtype="FLOAT")
    with LocalGraph(loads(PIPELINE.format(me=tmp_path / "me.wav")), tmp_path / "take") as graph:
        graph.run_to_end()
    y, _ = soundfile.read(tmp_path / "take" / "out.wav", always_2d=True)
    assert len(y) == len(x) and np.isfinite(y).all()
    assert 20 * np.log10(y[4_800:].std() / np.nanstd(x[4_800:])) == pytest.approx(0, abs=1.0)


def test_one_target_is_enough() -> None:
    path = sorted(shared("speech/3005").glob("*.flac"))[0]
    with pytest.raises(ConfigError, match="voice 'a' and a sample are both given, expected one of them"):
        NODE(Settings(voice="a", sample=str(path))).open(FakeContext(RATE))
