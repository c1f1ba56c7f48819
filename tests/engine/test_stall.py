"""A graph that waits for itself is told from one that works long."""

from __future__ import annotations

from audio_pipeline.supervisor.stall import STALL_S, Stall

SECOND = 1_000_000_000
MOST_S = round(STALL_S)


def board(now_s: float, delivered: int, queued: int = 0, beat_ago_s: float = 0.05) -> dict[str, float]:
    return {
        "beat_ns": (now_s - beat_ago_s) * SECOND,
        "in>in.delivered": delivered,
        "out.out>mix.dry.queued": queued,
        "steps": now_s * 20,
    }


def test_who_waits_is_named_once_nothing_has_moved_for_long() -> None:
    stall = Stall()
    for second in range(1, MOST_S + 1):
        assert not stall.check({"song": board(second, 7, 5), "late": board(second, 9)}, second * SECOND)
    said = stall.check({"song": board(MOST_S + 1, 7, 5), "late": board(MOST_S + 1, 9)}, (MOST_S + 1) * SECOND)
    assert said.startswith("stuck: nothing has moved for 30 s, though no node is at work; song for mix.dry waits")


def test_work_and_progress_are_no_standstill() -> None:
    stall = Stall()
    for second in range(1, 5 * MOST_S):
        working = board(second, 7, beat_ago_s=20 if second % 25 else 0.1)
        assert not stall.check({"song": board(second, 7), "split": working}, second * SECOND)
    stall = Stall()
    for second in range(1, 5 * MOST_S):
        assert not stall.check({"song": board(second, second // 20), "split": board(second, 3)}, second * SECOND)


def test_without_nodes_there_is_nothing_to_wait_for() -> None:
    stall = Stall()
    assert not any(stall.check({}, second * SECOND) for second in range(1, 3 * MOST_S))
