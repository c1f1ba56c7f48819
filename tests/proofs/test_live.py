"""`balanced` live beside the terminal view: no missed deadline, no gap, all four latency terms."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.models.separation.spec import STALL_S
from audio_pipeline.models.weights import store
from tests.proofs.live import NO_CARD, running
from tests.proofs.stalls import watched

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]


def test_balanced_karaoke_misses_no_deadline(tmp_path: Path, proof_scale: float) -> None:
    seconds = max(600 * proof_scale, 10)
    with running("karaoke", tmp_path, NO_CARD) as pipeline:
        pipeline.play(seconds)  # asks for the state four times a second, as the view does
        final = pipeline.finish()
    split, speaker = final["nodes"]["split"], final["nodes"]["speaker"]
    terms = {name: round(value, 1) for name, value in split["latency_ms"].items()}
    print(
        f"{seconds:.0f} s live: latency {terms} ms, hop {split['gauges'].get('hop', 0):.0f} frames, "
        f"CPU of the separator {split['cpu']:.2f} cores, counters {split['counters']}"
    )
    inferences = seconds * 44_100 / 1024 / split["gauges"]["hop"]
    # None on a machine of one's own; a virtual one that is taken away for 100 ms may cost a few.
    assert split["counters"].get("missed_deadlines", 0) <= 0.01 * inferences
    assert speaker["counters"]["gaps"] <= 1 + seconds / 300
    assert split["restarts"] == 0
    assert all(link["balanced"] for link in final["links"])


def test_a_fresh_start_misses_no_deadline(tmp_path: Path, proof_scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten starts of a minute, each on a machine of which nothing is known yet.

    The latency that is stated holds a stall of 40 ms; where a thread that does nothing but sleep was kept waiting for
    longer, the machine was not there to compute.
    """
    starts, seconds = max(round(10 * proof_scale), 1), max(60 * proof_scale, 12)
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(store.cache_folder()))
    for number in range(starts):
        monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path / f"cache-{number}"))
        with watched() as stalls, running("karaoke", tmp_path / f"take-{number}", NO_CARD) as pipeline:
            pipeline.play(seconds)
            final = pipeline.finish()
        split = final["nodes"]["split"]
        missed = split["counters"].get("missed_deadlines", 0)
        print(
            f"start {number + 1}: hop {split['gauges']['hop']:.0f}, step {split['gauges']['mode']:.0f}, stated "
            f"{sum(split['latency_ms'].values()):.0f} ms, {missed} missed, an idle thread waited up to "
            f"{stalls.worst_s * 1000:.0f} ms, {stalls.longer_than(STALL_S)} times more than 40 ms"
        )
        assert not missed or stalls.worst_s > STALL_S
