"""`balanced` live beside the terminal view: no missed deadline, no gap, all four latency terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.models.separation.spec import STALL_S
from audio_pipeline.models.weights import store
from tests.proofs.live import NO_CARD, running
from tests.proofs.stalls import Stalls, watched

CALM_S = 0.01  # a thread that does nothing is not kept waiting for longer on a machine of one's own

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]


@dataclass(frozen=True)
class Start:
    """What one start came to."""

    hop: int
    step: int  # of the ladder
    stated_ms: float
    missed: int
    stall_s: float  # for which a thread that only sleeps was kept waiting, at most
    stalls: int  # longer than the latency that is stated holds

    @classmethod
    def of(cls, split: dict[str, Any], stalls: Stalls) -> Start:
        gauges, missed = split["gauges"], split["counters"].get("missed_deadlines", 0)
        stated_ms = split["latency_ms"]["total"]
        return cls(
            round(gauges["hop"]), round(gauges["mode"]), stated_ms, missed, stalls.worst_s, stalls.longer_than(STALL_S)
        )

    def __str__(self) -> str:
        return (
            f"hop {self.hop}, step {self.step}, stated {self.stated_ms:.0f} ms, {self.missed} missed, an idle thread "
            f"waited up to {self.stall_s * 1000:.0f} ms, {self.stalls} times more than {STALL_S * 1000:.0f} ms"
        )


def table(begun: Sequence[Start], seconds: float) -> str:
    """Rows of Markdown, for docs/benchmarks: all starts, and how many of each hop."""
    rows = ["| starts | hop | stated (ms) | missed | worst stall (ms) |", "| --- | --- | --- | --- | --- |"]
    for hop in sorted({start.hop for start in begun}):
        of_hop = [start for start in begun if start.hop == hop]
        stated = sorted({f"{start.stated_ms:.0f}" for start in of_hop})
        missed, worst_ms = sum(start.missed for start in of_hop), 1000 * max(start.stall_s for start in of_hop)
        rows.append(f"| {len(of_hop)} of {seconds:.0f} s | {hop} | {', '.join(stated)} | {missed} | {worst_ms:.0f} |")
    return "\n".join(rows)


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
    begun: list[Start] = []
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(store.cache_folder()))
    for number in range(starts):
        monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path / f"cache-{number}"))
        with watched() as stalls, running("karaoke", tmp_path / f"take-{number}", NO_CARD) as pipeline:
            pipeline.play(seconds)
            final = pipeline.finish()
        begun.append(Start.of(final["nodes"]["split"], stalls))
        print(f"start {number + 1}: {begun[-1]}", flush=True)
    print(table(begun, seconds))
    guilty = [start for start in begun if start.missed and start.stall_s <= STALL_S]
    assert not guilty, guilty


@pytest.mark.parametrize(("mode", "most_ms"), [("low", 120), ("balanced", 200)])
def test_what_was_seen_is_stated_next_time_and_kept(
    mode: str, most_ms: float, tmp_path: Path, proof_scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes on a machine of which nothing is known, and ten that state what was needed in them.

    The bound is for a machine that keeps up with an inference for every frame, and keeps nobody waiting.
    """
    seconds = max(600 * proof_scale, 70)  # a minute, after what is left out at the start
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(store.cache_folder()))
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path / "cache"))
    stated_ms: list[float] = []
    for number in range(2):
        sets = (*NO_CARD, f"nodes.split.mode={mode}")
        with watched() as stalls, running("karaoke", tmp_path / f"take-{number}", sets) as pipeline:
            pipeline.play(seconds)
            split = pipeline.finish()["nodes"]["split"]
        stated_ms.append(split["latency_ms"]["total"])
        missed, hop = split["counters"].get("missed_deadlines", 0), split["gauges"]["hop"]
        terms = {name: round(value, 1) for name, value in split["latency_ms"].items()}
        print(
            f"{mode}, run {number + 1} of {seconds:.0f} s: hop {hop:.0f}, step {split['gauges']['mode']:.0f}, stated "
            f"{terms} ms, {missed} missed, an idle thread waited up to {stalls.worst_s * 1000:.0f} ms"
        )
        assert not missed or stalls.worst_s > CALM_S
    assert stated_ms[1] <= stated_ms[0]
    assert stated_ms[1] <= most_ms or hop > 1 or stalls.worst_s > CALM_S
