"""Seek, pause and play on a running karaoke pipeline: how soon it is heard."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.proofs.live import NO_CARD, Pipeline, running

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
GOAL_MS = 300


def test_a_seek_is_heard_soon(tmp_path: Path, proof_scale: float) -> None:
    rounds = max(round(20 * proof_scale), 4)
    asked: list[tuple[int, float]] = []
    with running("karaoke", tmp_path, NO_CARD) as pipeline:
        pipeline.play(3)
        for number in range(rounds):
            asked.append(_seek(pipeline, 2.0 + 5 * (number % 2)))
            pipeline.play(2)
        pipeline.finish()
    mix, rate = soundfile.read(tmp_path / "mix.wav")
    answers_ms = [_sound_again_ms(mix, rate, position) for position, _ in asked]
    print(
        f"{rounds} seeks: the new place is heard after {min(answers_ms):.0f} to {max(answers_ms):.0f} ms, "
        f"the command itself took {max(took for _, took in asked):.0f} ms at most"
    )
    assert max(answers_ms) <= GOAL_MS


def _seek(pipeline: Pipeline, seconds: float) -> tuple[int, float]:
    """The graph's position when the command was given, and how long it took."""
    position, began = pipeline.state()["position"], time.monotonic()
    pipeline.client.transport("song", "seek", seconds=seconds)
    return position, (time.monotonic() - began) * 1000


def _sound_again_ms(mix: np.ndarray, rate: int, position: int) -> float:
    """From `position` to the end of the silence between the old place and the new one.

    The recording is on the mixer's own timeline, which is that of the graph's clock. A seek that is answered
    within one frame leaves no silence: then it is the 10 ms of the fade.
    """
    quiet = np.abs(mix[position : position + rate]).max(axis=1) < 1e-5
    return float(np.flatnonzero(quiet).max(initial=0) / rate * 1000) + 10
