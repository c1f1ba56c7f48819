"""The node around the original package, with a model that stands in for TensorFlow."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Samples, audio_frame
from audio_pipeline.models.separation import spleeter_original
from audio_pipeline.models.weights import store
from audio_pipeline.nodes import separate_spleeter
from audio_pipeline.nodes.separate_spleeter import NODE, RATE, Settings
from tests.nodes.fake import FakeContext, InTurn, blocks, noise, run
from tests.patience import PATIENCE_S


class Halves:
    """Voice and band are half of the mixture each; `held` makes it wait."""

    free = threading.Event()

    def __init__(self, variables: Path, *, wiener: bool, threads: int) -> None:
        Halves.free.set()
        self.lengths: list[int] = []

    def __call__(self, x: Samples) -> dict[str, Samples]:
        assert Halves.free.wait(PATIENCE_S)
        self.lengths.append(len(x))
        return {"vocals": x * 0.5, "accompaniment": x * 0.5}

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def fake_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spleeter_original, "Original", Halves)
    monkeypatch.setattr(store, "path", Path)


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separate_spleeter.threads, "pool", InTurn)


def opened(ctx: FakeContext, **settings: Any) -> Any:
    node = NODE(Settings(**settings))
    node.open(ctx)
    return node


@pytest.mark.parametrize("size", [1_024, 4_410, 1 << 20])
def test_offline_the_song_goes_through_in_one_piece(size: int) -> None:
    x, ctx, node = noise(2 * RATE + 77), FakeContext(RATE, live=False), NODE(Settings())
    run(node, ctx, x, size, position=960, rate=RATE)
    assert node._separate.lengths == [RATE, len(x)]  # the warm-up, then everything
    for stem in ("vocals", "accompaniment"):
        assert ctx.sent[stem][0].position == 960
        assert np.array_equal(ctx.emitted(stem), x * 0.5)


@pytest.mark.usefixtures("in_turn")
def test_live_blocks_join_to_the_same_samples() -> None:
    x, ctx = noise(5 * RATE), FakeContext(RATE)
    run(NODE(Settings(block_s=1, context_s=0.2)), ctx, x, 441, rate=RATE)
    assert ctx.emitted("vocals") == pytest.approx(x * 0.5, abs=1e-6)  # a crossfade of equals, in float32
    assert ctx.counters["missed_blocks"] == 0


def test_live_latency_is_that_of_a_block() -> None:
    node = opened(FakeContext(RATE), block_s=1, context_s=0.2)
    stated = node.latency()
    assert (stated.hop, stated.lookahead) == (RATE, round(0.25 * RATE))
    node.close()


def test_what_tensorflow_is_too_slow_for_goes_out_dry_and_marked() -> None:
    x, ctx = noise(6 * RATE), FakeContext(RATE)
    node = opened(ctx, block_s=1, context_s=0.2)
    Halves.free.clear()
    for at, block in blocks(x, 441):
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    Halves.free.set()
    node.flush(ctx)
    node.close()
    assert ctx.counters["missed_blocks"] >= 2
    dry = [frame for frame in ctx.sent["accompaniment"] if frame.flags & Flag.CONCEALED]
    assert len(dry) == ctx.counters["missed_blocks"]
    middle = dry[0].audio()[RATE // 2]  # away from the joins
    assert np.array_equal(middle, x[dry[0].position + RATE // 2])
    assert len(ctx.emitted("vocals")) == len(x)


def test_a_song_that_is_too_long_is_refused() -> None:
    with pytest.raises(NodeError, match="longest_s: a song longer than 1 s came"):
        run(NODE(Settings(longest_s=1)), FakeContext(RATE, live=False), noise(2 * RATE), 4_410, rate=RATE)


@pytest.mark.usefixtures("in_turn")
def test_after_a_seek_nothing_of_the_old_place_is_left() -> None:
    x, ctx = noise(3 * RATE), FakeContext(RATE)
    node = opened(ctx, block_s=1, context_s=0.2)
    for at, block in blocks(x[:RATE], 441):
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    node.reset(10 * RATE, "cancel", ctx)
    for at, block in blocks(x, 441, 10 * RATE):
        node.process({"in": audio_frame(block, at, RATE)}, ctx)
    node.flush(ctx)
    node.close()
    assert ctx.sent["vocals"][0].position == 10 * RATE
    assert ctx.emitted("vocals") == pytest.approx(x * 0.5, abs=1e-6)
