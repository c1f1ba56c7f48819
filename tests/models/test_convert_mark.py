"""The mark inside a converter's blocks: found at any block, no delay, no steps."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.errors import NodeError
from audio_pipeline.models.convert.blocks import BlockConverter, Layout
from audio_pipeline.models.convert.mark import BlockMark, load_mark
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.hearing.perth import Perth
from audio_pipeline.models.weights import store
from tests.models.test_convert_blocks import Same
from tests.models.test_ge2e_stream import reader

RATE = 48_000


@pytest.fixture(scope="module")
def networks() -> Perth:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    return perth.load()


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return resampled(reader("1998", 1)[: 4 * 16_000, None], 16_000, RATE)[:, 0]


def _marked(networks: Perth, x: np.ndarray, size: int = 480, **layout: float) -> np.ndarray:
    blocks = BlockConverter(Same(RATE), RATE, Layout(**layout), BlockMark(networks, RATE))
    return np.concatenate([*(blocks.process(x[i : i + size]) for i in range(0, len(x), size)), blocks.finish()])


@pytest.mark.parametrize("block_ms", [30.0, 50.0, 250.0])
def test_the_mark_is_found_in_every_piece(networks: Perth, voice: np.ndarray, block_ms: float) -> None:
    y = _marked(networks, voice, block_ms=block_ms)
    assert len(y) == len(voice)
    for at in (0, 2 * RATE):
        assert perth.confidence(networks, voice[at : at + 2 * RATE, None], RATE) < 0.3
        assert perth.confidence(networks, y[at : at + 2 * RATE, None], RATE) > 0.9


def test_any_cutting_gives_the_same_samples(networks: Perth, voice: np.ndarray) -> None:
    x = voice[: RATE // 2]
    assert np.array_equal(_marked(networks, x, 17), _marked(networks, x, 1 << 30))


def test_marks_of_blocks_join_without_steps(networks: Perth, voice: np.ndarray) -> None:
    """The mark has nothing above 2 kHz, so it moves by little from sample to sample, at joins as elsewhere."""
    mark = _marked(networks, voice) - voice
    assert np.abs(np.diff(mark)).max() < 2 * np.pi * 2_000 / RATE * np.abs(mark).max()


def test_a_skipped_block_carries_none_and_the_last_one_fades(networks: Perth, voice: np.ndarray) -> None:
    finish, block = BlockMark(networks, RATE), voice[RATE : RATE + 2_400]
    finish.process(block, voice[RATE + 2_400 : RATE + 3_600])
    y = finish.skip(voice[RATE + 2_400 : RATE + 4_800])
    difference = np.abs(y - voice[RATE + 2_400 : RATE + 4_800])
    assert difference[:100].max() > 0 and not difference[480:].any()


def test_silence_stays_silence(networks: Perth) -> None:
    assert not _marked(networks, np.zeros(RATE // 2, np.float32)).any()


def test_it_fails_closed(networks: Perth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Perth, "residual", lambda self, x: x * 0)
    with pytest.raises(NodeError, match=r"the watermark is not found in what was just marked \(0\.\d\d of 1\)"):
        load_mark(RATE)
