"""The node `separate` with a stateful model: speech and noise, on a clock that only the test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Flag, Samples, audio_frame
from audio_pipeline.graph.load import loads
from audio_pipeline.models.separation.catalogue import DEEPFILTERNET, SPECS
from audio_pipeline.models.separation.pool import SHARED
from audio_pipeline.models.separation.stream import separate as one_shot
from audio_pipeline.models.separation.types import SeparatorSettings
from audio_pipeline.models.separation.workers import Inline
from audio_pipeline.node import Bypass
from audio_pipeline.nodes.separate import NODE, Separate, Settings
from audio_pipeline.serving import separators
from audio_pipeline.setting_values import live_names
from audio_pipeline.settings import build, replaced
from tests.models.fake_stateful import FakeStateful
from tests.nodes.fake import FakeContext, noise, run

RATE, FRAME = DEEPFILTERNET.rate, 480


@pytest.fixture(autouse=True)
def fake_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(SHARED, "_models", {})
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.setattr(separators, "_load", lambda settings: FakeStateful())


def live(ctx: FakeContext, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Separate:
    """A live node that was tuned before and whose inferences cost no virtual time."""
    monkeypatch.setattr(SHARED, "seat", lambda *_, **__: Inline(FakeStateful()))
    node = NODE(Settings(model="deepfilternet", **settings))
    node.restore({"hop": 1, "compute_s": 0.05, "fastest_s": 0.001})
    node.open(ctx)
    return node


def play(node: Separate, ctx: FakeContext, x: Samples, position: int = 0) -> None:
    """Frames of 10 ms as a microphone would send them."""
    for start in range(0, len(x), FRAME):
        ctx.advance(0.01)
        frame = audio_frame(x[start : start + FRAME], position + start, RATE, captured_ns=ctx.now)
        node.process({"in": frame}, ctx)


def test_ports_rate_and_channels_are_those_of_the_model() -> None:
    node = NODE(Settings(model="deepfilternet", outputs="both"))
    ports = NODE.ports(node.settings)
    assert ports.outputs == ("speech", "noise", "mix")
    assert {name for name, bypass in ports.bypass.items() if bypass is Bypass.INPUT} == {"speech", "mix"}
    assert (node.input_rate("in", 44_100), node.input_channels("in")) == (48_000, 1)
    assert NODE.assets(node.settings) == ("deepfilternet",)


@pytest.mark.parametrize("size", [17, 480, 1_024, 1 << 20])
def test_offline_is_the_one_shot_separation_for_any_block_size(size: int) -> None:
    x = noise(RATE // 2 + 321)[:, :1]
    node, ctx = NODE(Settings(model="deepfilternet")), FakeContext(RATE, live=False)
    run(node, ctx, x, size, position=960, rate=RATE)
    whole = one_shot(FakeStateful(), x, SeparatorSettings("low"))
    for name in ("speech", "noise"):
        assert ctx.sent[name][0].position == 960
        assert np.array_equal(ctx.emitted(name), whole[name])


def test_live_states_40_ms_and_its_time_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)[:, :1]
    node = live(ctx, monkeypatch)
    terms = node.latency()
    assert (terms.window, terms.lookahead, terms.hop, terms.compute) == (960, 960, 0, 2_400)
    play(node, ctx, x)
    found = ctx.emitted("speech")
    assert len(found) == RATE - 3 * FRAME  # a graph of 10 ms frames waits for three more
    assert np.array_equal(found, one_shot(FakeStateful(), x, SeparatorSettings("low"))["speech"][: len(found)])
    assert not any(frame.flags & Flag.CONCEALED for frame in ctx.sent["speech"])


def test_a_successor_starts_at_the_stated_latency_and_without_a_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)[:, :1]
    first = live(ctx, monkeypatch)
    play(first, ctx, x)
    second, later = NODE(Settings(model="deepfilternet")), FakeContext(RATE)
    second.restore(first.snapshot())
    second.open(later)
    assert second.latency() == first.latency()
    play(second, later, x, position=RATE)
    fresh = one_shot(FakeStateful(), x, SeparatorSettings("low"))["speech"]
    found = later.emitted("speech")
    assert later.sent["speech"][0].position == RATE
    assert np.array_equal(found, fresh[: len(found)])


def test_a_break_begins_anew_behind_the_dry_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(RATE)[:, :1]
    node = live(ctx, monkeypatch)
    play(node, ctx, x)
    play(node, ctx, x, position=10 * RATE)
    rest = [frame for frame in ctx.sent["speech"] if frame.flags & Flag.CONCEALED]
    assert sum(frame.samples for frame in rest) == 3 * FRAME
    again = [frame.audio() for frame in ctx.sent["speech"] if frame.position >= 10 * RATE]
    found = np.concatenate(again)
    assert np.array_equal(found, one_shot(FakeStateful(), x, SeparatorSettings("low"))["speech"][: len(found)])


def test_modes_and_faders_are_those_of_the_model() -> None:
    with pytest.raises(ConfigError, match=r"^nodes\.a\.mode: expected one of low \(deepfilternet\), got 'balanced'"):
        build(Settings, {"model": "deepfilternet", "mode": "balanced"}, ("nodes", "a"))
    with pytest.raises(ConfigError, match=r"^nodes\.a\.faders: expected stems of deepfilternet \(speech, noise\)"):
        build(Settings, {"model": "deepfilternet", "faders": {"vocals": -6}}, ("nodes", "a"))
    made = build(Settings, {"model": "deepfilternet", "faders": {"noise": -12}})
    assert live_names(made) == ["faders.speech", "faders.noise"]
    assert replaced(made, "faders.noise", -30).faders == {"speech": 0.0, "noise": -30.0}


@pytest.mark.parametrize("name", SPECS)
def test_every_model_has_its_own_mode_and_a_fader_a_stem(name: str) -> None:
    made = Settings(model=name)
    assert made.separation_mode == SPECS[name].default_mode
    assert tuple(made.faders) == SPECS[name].stems


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stems: 4", "nodes.split.stems: is now model: spleeter-2stems, spleeter-4stems or spleeter-5stems (text:6)"),
        ("vocals_db: -6", "nodes.split.vocals_db: is now faders: {vocals: dB} (text:6)"),
    ],
)
def test_settings_of_before_name_their_successors(line: str, message: str) -> None:
    text = f"""\
version: 1
nodes:
  song: {{kind: file_source, path: demo}}
  split:
    kind: separate
    {line}
    in: song
"""
    with pytest.raises(ConfigError) as error:
        loads(text)
    assert str(error.value) == message
