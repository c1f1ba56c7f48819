"""The node that marks made speech."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.errors import NodeError
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import Perth
from audio_pipeline.models.weights import store
from audio_pipeline.nodes.watermark import NODE, Settings
from tests.models.test_ge2e_stream import reader
from tests.nodes.fake import FakeContext, run

RATE = 16_000


@pytest.fixture(scope="module")
def networks() -> Perth:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    return perth.load()


@pytest.mark.parametrize("size", [17, 160, 1_024, 1 << 20])
def test_streamed_speech_carries_the_mark_from_end_to_end(networks: Perth, size: int) -> None:
    x, ctx = reader("1998", 1)[: 6 * RATE, None], FakeContext(RATE)
    run(NODE(Settings()), ctx, x, size, position=480)
    y = ctx.emitted()
    assert len(y) == len(x) and ctx.sent["out"][0].position == 480
    seconds = [perth.confidence(networks, y[at : at + 2 * RATE], RATE) for at in range(0, len(y), 2 * RATE)]
    assert min(seconds) > 0.8


def test_any_cutting_gives_the_same_samples(networks: Perth) -> None:
    x = reader("1998", 1)[: 2 * RATE, None]
    outputs = []
    for size in (17, 480, 1 << 20):
        ctx = FakeContext(RATE)
        run(NODE(Settings()), ctx, x, size)
        outputs.append(ctx.emitted())
    assert np.array_equal(outputs[0], outputs[1]) and np.array_equal(outputs[0], outputs[2])


def test_it_does_not_start_when_the_mark_is_not_found(networks: Perth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Perth, "residual", lambda self, x: x * 0)
    with pytest.raises(NodeError, match=r"the mark is not found in what was just marked \(0\.\d\d of 1\)"):
        NODE(Settings()).open(FakeContext(RATE))
