"""Whole graphs with two cards, under a virtual clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.clock import ClockRecord
from audio_pipeline.frame import Flag
from audio_pipeline.supervisor.local import LocalGraph
from tests.engine.graphs import graph_of

RATE, SECOND = 48_000, 1_000_000_000
NODES = """
mic: {kind: card, ppm: PPM, device: usb}
join: {kind: bridge, in: mic}
mix: {kind: sum, inputs: {mic: {from: join, on_loss: silence}}}
out: {kind: sink, inputs: {straight: join, mixed: mix}}
ears: {kind: ears, in: join.map}
speaker: {kind: speaker, device: card, in: {from: mix, on_loss: silence}}
"""


def played(tmp_path: Path, ppm: float, seconds: float) -> LocalGraph:
    graph = LocalGraph(graph_of(NODES.replace("PPM", str(ppm))), tmp_path, live=True)
    graph.run_until(graph.clock.now_ns() + round(seconds * SECOND))
    return graph


@pytest.mark.parametrize("ppm", [200.0, pytest.param(-200.0, marks=pytest.mark.long)])
def test_a_minute_of_a_card_that_drifts_is_a_minute_without_a_hole(tmp_path: Path, ppm: float) -> None:
    """Without a bridge 200 ppm are a frame in 50 s: one more, or one too few."""
    with played(tmp_path, ppm, 52) as graph:
        board, node = graph.board("mix"), graph.runners["out"].node
        assert board.get("count.concealed_samples", 0) == board.get("count.late_samples", 0) == 0
        frames = node.frames["straight"]  # type: ignore[attr-defined]
        assert all(a.end == b.position for a, b in zip(frames, frames[1:], strict=False))
        assert not any(frame.flags & (Flag.CONCEALED | Flag.DISCONTINUITY) for frame in frames[1:])
        assert sum(frame.samples for frame in frames) == pytest.approx(52 * RATE, abs=4 * 480)
        assert graph.board("join")["gauge.drift_ppm"] == pytest.approx(ppm, abs=0.2)
        tone = np.concatenate([frame.audio()[:, 0] for frame in frames])[-10 * RATE :].astype(np.float64)
        t = np.arange(len(tone)) / RATE
        basis = np.stack([np.cos(2 * np.pi * 440 * t), np.sin(2 * np.pi * 440 * t)], axis=1)
        fit, *_ = np.linalg.lstsq(basis, tone, rcond=None)
        rest = tone - basis @ fit
        assert 10 * np.log10(np.mean(rest**2) / 0.125) < -60, "440 Hz by the host's clock, whatever the card's"


def test_the_singer_is_heard_when_it_was_stated(tmp_path: Path) -> None:
    """The age of the newest sample of each frame that leaves the mixer is what the plan says, within a frame."""
    with played(tmp_path, 100.0, 20) as graph:
        frames = graph.runners["out"].node.frames["straight"]  # type: ignore[attr-defined]
        for frame in frames[100:]:
            assert frame.captured_ns == pytest.approx(SECOND + frame.end / RATE * SECOND, abs=50_000)
        plan = graph.run.plan
        stated = next(path.terms_ms for path in plan.paths if path.names[:2] == ("mic", "join"))
        assert stated["join"] == pytest.approx(1 + 10 + 32 / 48, abs=0.01)


def test_each_clock_has_its_record(tmp_path: Path) -> None:
    with played(tmp_path, 150.0, 5) as graph:
        own, main = ClockRecord(graph.run.run_dir / "clock.mic").read(), ClockRecord(graph.run.clock_path).read()
        assert own is not None and main is not None
        assert own.rate == pytest.approx(RATE * 1.00015) and main.rate == RATE
        assert graph.runners["mic"].job.clock == graph.runners["mic"].job.own_clock
        assert graph.board("mic")["gauge.device_ppm"] == pytest.approx(150, abs=0.01)
        (position, event), *_ = graph.runners["ears"].node.heard  # type: ignore[attr-defined]
        assert event["kind"] == "bridge" and event["input_position"] == pytest.approx(position, abs=480)


def test_a_restarted_bridge_goes_on_in_time(tmp_path: Path) -> None:
    with played(tmp_path, 200.0, 10) as graph:
        graph.kill("join")
        graph.run_until(graph.clock.now_ns() + SECOND // 2)
        graph.revive("join")
        graph.run_until(graph.clock.now_ns() + 5 * SECOND)
        frames = graph.runners["out"].node.frames["straight"]  # type: ignore[attr-defined]
        assert all(a.end <= b.position for a, b in zip(frames, frames[1:], strict=False))
        assert frames[-1].captured_ns == pytest.approx(SECOND + frames[-1].end / RATE * SECOND, abs=100_000)
        assert graph.clock.now_ns() - frames[-1].captured_ns < 30_000_000
