"""The noise gate: closed over noise, open from before a voice begins until it is over."""

from __future__ import annotations

import numpy as np

from audio_pipeline.dsp.gate import NoiseGate

RATE = 16_000
FRAME = RATE // 100


def _through(gate: NoiseGate, x: np.ndarray, block: int) -> np.ndarray:
    padded = np.concatenate([x, np.zeros(FRAME, np.float32)])
    return np.concatenate([gate.gains(x[i : i + block], padded[i + block :][:FRAME]) for i in range(0, len(x), block)])


def _burst() -> np.ndarray:
    x = (np.random.default_rng(0).standard_normal(RATE) * 1e-3).astype(np.float32)
    x[8_000:9_600] += 0.3
    return x


def test_it_is_open_a_frame_before_a_voice_and_holds_after() -> None:
    gains = _through(NoiseGate(RATE, -40, hold_ms=100), _burst(), 800)
    assert (gains[8_000:9_600] == 1).all()
    assert gains[7_000] == 0 and (gains[9_600 : 9_600 + 9 * FRAME] == 1).all()
    assert not gains[9_600 + 10 * FRAME :].any(), "closed 100 ms after the last of it"
    assert np.abs(np.diff(gains)).max() <= 1 / FRAME + 1e-6, "ramped over a frame"


def test_blocks_of_any_number_of_frames_give_the_same() -> None:
    a, b = (_through(NoiseGate(RATE, -40), _burst(), block) for block in (FRAME, 5 * FRAME))
    assert np.array_equal(a, b)


def test_off_is_open() -> None:
    assert (_through(NoiseGate(RATE, -120), np.zeros(RATE, np.float32), 800) == 1).all()


def test_a_block_that_ends_within_a_frame() -> None:
    gate = NoiseGate(RATE, -40)
    assert len(gate.gains(np.zeros(FRAME + 3, np.float32), np.zeros(0, np.float32))) == FRAME + 3
    assert gate.gains(np.zeros(0, np.float32), np.zeros(0, np.float32)).shape == (0,)
