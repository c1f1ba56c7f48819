from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.reframe import Reframer
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks, noise


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("start", [0, 12345])
def test_frames_join_to_the_input(size: int, start: int) -> None:
    x, reframer = noise(5000), Reframer(2, 480)
    out = [f for at, block in chunks(x, size) for f in reframer.push(start + at, block)]
    assert all(len(block) == 480 for _, block in out)
    assert reframer.pending_samples == 5000 % 480
    out += reframer.flush()
    assert [p for p, _ in out] == list(range(start, start + 5000, 480))
    np.testing.assert_array_equal(np.concatenate([block for _, block in out]), x)
    assert reframer.flush() == []


def test_jump_releases_the_rest_first() -> None:
    reframer, x = Reframer(1, 100), np.ones((130, 1), np.float32)
    assert [(p, len(b)) for p, b in reframer.push(0, x)] == [(0, 100)]
    assert [(p, len(b)) for p, b in reframer.push(1000, 2 * x)] == [(100, 30), (1000, 100)]
    assert [(p, b[0, 0]) for p, b in reframer.flush()] == [(1100, 2.0)]


def test_jump_with_an_empty_block_is_a_jump() -> None:
    reframer = Reframer(1, 100)
    reframer.push(0, np.ones((30, 1), np.float32))
    assert [(p, len(b)) for p, b in reframer.push(500, np.ones((0, 1), np.float32))] == [(0, 30)]


def test_reused_input_buffer_does_no_harm() -> None:
    reframer, buffer = Reframer(1, 100), np.ones((60, 1), np.float32)
    reframer.push(0, buffer)
    buffer[:] = 7
    assert reframer.flush()[0][1].max() == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=20), st.integers(1, 16))
def test_frames_never_cross_a_jump(blocks: list[tuple[int, int]], frame: int) -> None:
    reframer, at, out, sent = Reframer(1, frame), 0, [], []
    for gap, n in blocks:
        at += gap
        x = np.arange(at, at + n, dtype=np.float32)[:, None]
        sent += x[:, 0].tolist()
        out += reframer.push(at, x)
        at += n
    out += reframer.flush()
    assert [v for _, b in out for v in b[:, 0].tolist()] == sent
    for position, block in out:
        assert 0 < len(block) <= frame
        assert block[:, 0].tolist() == list(range(position, position + len(block)))


def test_refuses_empty_frames() -> None:
    with pytest.raises(ConfigError, match="1 sample a frame"):
        Reframer(1, 0)
