import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.dsp.ramp import db_to_gain
from audio_pipeline.errors import ConfigError
from audio_pipeline.frame import Flag, Samples, audio_frame
from audio_pipeline.models.separation import tuning
from audio_pipeline.models.separation.catalogue import spec_of
from audio_pipeline.models.separation.pool import SHARED
from audio_pipeline.models.separation.stream import separate as one_shot
from audio_pipeline.models.separation.types import SeparatorSettings
from audio_pipeline.models.separation.workers import Inline
from audio_pipeline.node import Bypass
from audio_pipeline.nodes.separate import NODE, Separate, Settings
from audio_pipeline.serving import separators
from audio_pipeline.settings import replaced
from tests.models.fake_model import FakeModel
from tests.nodes.fake import FakeContext, noise, run
from tests.patience import PATIENCE_S

RATE, FRAME = 44_100, 441


@pytest.fixture(autouse=True)
def fake_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(SHARED, "_models", {})
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.setattr(separators, "_load", lambda settings: FakeModel(settings.spec.stems))


def offline(**settings: Any) -> tuple[Separate, FakeContext]:
    return NODE(Settings(**settings)), FakeContext(RATE, live=False)


@pytest.mark.parametrize("size", [17, 441, 1_024, 1 << 20])
@pytest.mark.parametrize("mode", ["offline", "low", "quality"])
def test_n_samples_in_n_samples_out_for_any_block_size(mode: str, size: int) -> None:
    x = noise(2 * RATE + 321)
    node, ctx = offline(mode=mode, normalise=False)
    run(node, ctx, x, size, position=960, rate=RATE)
    whole = one_shot(FakeModel(), x, SeparatorSettings(mode, hop=4))
    for name in ("vocals", "accompaniment"):
        assert ctx.sent[name][0].position == 960
        assert np.array_equal(ctx.emitted(name), whole[name])
        assert {frame.rate for frame in ctx.sent[name]} == {RATE}


def test_residual_stems_add_up_to_the_mixture() -> None:
    x = noise(2 * RATE)
    node, ctx = offline(mode="low", residual=True, normalise=False)
    run(node, ctx, x, 4_410, rate=RATE)
    assert ctx.emitted("vocals") + ctx.emitted("accompaniment") == pytest.approx(x, abs=1e-6)  # float32


@pytest.mark.parametrize("stems", [2, 4, 5])
def test_ports_follow_the_settings(stems: int) -> None:
    names = spec_of(f"spleeter-{stems}stems").stems
    assert NODE.ports(Settings(model=f"spleeter-{stems}stems")).outputs == names
    assert NODE.ports(Settings(model=f"spleeter-{stems}stems", outputs="mix")).outputs == ("mix",)
    both = NODE.ports(Settings(model=f"spleeter-{stems}stems", outputs="both"))
    assert both.outputs == (*names, "mix")
    dry = {name for name, bypass in both.bypass.items() if bypass is Bypass.INPUT}
    assert dry == {names[-1], "mix"}


def test_the_faders_of_the_mix() -> None:
    x = noise(3 * RATE)
    node, ctx = offline(mode="low", outputs="both", faders={"vocals": -120.0}, normalise=False)
    node.open(ctx)
    node.process({"in": audio_frame(x[:RATE], 0, RATE)}, ctx)
    node.settings = replaced(node.settings, "faders.vocals", -20.0)
    node.on_param("faders.vocals", -20.0, RATE, ctx)
    node.process({"in": audio_frame(x[RATE:], RATE, RATE)}, ctx)
    node.flush(ctx)
    vocals, band, mix = (ctx.emitted(name) for name in ("vocals", "accompaniment", "mix"))
    moved = slice(RATE + 2 * 1_024, None)
    assert mix[: RATE - 1_024] == pytest.approx(band[: RATE - 1_024], abs=1e-6)
    assert mix[moved] == pytest.approx(band[moved] + vocals[moved] * np.float32(db_to_gain(-20)), abs=1e-6)
    assert np.abs(np.diff(mix[:, 0])).max() < 1.1 * np.abs(np.diff((vocals + band)[:, 0])).max()  # no click


def live(ctx: FakeContext, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Separate:
    """A live node that was tuned before and whose inferences cost no virtual time."""

    def inline(key: object, *_: object, **__: object) -> Inline:
        return Inline(FakeModel())

    monkeypatch.setattr(SHARED, "seat", inline)
    node = NODE(Settings(**{"normalise": False, **settings}))
    node.restore({"hop": settings.get("hop", 8), "compute_s": 0.1, "fastest_s": 0.02})
    node.open(ctx)
    return node


def play(node: Separate, ctx: FakeContext, x: Samples, position: int = 0, flags: Flag = Flag.NONE) -> None:
    """Frames of 10 ms as a microphone would send them."""
    for start in range(0, len(x), FRAME):
        ctx.advance(0.01)
        block = x[start : start + FRAME]
        frame = audio_frame(block, position + start, RATE, captured_ns=ctx.now, flags=flags)
        node.process({"in": frame}, ctx)


def test_live_states_its_terms_and_keeps_the_hop_it_was_restored_with(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = FakeContext(RATE)
    node = live(ctx, monkeypatch, mode="balanced")
    terms = node.latency()
    # lookahead and hop of the rung that puts out most at once
    assert (terms.window, terms.lookahead, terms.hop, terms.compute) == (4_096, 3_072, 7_168, 4_410)
    assert node.snapshot()["hop"] == 8
    play(node, ctx, noise(2 * RATE))
    first, *others = ctx.sent["vocals"]
    assert first.samples == (8 - 3 - 4) * 1_024  # what of the first window has seen its future, and all frames over it
    assert {frame.samples for frame in others} == {8 * 1_024}
    assert len(ctx.emitted("vocals")) >= 2 * RATE - terms.total


def test_live_measures_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = FakeContext(RATE)
    node = NODE(Settings(mode="low", normalise=False))
    node.open(ctx)
    play(node, ctx, noise(RATE))
    node.flush(ctx)
    node.close()
    assert node.snapshot()["hop"] == ctx.gauges["hop"]
    assert len(ctx.emitted("vocals")) == RATE


def test_missed_deadlines_are_dry_marked_and_counted_and_it_steps_down_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(22 * RATE)
    node = live(ctx, monkeypatch, residual=True, calm_s=2.0, hop=4)
    worker = node._driver.worker
    play(node, ctx, x[: 4 * RATE])
    assert ctx.gauges["mode"] == 0
    monkeypatch.setattr(worker, "idle", False)  # something else has the machine
    play(node, ctx, x[4 * RATE : 8 * RATE], 4 * RATE)
    missed = [frame for frame in ctx.sent["vocals"] if frame.flags & Flag.CONCEALED]
    assert len(missed) > ctx.counters["missed_deadlines"] >= 9  # on the dry rung nothing is missed
    assert node.snapshot()["step"] == ctx.gauges["mode"] == 3
    monkeypatch.setattr(worker, "idle", True)
    play(node, ctx, x[8 * RATE :], 8 * RATE)
    mix = ctx.emitted("vocals") + ctx.emitted("accompaniment")
    assert mix == pytest.approx(x[: len(mix)], abs=1e-6)  # aligned: nothing but the split is lost
    assert not ctx.emitted("vocals")[6 * RATE : 7 * RATE].any()
    assert {event.kind for event in ctx.events} == {"mode"}
    assert [event.data["step"] for event in ctx.events] == [1, 2, 3, 2, 1, 0]
    assert "the dry sound plays" in ctx.logs[3]
    assert "an inference each 93 ms, with 70 ms of future" in ctx.logs[-1]
    assert ctx.gauges["mode"] == 0


def test_with_time_to_spare_it_tries_half_the_hop_and_the_next_start_states_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The latency that was stated stays; only a start may state another."""
    ctx = FakeContext(RATE)
    node = live(ctx, monkeypatch, mode="balanced", calm_s=2.0)
    monkeypatch.setattr(tuning, "choose_hop", lambda *_, **__: 8)
    play(node, ctx, noise(4 * RATE))
    assert (ctx.gauges["mode"], ctx.gauges["hop"]) == (-1, 4)
    assert "has time to spare" in ctx.logs[-1]
    assert node.latency().total == 4_096 + 10_240 + 4_410
    stored = tmp_path / "separator.json"
    assert not stored.exists(), "nothing has held for a minute yet"
    for thread in played_on(node, ctx, 61):
        thread.join()
    assert list(json.loads(stored.read_text()).values()) == [4]
    successor = NODE(Settings(mode="balanced", normalise=False))
    successor.open(FakeContext(RATE))
    assert successor.snapshot()["hop"] == 4
    successor.close()


def played_on(node: Separate, ctx: FakeContext, seconds: float) -> list[threading.Thread]:
    """A minute in which nothing is missed, of which one second is sound; the threads that keep something."""
    ctx.advance(seconds)
    node._driver.reset()
    node._base = node._next = 0
    play(node, ctx, noise(RATE))
    return [thread for thread in threading.enumerate() if thread.name == "remember"]


def test_a_hop_that_the_user_states_is_neither_tried_nor_remembered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ctx = FakeContext(RATE)
    node = live(ctx, monkeypatch, mode="balanced", calm_s=2.0, hop=8)
    play(node, ctx, noise(4 * RATE))
    assert ctx.gauges["mode"] == 0
    assert not played_on(node, ctx, 61)
    assert not (tmp_path / "separator.json").exists()


def test_a_cancel_drops_what_is_inside_and_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(2 * RATE)
    node = live(ctx, monkeypatch)
    play(node, ctx, x)
    sent = len(ctx.sent["vocals"])
    node.reset(-1, "cancel", ctx)
    play(node, ctx, x, 10 * RATE)
    assert ctx.sent["vocals"][sent].position == 10 * RATE
    assert ctx.counters["missed_deadlines"] == 0


def test_a_jump_sends_the_rest_dry(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(2 * RATE)
    node = live(ctx, monkeypatch)
    play(node, ctx, x)
    node.reset(10 * RATE, "discontinuity", ctx)
    assert len(ctx.emitted("vocals")) == 2 * RATE
    play(node, ctx, x, 10 * RATE)
    assert ctx.sent["vocals"][-1].position > 10 * RATE


def test_a_successor_listens_to_the_past_without_counting_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(5 * RATE)
    ctx.advance(3.0)
    node = live(ctx, monkeypatch)
    assert node.context_samples() == 128 * 1_024
    for start in range(0, 3 * RATE, FRAME):
        then = ctx.now - round((3 * RATE - start - FRAME) / RATE * 1e9)
        frame = audio_frame(x[start : start + FRAME], start, RATE, captured_ns=then, flags=Flag.REPLAY)
        node.process({"in": frame}, ctx)
    play(node, ctx, x[3 * RATE :], 3 * RATE)
    dry = [frame.position for frame in ctx.sent["vocals"] if frame.flags & Flag.CONCEALED]
    assert max(dry) < 3 * RATE
    assert ctx.counters["missed_deadlines"] == 0
    assert len(ctx.emitted("vocals")) >= 5 * RATE - node.latency().total


def test_silence_stays_silent() -> None:
    node, ctx = offline(mode="offline", normalise=True)
    run(node, ctx, np.zeros((60 * RATE, 2), np.float32), RATE, rate=RATE)
    assert len(ctx.emitted("vocals")) == 60 * RATE
    assert not ctx.emitted("accompaniment").any()


def test_the_normaliser_is_on_but_for_spleeters_own_segments() -> None:
    for mode, normalise, expected in (("low", None, True), ("offline", None, False), ("low", False, False)):
        node, ctx = offline(mode=mode, normalise=normalise)
        node.open(ctx)
        assert (node._driver.stream.settings.normalise is not None) is expected


def test_the_normaliser_gives_back_what_it_took_in_frames_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx, x = FakeContext(RATE), noise(3 * RATE, level=0.003)
    node = live(ctx, monkeypatch, normalise=True, residual=True)
    play(node, ctx, x)
    total = ctx.emitted("vocals") + ctx.emitted("accompaniment")
    assert total == pytest.approx(x[: len(total)], abs=1e-7)


def test_nodes_of_one_process_share_a_model_and_each_hears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three live separators, `batch: 3`: loaded once, inferred together, each bit for bit what it is alone."""
    loads: list[FakeModel] = []

    def load(settings: Settings) -> FakeModel:
        loads.append(FakeModel(settings.spec.stems))
        return loads[-1]

    monkeypatch.setattr(separators, "_load", load)
    sounds = [noise(3 * RATE, seed=k) for k in range(3)]
    nodes, contexts = [], []
    for k in range(3):
        node, ctx = NODE(Settings(mode="low", normalise=False, batch=3)), FakeContext(RATE)
        ctx.name = f"split{k}"
        node.restore({"hop": 4, "compute_s": 0.2, "fastest_s": 0.0})
        node.open(ctx)
        nodes.append(node)
        contexts.append(ctx)
    for at in range(0, 3 * RATE, FRAME):
        for node, ctx, x in zip(nodes, contexts, sounds, strict=True):
            ctx.advance(0.01)
            node.process({"in": audio_frame(x[at : at + FRAME], at, RATE, captured_ns=ctx.now)}, ctx)
        for node, ctx in zip(nodes, contexts, strict=True):
            node._driver.worker.wait(PATIENCE_S)
            node.poll(ctx)
    assert len(loads) == 1
    assert len({id(node._driver.worker._batcher) for node in nodes}) == 1  # type: ignore[attr-defined]
    for node, ctx, x in zip(nodes, contexts, sounds, strict=True):
        node.flush(ctx)
        node.close()
        assert ctx.counters["missed_deadlines"] == 0
        assert np.array_equal(ctx.emitted("vocals"), one_shot(FakeModel(), x, SeparatorSettings("low", 4))["vocals"])
    assert not SHARED._models


def test_a_served_model_is_nothing_to_import_and_needs_a_sliding_mode() -> None:
    assert "onnxruntime" in NODE.preload(Settings()) and "onnxruntime" not in NODE.preload(Settings(worker="served"))
    with pytest.raises(ConfigError, match="worker: expected own with mode 'offline', got 'served'"):
        Settings(worker="served", mode="offline")


@pytest.mark.parametrize(
    ("settings", "precision"),
    [
        ({"mode": "offline"}, "fp32"),
        ({"mode": "offline", "precision": "bf16"}, "bf16"),
        ({"mode": "low"}, "auto"),
        ({}, "auto"),
        ({"precision": "fp32"}, "fp32"),
    ],
)
def test_mode_offline_is_exact_unless_asked_otherwise(settings: dict[str, str], precision: str) -> None:
    assert Settings(**settings).wanted_precision == precision  # type: ignore[arg-type]


def test_offline_it_computes_itself_whoever_serves_live() -> None:
    x = noise(RATE)
    own, served = (offline(mode="low", normalise=False, worker=worker) for worker in ("own", "served"))
    for node, ctx in (own, served):
        run(node, ctx, x, 4_410, rate=RATE)
    assert np.array_equal(own[1].emitted("vocals"), served[1].emitted("vocals"))
